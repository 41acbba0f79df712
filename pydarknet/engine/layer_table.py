# SPDX-License-Identifier: Apache-2.0
"""The layer table, as Darknet prints it when it loads a network, and which layers are its outputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pydarknet.engine.handle import LayerInfo, NetworkInfo
from pydarknet.system import html

_SHORT = {"convolutional": "conv", "maxpool": "max", "avgpool": "avg", "local_avgpool": "lavg"}


def layer_table(info: NetworkInfo, layers: Sequence[LayerInfo]) -> str:
    """The table with a line per layer and the totals below."""
    width = max([len("description"), *(len(layer.description) for layer in layers)])
    lines = [
        f"   layer          {'description':{width}}           input                 output       operations"
    ]
    for layer in layers:
        kind = _SHORT.get(layer.type, layer.type)
        operations = f"{layer.bflops:8.3f} BF" if layer.bflops else ""
        shapes = f"{_shape(layer.in_shape)} -> {_shape(layer.out_shape)}"
        lines.append(f"{layer.index:4} {kind:13} {layer.description:{width}}  {shapes} {operations}".rstrip())
    kinds = Counter(layer.type for layer in layers)
    counted = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    lines += [
        f"{info.layers} layers: {counted}",
        f"input {info.width} x {info.height} x {info.channels}, {info.classes} classes, "
        f"{info.parameters:,} parameters ({info.parameters * 4 / 1e6:.1f} MB), {info.bflops:.3f} BFLOPs",
    ]
    return "\n".join(lines)


def default_outputs(layers: Sequence[LayerInfo]) -> tuple[int, ...]:
    """Indices of the layers that are the outputs: the heads, or the last that is not a cost layer."""
    heads = tuple(layer.index for layer in layers if layer.is_head)
    return heads or tuple(layer.index for layer in layers if layer.type != "cost")[-1:]


def _shape(shape: tuple[int, int, int]) -> str:
    channels, height, width = shape
    return f"{width:4} x{height:4} x{channels:4}"


def network_html(title: str, info: NetworkInfo, layers: Sequence[LayerInfo], names: Sequence[str]) -> str:
    """A network as HTML for notebooks: its numbers, classes and, folded, its layers."""
    facts = [
        ("input", f"{info.width}×{info.height}×{info.channels}"),
        ("layers", info.layers),
        ("parameters", f"{info.parameters:,}"),
        ("BFLOPs of one image", f"{info.bflops:.3f}"),
        ("backend, precision, threads", f"{info.backend}, {info.precision}, {info.threads}"),
        ("layers with loaded weights", info.layers_loaded),
        ("classes", ", ".join(names[:20]) + (", …" if len(names) > 20 else "")),
    ]
    table = html.table(["", ""], facts)
    return html.titled(title, table, html.folded("layers", html.lines(layer_table(info, layers))))
