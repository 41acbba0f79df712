# SPDX-License-Identifier: Apache-2.0
"""What a layer makes of its input: one rule per section type.

A rule reads the section of a ``Node`` and fills in its output shape, its arrays in the order of the
weights file, and its operations as Darknet counts them.  To add a layer, write one more function
with ``@layer("name")``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pydarknet.cfg import keys
from pydarknet.cfg.model import Section

Shape = tuple[int, int, int]


@dataclass(slots=True)
class Node:
    """One layer of the walk.

    Attributes:
        index: Darknet's layer number, from 0.
        section: the section of the cfg.
        src: (w, h, c) of the input.
        dst: (w, h, c) of the output; what ``route`` and ``shortcut`` see.
        outputs: values per image in the output.
        inputs: values per image in the input.
        arrays: name and size of every float32 array in the weights file, in file order.
        flops: floating point operations per image as Darknet counts them.
        sources: numbers of the layers read by ``route``, ``shortcut``, ``sam`` and ``scale_channels``.
        flow: (w, h, c) that the next layer sees; differs from ``dst`` behind ``antialiasing``.
        before: the walk that the layer is part of.
    """

    index: int
    section: Section
    src: Shape
    inputs: int
    dst: Shape = (0, 0, 0)
    outputs: int = 0
    arrays: list[tuple[str, int]] = field(default_factory=list)
    flops: float = 0.0
    sources: list[int] = field(default_factory=list)
    flow: Shape = (0, 0, 0)
    before: Sequence[Node] = field(default_factory=list, repr=False)

    @property
    def type(self) -> str:
        """Section type without aliases."""
        return self.section.type

    @property
    def floats(self) -> int:
        """Values that the layer has in the weights file, rolling statistics included."""
        return sum(size for _, size in self.arrays)

    @property
    def bflops(self) -> float:
        """Billions of operations per image, as in Darknet's layer table."""
        return self.flops / 1e9


def show(shape: Shape) -> str:
    """A shape for messages, ``13×13×255``."""
    return "×".join(str(size) for size in shape)


_Rule = Callable[[Node], None]
_RULES: dict[str, _Rule] = {}


def layer(*types: str) -> Callable[[_Rule], _Rule]:
    """Register the rule of one or several section types."""

    def register(rule: _Rule) -> _Rule:
        _RULES.update(dict.fromkeys(types, rule))
        return rule

    return register


def describe(node: Node) -> None:
    """Apply the rule of the node's section type.

    Raises:
        SectionError: the section type is unknown or the layer is impossible.
    """
    rule = _RULES.get(node.type)
    if rule is None:
        close = keys.suggest_section(node.section.name)
        hint = f"; did you mean [{close}]?" if close else ""
        raise node.section.error("", f"unknown section{hint}")
    rule(node)
    if min(node.dst) < 0 or (node.outputs <= 0 and node.type != "cost"):
        raise node.section.error("", f"output would be {show(node.dst)} from {show(node.src)}")


def set_shape(node: Node, width: int, height: int, channels: int) -> None:
    """Give the layer an image as output."""
    node.dst = (width, height, channels)
    node.outputs = width * height * channels


def _same(node: Node) -> None:
    node.dst, node.outputs = node.src, node.inputs


def _reference(node: Node, value: int, key: str) -> Node:
    """The earlier layer that a positive (absolute) or negative (relative) number names."""
    index = value if value >= 0 else node.index + value
    if not 0 <= index < node.index:
        raise node.section.error(key, f"layer {value} means layer {index}, expected 0 … {node.index - 1}")
    node.sources.append(index)
    return node.before[index]


def _strides(section: Section) -> tuple[int, int]:
    stride = section.integer("stride")
    pair = [section.integer(key, stride) for key in ("stride_x", "stride_y")]
    horizontal, vertical = (each if each >= 1 else stride for each in pair)
    if horizontal < 1 or vertical < 1:
        raise section.error("stride", f"found {stride}, expected at least 1")
    return horizontal, vertical


def batch_norm(prefix: str, channels: int) -> list[tuple[str, int]]:
    """The three arrays of batch normalization that stand behind the biases."""
    return [(f"{prefix}{name}", channels) for name in ("scales", "rolling_mean", "rolling_variance")]


