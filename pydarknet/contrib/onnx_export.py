# SPDX-License-Identifier: Apache-2.0
"""Export of a network as an ONNX model, and comparison of the two.

The graph's input is ``input``, float32 (n, channels, height, width), red first, 0..1, n free. Its outputs
are those of the heads (see ``Network.predict``), named ``layer_139`` and so on, (n, outputs);
decoding of boxes and NMS are left to the caller. Batch-norm is folded into the convolutions.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from pydarknet import __version__
from pydarknet.cfg import CfgFile
from pydarknet.contrib.onnx_graph import Graph, Layer
from pydarknet.contrib.onnx_layers import LAYERS
from pydarknet.engine.network import Network
from pydarknet.errors import ArgumentError, CfgError, DarknetError
from pydarknet.system.atomic import replacing
from pydarknet.system.extras import require
from pydarknet.system.files import read_file

OPSET = 17  # the oldest with every operator in the form used; ONNX Runtime >= 1.12, TensorRT >= 8.5
TOLERANCE = 1e-4  # of the largest value of an output


def export(
    network: Network,
    path: str | os.PathLike[str],
    *,
    layers: Sequence[int] | None = None,
    cfg: CfgFile | None = None,
) -> None:
    """Write an ONNX file; it appears complete or not at all.

    Args:
        network: at the input size of the model.
        path: the file.
        layers: layers whose outputs the model has; by default the heads, or the last layer.
        cfg: cfg of the network, if it was not loaded from a file.

    Raises:
        CfgError: a layer has no counterpart in ONNX; the message has its place in the cfg.
        MissingExtra: the package onnx is not installed.
    """
    model = to_model(network, layers=layers, cfg=cfg)
    if model.ByteSize() >= 2**31:
        raise DarknetError(
            f"{os.fspath(path)}: the model has 2 GB or more, which is too large for an ONNX file"
        )
    with replacing(path) as temporary:
        temporary.write_bytes(model.SerializeToString())


def to_model(network: Network, *, layers: Sequence[int] | None = None, cfg: CfgFile | None = None) -> Any:
    """Build the ``onnx.ModelProto`` that :func:`export` writes; same arguments."""
    onnx = require("onnx", "export")
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    sections = (cfg or CfgFile.load(network.cfg)).layers
    infos, info = network.layers, network.info
    if len(sections) != len(infos):
        raise CfgError(
            f"{network.cfg}: has {len(sections)} layers, the network {len(infos)}; was the file changed?"
        )
    wanted = list(network.outputs if layers is None else layers)
    if wrong := [i for i in wanted if not 0 <= i < len(infos)]:
        raise ArgumentError(f"found layer {wrong[0]}, expected 0 to {len(infos) - 1}")
    graph = Graph()
    tensors: dict[int, str] = {-1: "input"}
    shapes = {
        -1: (info.channels, info.height, info.width),
        **{layer.index: layer.out_shape for layer in infos},
    }
    needed = _needed(infos, wanted)
    for section, layer in zip(sections, infos, strict=True):
        if layer.index not in needed:
            continue
        parts = Layer(
            graph,
            layer,
            section,
            network.parameters(layer.index),
            [tensors[i] for i in layer.inputs],
            [shapes[i] for i in layer.inputs],
        )
        if layer.type not in LAYERS:
            raise parts.refuse(f"[{layer.type}] has no ONNX counterpart")
        tensors[layer.index] = LAYERS[layer.type](parts)
    for i in wanted:
        graph.add("Flatten", [tensors[i]], f"layer_{i:03}", axis=1)

    floats = onnx.TensorProto.FLOAT
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "darknet",
            [helper.make_tensor_value_info("input", floats, ["n", *shapes[-1]])],
            [helper.make_tensor_value_info(f"layer_{i:03}", floats, ["n", infos[i].outputs]) for i in wanted],
            [numpy_helper.from_array(np.ascontiguousarray(v), name) for name, v in graph.constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="pydarknet",
        producer_version=__version__,
        ir_version=8,
    )
    helper.set_model_props(model, {"names": "\n".join(network.names)})
    onnx.checker.check_model(model)
    return model


def _needed(infos: Sequence[Any], wanted: Sequence[int]) -> set[int]:
    """The wanted layers and all layers that they depend on."""
    needed, pending = set(), list(wanted)
    while pending:
        i = pending.pop()
        if i >= 0 and i not in needed:
            needed.add(i)
            pending += infos[i].inputs
    return needed


def verify(network: Network, path: str | os.PathLike[str], seed: int = 0) -> dict[str, float]:
    """Run an exported file in ONNX Runtime on random input and compare with the network.

    Returns:
        For each output its largest difference, relative to the largest value of that output.

    Raises:
        DarknetError: a difference is above :data:`TOLERANCE`.
        MissingExtra: the package onnxruntime is not installed.
    """
    onnxruntime = require("onnxruntime", "export")
    info = network.info
    shape = (info.batch, info.channels, info.height, info.width)
    x = np.random.default_rng(seed).random(shape, np.float32)
    session = onnxruntime.InferenceSession(read_file(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    theirs = dict(zip(names, session.run(names, {"input": x}), strict=True))
    ours = network.predict(x, [int(name.removeprefix("layer_")) for name in names])
    off = {}
    for name in names:
        mine = ours[int(name.removeprefix("layer_"))]
        off[name] = float(np.max(np.abs(theirs[name] - mine)) / max(float(np.max(np.abs(mine))), 1e-30))
    if max(off.values()) > TOLERANCE:
        worst = max(off, key=off.__getitem__)
        raise DarknetError(
            f"{os.fspath(path)}: output {worst} differs from the network by {off[worst]:.1e} of its largest "
            f"value, expected {TOLERANCE:.0e} at most"
        )
    return off
