# SPDX-License-Identifier: Apache-2.0
"""Parts of ONNX export: a graph builder, the context of a layer, activations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pydarknet.cfg import Section
from pydarknet.engine.handle import LayerInfo
from pydarknet.errors import CfgError

Array = npt.NDArray[Any]


class Graph:
    """Collects nodes and constants, and names them."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, Array] = {}
        self._count = 0

    def add(self, op: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        """Add a node with one output, and return the output's name."""
        from onnx import helper

        output = output or self._name(op.lower())
        self.nodes.append(helper.make_node(op, list(inputs), [output], **attributes))
        return output

    def constant(self, value: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> str:
        """Add a constant, and return its name."""
        name = self._name("constant")
        self.constants[name] = np.asarray(value, dtype)
        return name

    def _name(self, stem: str) -> str:
        self._count += 1
        return f"{stem}_{self._count}"


@dataclass(frozen=True)
class Layer:
    """Everything that the function of a layer uses.

    Attributes:
        graph: to add to.
        info: shapes.
        section: keys of the cfg.
        arrays: parameters as the weights file holds them.
        inputs: names of the tensors that it reads.
        shapes: of those, (c, h, w).
    """

    graph: Graph
    info: LayerInfo
    section: Section
    arrays: dict[str, Array]
    inputs: list[str]
    shapes: list[tuple[int, int, int]]

    def refuse(self, why: str) -> CfgError:
        """The error for a layer without an ONNX counterpart."""
        return CfgError(f"{self.info.where}: cannot be exported to ONNX: {why}")

    def reshape(self, x: str, shape: Sequence[int]) -> str:
        """Reshape all but the first axis, the batch."""
        return self.graph.add("Reshape", [x, self.graph.constant([0, *shape], np.int64)])


# -- activations ---------------------------------------------------------------------------------------------


def _mish(g: Graph, x: str) -> str:
    return g.add("Mul", [x, g.add("Tanh", [g.add("Softplus", [x])])])


def _swish(g: Graph, x: str) -> str:
    return g.add("Mul", [x, g.add("Sigmoid", [x])])


def _loggy(g: Graph, x: str) -> str:
    return g.add("Sub", [g.add("Mul", [g.add("Sigmoid", [x]), g.constant(2)]), g.constant(1)])


def _gelu(g: Graph, x: str) -> str:
    cube = g.add("Mul", [g.add("Mul", [x, x]), x])
    inner = g.add(
        "Add", [g.add("Mul", [x, g.constant(0.797885)]), g.add("Mul", [cube, g.constant(0.035677)])]
    )
    half = g.add("Mul", [x, g.constant(0.5)])
    return g.add("Mul", [half, g.add("Add", [g.add("Tanh", [inner]), g.constant(1)])])


def _ramp(g: Graph, x: str) -> str:
    return g.add("Add", [g.add("Relu", [x]), g.add("Mul", [x, g.constant(0.1)])])


def _clip(low: float, high: float) -> Callable[[Graph, str], str]:
    return lambda g, x: g.add("Clip", [x, g.constant(low), g.constant(high)])


def _hard_mish(g: Graph, x: str) -> str:
    """x > 0: x; -2 < x <= 0: x²/2 + x; else 0. That is relu(x) + m²/2 + m with m = clip(x, -2, 0)."""
    m = g.add("Clip", [x, g.constant(-2), g.constant(0)])
    curve = g.add("Add", [g.add("Mul", [g.add("Mul", [m, m]), g.constant(0.5)]), m])
    return g.add("Add", [g.add("Relu", [x]), curve])


_ACTIVATIONS: dict[str, Callable[[Graph, str], str]] = {
    "linear": lambda _, x: x,
    "logistic": lambda g, x: g.add("Sigmoid", [x]),
    "relu": lambda g, x: g.add("Relu", [x]),
    "relu6": _clip(0, 6),
    "leaky": lambda g, x: g.add("LeakyRelu", [x], alpha=0.1),
    "revleaky": lambda g, x: g.add("LeakyRelu", [x], alpha=0.1),
    "relie": lambda g, x: g.add("LeakyRelu", [x], alpha=0.01),
    "tanh": lambda g, x: g.add("Tanh", [x]),
    "elu": lambda g, x: g.add("Elu", [x], alpha=1.0),
    "selu": lambda g, x: g.add("Selu", [x], alpha=1.6732, gamma=1.0507),
    "hardtan": _clip(-1, 1),
    "loggy": _loggy,
    "gelu": _gelu,
    "ramp": _ramp,
    "swish": _swish,
    "mish": _mish,
    "hard_mish": _hard_mish,
}


def activate(layer: Layer, x: str, default: str = "linear") -> str:
    """The section's activation, applied to x."""
    name = layer.section.get("activation") or default
    if name not in _ACTIVATIONS:
        raise layer.refuse(f"activation {name} has no ONNX counterpart")
    return _ACTIVATIONS[name](layer.graph, x)
