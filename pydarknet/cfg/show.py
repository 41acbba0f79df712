# SPDX-License-Identifier: Apache-2.0
"""The layer table of a network: position, size and cost of each layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from pydarknet.cfg.layers import Node
from pydarknet.cfg.model import CfgFile, Section
from pydarknet.cfg.shapes import Walk, walk


def rows(nodes: Walk) -> list[dict[str, object]]:
    """One record per layer, for JSON: layer, line, type, what, input, output, floats, bflops."""
    return [
        {
            "layer": node.index,
            "line": node.section.line,
            "type": node.type,
            "what": what(node),
            "input": list(node.src),
            "output": list(node.dst),
            "floats": node.floats,
            "bflops": round(node.bflops, 6),
        }
        for node in nodes
    ]


def table(cfg: CfgFile, width: int | None = None, height: int | None = None) -> str:
    """The layer table and its totals as text.

    Args:
        cfg: the network.
        width: input width in pixels; that of the cfg if None.
        height: input height in pixels.

    Raises:
        CfgError: the network is impossible.
    """
    nodes = walk(cfg, width, height)
    lines = [f"{'layer':>5} {'':14} {'what':26} {'input':>16} {'output':>16} {'floats':>11} {'BFLOPs':>8}"]
    for node in nodes:
        src, dst = ("×".join(map(str, shape)) for shape in (node.src, node.dst))
        cost = f"{node.bflops:8.3f}" if node.flops else f"{'':8}"
        count = f"{node.floats:11,}" if node.floats else f"{'':11}"
        text = f"{node.index:5} {node.type:14} {what(node):26} {src:>16} {dst:>16} {count} {cost}"
        lines.append(text.rstrip())
    return "\n".join([*lines, "", totals(nodes)]) + "\n"


def totals(nodes: Walk) -> str:
    """Counts of layer types, parameters, size of the weights file, operations."""
    mix = ", ".join(f"{count} {name}" for name, count in Counter(node.type for node in nodes).most_common())
    learned = sum(size for node in nodes for name, size in node.arrays if "rolling" not in name)
    return (
        f"{len(nodes)} layers: {mix}\n"
        f"{learned:,} parameters; weights file {20 + 4 * nodes.floats:,} bytes\n"
        f"{nodes.bflops:.3f} BFLOPs per image"
    )


def what(node: Node) -> str:
    """The settings of a layer that matter, in short: ``32 3×3/2 mish``, ``from 85, 120``."""
    describe = _DESCRIBE.get(node.type)
    if describe:
        return describe(node.section)
    if node.type == "route" and node.section.integer("groups") > 1:
        part = f"{node.section.integer('group_id') + 1}/{node.section.integer('groups')}"
        return f"part {part} of {node.sources[0]}"
    return "from " + ", ".join(map(str, node.sources)) if node.sources else ""


def _convolution(section: Section) -> str:
    size, stride, groups = (section.integer(key) for key in ("size", "stride", "groups"))
    text = f"{section.integer('filters')} {size}×{size}/{stride} {section.text('activation')}"
    return text + (f" groups {groups}" if groups > 1 else "")


def _pool(section: Section) -> str:
    return f"{section.integer('size', section.integer('stride'))}/{section.integer('stride')}"


def _head(section: Section) -> str:
    return f"{section.integer('classes')} classes, mask {section.get('mask', 'all')}"


def _stride(section: Section) -> str:
    return f"×{section.integer('stride')}"


_DESCRIBE: dict[str, Callable[[Section], str]] = {
    "convolutional": _convolution,
    "maxpool": _pool,
    "local_avgpool": _pool,
    "yolo": _head,
    "Gaussian_yolo": _head,
    "upsample": _stride,
    "reorg": _stride,
    "reorg3d": _stride,
    "connected": lambda section: section.text("output"),
    "dropout": lambda section: section.text("probability"),
}
