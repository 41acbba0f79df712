# SPDX-License-Identifier: Apache-2.0
"""The network that a cfg describes: shapes, parameters and arithmetic, without an engine.

Shapes are (width, height, channels) of one image; parameters are counted in the order of the weights file.
"""

from __future__ import annotations

from pydarknet.cfg import layers_recurrent as _recurrent  # noqa: F401  registers its rules
from pydarknet.cfg.layers import Node, Shape, describe, show
from pydarknet.cfg.model import CfgFile, Problem, SectionError
from pydarknet.errors import CfgError

__all__ = ["Node", "Shape", "Walk", "walk"]


class Walk(list[Node]):
    """The layers of a network in order, with totals."""

    @property
    def floats(self) -> int:
        """Float32 values in a complete weights file."""
        return sum(node.floats for node in self)

    @property
    def bflops(self) -> float:
        """Total BFLOPs for one image, as Darknet prints."""
        return sum(node.bflops for node in self)

    @property
    def avg_outputs(self) -> int:
        """Darknet's ``avg_outputs``: mean outputs of the layers whose input is larger than 1×1."""
        spatial = [node.outputs for node in self if node.src[0] > 1 and node.src[1] > 1]
        return sum(spatial) // len(spatial) if spatial else 0

    @property
    def stride(self) -> int:
        """Largest factor between the input and the map of a layer: the grid of possible input sizes."""
        widths = [node.dst[0] for node in self if node.dst[0] > 1]
        return round(self[0].src[0] / min(widths)) if widths else 1


def walk(
    cfg: CfgFile,
    width: int | None = None,
    height: int | None = None,
    problems: list[Problem] | None = None,
) -> Walk:
    """Shapes, parameters and operations of all layers.

    Args:
        cfg: the network.
        width: input width in pixels; ``[net] width`` if None.
        height: input height in pixels; ``[net] height`` if None.
        problems: if given, errors are appended here and the walk continues as far as possible.

    Raises:
        CfgError: the network is impossible (and ``problems`` is None); the message names line and key.
    """
    found = list(cfg.problems) if problems is None else problems
    net = cfg.net
    nodes = Walk()
    src = (width or net.integer("width"), height or net.integer("height"), net.integer("channels"))
    inputs = src[0] * src[1] * src[2] or net.integer("inputs", 0)
    if not inputs or min(src) < 0:
        found.append(net.problem("width", f"input is {show(src)}; width, height, channels must be positive"))
    if not cfg.layers:
        found.append(net.problem("", "no layer stands below"))
    for index, section in enumerate(cfg.layers):
        if problems is None and found:
            raise CfgError(str(found[0]))
        node = Node(index, section, src, inputs, before=nodes)
        try:
            describe(node)
        except SectionError as error:
            found.append(error.problem)
            node.dst, node.outputs = src, inputs
        nodes.append(node)
        src, inputs = node.dst, node.outputs
    if problems is None and found:
        raise CfgError(str(found[0]))
    return nodes
