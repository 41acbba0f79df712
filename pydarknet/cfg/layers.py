# SPDX-License-Identifier: Apache-2.0
"""Layer rules: output shape and parameters by section type.

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
        dst: (w, h, c) of the output, behind the blur of ``antialiasing``.
        outputs: values per image in the output.
        inputs: values per image in the input.
        arrays: name and size of every float32 array in the weights file, in file order.
        flops: floating point operations per image as Darknet counts them.
        sources: numbers of the layers read by ``route``, ``shortcut``, ``sam`` and ``scale_channels``.
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


def _window(
    node: Node, sides: tuple[int, int], padding: int, size: int, strides: tuple[int, int]
) -> tuple[int, int]:
    """Width and height behind a sliding window; ``padding`` counts both sides together."""
    room = [side + padding - size for side in sides]
    if min(room) < 0:
        what = f"a window of {size} does not fit into {sides[0]}×{sides[1]} with a padding of {padding}"
        raise node.section.error("size", what)
    return room[0] // strides[0] + 1, room[1] // strides[1] + 1


def _strided(node: Node, padding: int, size: int) -> tuple[int, int]:
    """Width and height of a sliding window with the layer's strides; sets the output behind the blur too.

    With ``antialiasing`` the window moves by one pixel, and a blur of 3×3 or 2×2 takes the strides.
    """
    blur = node.section.integer("antialiasing", 0)
    strides = _strides(node.section)
    sides = _window(node, node.src[:2], padding, size, (1, 1) if blur else strides)
    width, height = _window(node, sides, *((2, 3) if blur == 1 else (0, 2)), strides) if blur else sides
    set_shape(node, width, height, node.src[2])
    return sides


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
    padding = size // 2 if section.integer("pad") else section.integer("padding")
    dilation = section.integer("dilation") if size > 1 else 1
    if dilation > 1 and padding < size // 2:
        what = f"padding {padding} is too small for size {size} with dilation {dilation}; set pad=1"
        raise section.error("padding", what)
    sides = _strided(node, 2 * padding, size)
    set_shape(node, *node.dst[:2], filters)
    weights = channels // groups * filters * size * size
    node.flops = 2.0 * weights * sides[0] * sides[1] / (32 if section.integer("xnor") else 1)
    if "share_index" in section:
        _check_shared(node)
        return
    bn = section.integer("batch_normalize") or section.integer("cbn")
    stored = batch_norm("", filters) if bn and not section.integer("dontloadscales") else []
    node.arrays = [("biases", filters), *stored, ("weights", weights)]


def _check_shared(node: Node) -> None:
    owner = _reference(node, node.section.integer("share_index"), "share_index")
    node.sources.clear()
    if owner.type != "convolutional":
        raise node.section.error(
            "share_index", f"layer {owner.index} is [{owner.section.name}], expected a convolution"
        )
    same = ("size", "filters", "groups", "batch_normalize")
    differs = [key for key in same if node.section.integer(key) != owner.section.integer(key)]
    if differs or owner.src[2] != node.src[2]:
        what = ", ".join(differs) or "the input channels"
        raise node.section.error(
            "share_index", f"shares the weights of layer {owner.index}, but {what} differ"
        )


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
    size = section.integer("size", section.integer("stride"))
    if node.type == "maxpool" and section.integer("maxpool_depth"):
        if section.integer("antialiasing"):
            raise section.error("antialiasing", "cannot be combined with maxpool_depth")
        out = section.integer("out_channels")
        if not 1 <= out <= channels:
            raise section.error("out_channels", f"found {out}, expected 1 … {channels}, the input's channels")
        set_shape(node, width, height, out)
        sides = (width, height)
    else:
        sides = _strided(node, section.integer("padding", size - 1), size)
    node.flops = float(size * size * channels * sides[0] * sides[1])


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
    for source in sources:
        if source.dst[2] % groups:
            what = f"{source.dst[2]} channels of layer {source.index} do not divide into {groups} groups"
            raise node.section.error("groups", what)
    set_shape(node, width, height, sum(source.dst[2] // groups for source in sources))


@layer("shortcut")
def _shortcut(node: Node) -> None:
    section = node.section
    numbers = section.integers("from")
    if not numbers:
        raise node.section.error("from", "expected the numbers of the layers to add")
    for number in numbers:
        source = _reference(node, number, "from")
        factor = source.dst[0] // node.src[0]
        if not factor or source.dst[:2] != (factor * node.src[0], factor * node.src[1]):
            raise node.section.error(
                "from",
                f"layer {source.index} is {show(source.dst)}, the input is {show(node.src)}; "
                "expected the same size or a multiple of both by one factor",
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
    reverse, block = node.section.integer("reverse"), stride * stride
    divisor = block * block if reverse and node.type == "reorg3d" else block
    if channels % divisor and (reverse or node.type == "reorg"):
        raise node.section.error("stride", f"{channels} input channels are not a multiple of {divisor}")
    if node.type == "reorg" and not reverse and (width % stride or height % stride):
        raise node.section.error("stride", f"the input of {width}×{height} is not a multiple of {stride}")
    if reverse:
        set_shape(node, width * stride, height * stride, channels // block)
    else:
        set_shape(node, width // stride, height // stride, channels * block)


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
    set_shape(node, 1, 1, node.inputs)


@layer("batchnorm")
def _batchnorm(node: Node) -> None:
    _same(node)
    node.arrays = [("biases", node.src[2]), *batch_norm("", node.src[2])]


@layer("crop")
def _crop(node: Node) -> None:
    width, height = node.section.integer("crop_width"), node.section.integer("crop_height")
    if width > node.src[0] or height > node.src[1]:
        raise node.section.error(
            "", f"a crop of {width}×{height} does not fit into {node.src[0]}×{node.src[1]}"
        )
    set_shape(node, width, height, node.src[2])


@layer("local")
def _local(node: Node) -> None:
    section = node.section
    width, height, channels = node.src
    size, stride, filters = section.integer("size"), section.integer("stride"), section.integer("filters")
    if stride < 1:
        raise section.error("stride", f"found {stride}, expected at least 1")
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