def _blur(node: Node, strides: tuple[int, int]) -> None:
    """Shape behind the blur stage of ``antialiasing``, seen only by the next layer."""
    width, height, channels = node.dst
    size, total = (3, 2) if node.section.integer("antialiasing") == 1 else (2, 0)
    node.flow = (
        (width + total - size) // strides[0] + 1,
        (height + total - size) // strides[1] + 1,
        channels,
    )


@layer("convolutional")
def _convolutional(node: Node) -> None:
    section = node.section
    width, height, channels = node.src
    filters, size = section.integer("filters"), section.integer("size")
    groups = max(section.integer("groups"), 1)
    groups = 1 if section.integer("xnor") else groups
    if not (width and height):
        raise node.section.error("", f"input is {show(node.src)}, expected an image")
    if filters < 1 or size < 1:
        raise node.section.error("filters" if filters < 1 else "size", "expected at least 1")
    if channels % groups or filters % groups:
        raise node.section.error(
            "groups", f"{channels} channels and {filters} filters do not divide into {groups} groups"
        )
    strides = _strides(section)
    padding = size // 2 if section.integer("pad") else section.integer("padding")
    used = (1, 1) if section.integer("antialiasing") else strides
    outputs = [
        (side + 2 * padding - size) // step + 1 for side, step in zip((width, height), used, strict=True)
    ]
    set_shape(node, outputs[0], outputs[1], filters)
    weights = channels // groups * filters * size * size
    node.flops = 2.0 * weights * node.dst[0] * node.dst[1] / (32 if section.integer("xnor") else 1)
    if section.integer("antialiasing"):
        _blur(node, strides)
    if "share_index" in section:
        _reference(node, section.integer("share_index"), "share_index")
        node.sources.clear()
        return
    bn = section.integer("batch_normalize") or section.integer("cbn")
    stored = batch_norm("", filters) if bn and not section.integer("dontloadscales") else []
    node.arrays = [("biases", filters), *stored, ("weights", weights)]


def dense(prefix: str, inputs: int, outputs: int, bn: int) -> list[tuple[str, int]]:
    """The arrays of a fully connected layer."""
    arrays = [(f"{prefix}biases", outputs), (f"{prefix}weights", outputs * inputs)]
    return arrays + (batch_norm(prefix, outputs) if bn else [])


@layer("connected")
def _connected(node: Node) -> None:
    output = node.section.integer("output")
    set_shape(node, 1, 1, output)
    node.arrays = dense("", node.inputs, output, node.section.integer("batch_normalize"))


@layer("maxpool", "local_avgpool")
def _pool(node: Node) -> None:
    section = node.section
    width, height, channels = node.src
    strides = _strides(section)
    size = section.integer("size", section.integer("stride"))
    padding = section.integer("padding", size - 1)
    depth = node.type == "maxpool" and section.integer("maxpool_depth")
    blur = node.type == "maxpool" and section.integer("antialiasing")
    used = (1, 1) if blur else strides
    if depth:
        set_shape(node, width, height, section.integer("out_channels"))
    else:
        set_shape(
            node, (width + padding - size) // used[0] + 1, (height + padding - size) // used[1] + 1, channels
        )
    node.flops = float(size * size * channels * node.dst[0] * node.dst[1])
    if blur:
        _blur(node, strides)


@layer("avgpool")
def _avgpool(node: Node) -> None:
    set_shape(node, 1, 1, node.src[2])


@layer("route")
def _route(node: Node) -> None:
    numbers = node.section.integers("layers")
    if not numbers:
        raise node.section.error("layers", "expected the numbers of the layers to concatenate")
    sources = [_reference(node, number, "layers") for number in numbers]
    width, height = sources[0].dst[:2]
    for source in sources[1:]:
        if source.dst[:2] != (width, height):
            raise node.section.error(
                "layers",
                f"layer {source.index} is {show(source.dst)}, layer {sources[0].index} is "
                f"{show(sources[0].dst)}; width and height must be equal",
            )
    groups = node.section.integer("groups")
    if not 0 <= node.section.integer("group_id") < groups:
        raise node.section.error("group_id", f"expected 0 … {groups - 1}")
    node.dst = (width, height, sum(source.dst[2] for source in sources) // groups)
    node.outputs = sum(source.outputs for source in sources) // groups


@layer("shortcut")
def _shortcut(node: Node) -> None:
    section = node.section
    numbers = section.integers("from")
    if not numbers:
        raise node.section.error("from", "expected the numbers of the layers to add")
    for number in numbers:
        source = _reference(node, number, "from")
        if source.dst[:2] != node.src[:2]:
            raise node.section.error(
                "from", f"layer {source.index} is {show(source.dst)}, the input is {show(node.src)}"
            )
    _same(node)
    kind = section.text("weights_type")
    length = {"none": 0, "per_feature": 1, "per_layer": 1, "per_channel": node.src[2]}.get(kind)
    if length is None:
        raise node.section.error("weights_type", f"found {kind!r}, expected none, per_feature or per_channel")
    if length:
        node.arrays = [("weights", (len(numbers) + 1) * length)]
    node.flops = float(len(numbers) * node.inputs * (2 if length else 1))


@layer("upsample")
def _upsample(node: Node) -> None:
    stride = node.section.integer("stride")
    width, height, channels = node.src
    if stride >= 0:
        set_shape(node, width * stride, height * stride, channels)
    else:
        set_shape(node, width // -stride, height // -stride, channels)


@layer("reorg", "reorg3d")
def _reorg(node: Node) -> None:
    stride = node.section.integer("stride")
    width, height, channels = node.src
    if stride < 1:
        raise node.section.error("stride", f"found {stride}, expected at least 1")
    if node.section.integer("reverse"):
        set_shape(node, width * stride, height * stride, channels // (stride * stride))
    else:
        set_shape(node, width // stride, height // stride, channels * stride * stride)


@layer("scale_channels", "sam")
def _multiply(node: Node) -> None:
    numbers = node.section.integers("from")
    if len(numbers) != 1:
        raise node.section.error("from", "expected the number of one layer")
    source = _reference(node, numbers[0], "from")
    width, height, channels = source.dst
    expected = source.dst
    if node.type == "scale_channels":
        expected = (width, height, 1) if node.section.integer("scale_wh") else (1, 1, channels)
    if node.src != expected:
        raise node.section.error("from", f"the input is {show(node.src)}, expected {show(expected)}")
    set_shape(node, width, height, channels)


@layer("dropout", "activation", "normalization", "empty", "cost")
def _unchanged(node: Node) -> None:
    _same(node)


@layer("softmax", "contrastive")
def _flat(node: Node) -> None:
    node.outputs = node.inputs


@layer("batchnorm")
def _batchnorm(node: Node) -> None:
    _same(node)
    node.arrays = [("biases", node.src[2]), *batch_norm("", node.src[2])]


@layer("crop")
def _crop(node: Node) -> None:
    set_shape(node, node.section.integer("crop_width"), node.section.integer("crop_height"), node.src[2])


@layer("local")
def _local(node: Node) -> None:
    section = node.section
    width, height, channels = node.src
    size, stride, filters = section.integer("size"), section.integer("stride"), section.integer("filters")
    taken = 1 if section.integer("pad") else size
    set_shape(node, (width - taken) // stride + 1, (height - taken) // stride + 1, filters)
    places = node.dst[0] * node.dst[1]
    node.arrays = [("biases", node.outputs), ("weights", places * filters * channels * size * size)]


@layer("implicit")
def _implicit(node: Node) -> None:
    filters, atoms = node.section.integer("filters"), node.section.integer("atoms")
    set_shape(node, 1, atoms, filters)
    node.arrays = [("weights", filters * atoms)]


@layer("history")
def _history(node: Node) -> None:
    width, height, channels = node.src
    set_shape(node, width, height, channels * node.section.integer("history_size"))


@layer("yolo", "Gaussian_yolo", "region")
def _head(node: Node) -> None:
    section = node.section
    classes, num = section.integer("classes"), section.integer("num")
    boxes = num if node.type == "region" else len(section.integers("mask")) or num
    entries = section.integer("coords") if node.type == "region" else 8 if node.type == "Gaussian_yolo" else 4
    _same(node)
    needed = boxes * (classes + entries + 1)
    if node.src[2] != needed:
        raise node.section.error(
            "",
            f"input has {node.src[2]} channels, expected {needed} = (classes {classes} + {entries + 1})"
            f" · {boxes} anchors; set filters={needed} in the [convolutional] above",
        )


@layer("detection")
def _detection(node: Node) -> None:
    number = node.section.integer
    needed = number("side") ** 2 * ((1 + number("coords")) * number("num") + number("classes"))
    _same(node)
    if node.inputs != needed:
        raise node.section.error("", f"input has {node.inputs} values, expected {needed}")
