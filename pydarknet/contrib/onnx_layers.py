# SPDX-License-Identifier: Apache-2.0
"""Darknet layers in ONNX: one function per layer, called by :mod:`pydarknet.contrib.onnx_export`.

A function gets a :class:`Layer` and returns the name of its output, (n, c, h, w) if the layer keeps shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pydarknet.contrib.onnx_graph import Array, Graph, Layer, activate

_EPSILON = 1e-5  # inside the root of Darknet's batch-norm


def fold_batch_norm(arrays: dict[str, Array], weights: Array) -> tuple[Array, Array]:
    """Weights and biases with the batch-norm in them, computed in float64; filters are the first axis."""
    biases = arrays["biases"].astype(np.float64)
    if "scales" not in arrays:
        return weights, arrays["biases"]
    factor = arrays["scales"] / np.sqrt(arrays["variances"].astype(np.float64) + _EPSILON)
    folded = weights * factor.reshape(-1, *[1] * (weights.ndim - 1))
    return folded.astype(np.float32), (biases - arrays["means"] * factor).astype(np.float32)


def _strides(layer: Layer) -> tuple[int, int]:
    """(stride_y, stride_x)"""
    key = layer.section
    stride = max(1, key.integer("stride", 1))
    stride_x, stride_y = (key.integer(name, -1) for name in ("stride_x", "stride_y"))
    return (stride_y if stride_y > 0 else stride, stride_x if stride_x > 0 else stride)


def _blur(layer: Layer, x: str, strides: tuple[int, int], channels: int) -> str:
    """The antialiasing stage: a fixed low-pass filter that takes the strides."""
    mode = layer.section.integer("antialiasing", 0)
    line = np.array([1, 2, 1] if mode == 1 else [1, 1], np.float32)
    kernel = np.outer(line, line) / line.sum() ** 2
    weights = np.broadcast_to(kernel, (channels, 1, *kernel.shape))
    pad = 1 if mode == 1 else 0
    return layer.graph.add(
        "Conv", [x, layer.graph.constant(weights)], strides=strides, pads=[pad] * 4, group=channels
    )


def convolutional(layer: Layer) -> str:
    """A correlation with batch-norm folded in, then the activation, then the blur if there is one."""
    key, graph = layer.section, layer.graph
    filters, size, groups = (
        key.integer("filters", 1),
        key.integer("size", 1),
        max(1, key.integer("groups", 1)),
    )
    padding = size // 2 if key.integer("pad", 0) else key.integer("padding", 0)
    dilation = key.integer("dilation", 1) if size > 1 else 1
    if dilation > 1 and padding * 2 != size - 1:
        raise layer.refuse(f"dilation={dilation} needs pad=1; Darknet's shape would differ from ONNX's")
    channels = layer.shapes[0][0]
    flat = layer.arrays["weights"]
    shape = (filters, channels // groups, size, size)
    weights, biases = fold_batch_norm(layer.arrays, flat.reshape(shape))
    strides = _strides(layer)
    blurred = key.integer("antialiasing", 0) > 0
    x = graph.add(
        "Conv",
        [layer.inputs[0], graph.constant(weights), graph.constant(biases)],
        strides=(1, 1) if blurred else strides,
        pads=[padding * dilation] * 4,
        dilations=(dilation, dilation),
        group=groups,
    )
    x = activate(layer, x, default="logistic")
    return _blur(layer, x, strides, filters) if blurred else x


def _window(layer: Layer, strides: tuple[int, int]) -> dict[str, Any]:
    """Attributes of a pooling window; Darknet's padding is the total, its smaller half before the image."""
    size = layer.section.integer("size", layer.section.integer("stride", 1))
    padding = layer.section.integer("padding", size - 1)
    before, after = padding // 2, padding - padding // 2
    if max(before, after) >= size > 1:
        raise layer.refuse(f"padding={padding} is wider than the window of {size}")
    return {"kernel_shape": (size, size), "strides": strides, "pads": (before, before, after, after)}


def maxpool(layer: Layer) -> str:
    """Largest value of a window, or over groups of channels."""
    graph, (channels, height, width) = layer.graph, layer.shapes[0]
    if layer.section.integer("maxpool_depth", 0):
        groups = layer.section.integer("out_channels", 1)
        if channels % groups:
            raise layer.refuse(f"out_channels={groups} does not divide {channels} channels")
        x = layer.reshape(layer.inputs[0], (channels // groups, groups, height, width))
        return graph.add("ReduceMax", [x], axes=[1], keepdims=0)
    strides = _strides(layer)
    if layer.section.integer("antialiasing", 0):
        x = graph.add("MaxPool", layer.inputs, **_window(layer, (1, 1)))
        return _blur(layer, x, strides, channels)
    return graph.add("MaxPool", layer.inputs, **_window(layer, strides))


def local_avgpool(layer: Layer) -> str:
    """Mean of the valid values of a window."""
    window = _window(layer, _strides(layer))
    return layer.graph.add("AveragePool", layer.inputs, count_include_pad=0, **window)


def avgpool(layer: Layer) -> str:
    """Mean of each channel."""
    return layer.graph.add("GlobalAveragePool", layer.inputs)


def _channels(layer: Layer, x: str, first: int, end: int) -> str:
    bounds = [layer.graph.constant([value], np.int64) for value in (first, end, 1)]
    return layer.graph.add("Slice", [x, *bounds])


def route(layer: Layer) -> str:
    """Channels of several layers one after the other, or one group of each."""
    groups, group = layer.section.integer("groups", 1), layer.section.integer("group_id", 0)
    parts = []
    for x, (channels, _, _) in zip(layer.inputs, layer.shapes, strict=True):
        if channels % groups:
            raise layer.refuse(f"groups={groups} does not divide the {channels} channels of a source")
        size = channels // groups
        parts.append(x if groups == 1 else _channels(layer, x, group * size, (group + 1) * size))
    return parts[0] if len(parts) == 1 else layer.graph.add("Concat", parts, axis=1)


def _to_channels(layer: Layer, x: str, have: int, want: int) -> str:
    """Cut surplus channels off, or add channels of zeros."""
    if have > want:
        return _channels(layer, x, 0, want)
    if have < want:
        pads = layer.graph.constant([0, 0, 0, 0, 0, want - have, 0, 0], np.int64)
        return layer.graph.add("Pad", [x, pads])
    return x


def _to_size(layer: Layer, x: str, have: tuple[int, int], want: tuple[int, int]) -> str:
    """Of a larger source every n-th value of every n-th row."""
    if have == want:
        return x
    step = have[0] // want[0]
    bounds = [layer.graph.constant(values, np.int64) for values in ([0, 0], have, [2, 3], [step, step])]
    return layer.graph.add("Slice", [x, *bounds])


def shortcut_weights(weights: Array, normalization: str) -> Array:
    """Normalised weights, (sources, channels or 1), as Darknet uses them in inference."""
    if normalization in ("relu", "avg_relu"):
        positive = np.maximum(weights, 1e-3)
    elif normalization == "softmax":
        positive = np.exp(weights - weights.max(axis=0))
    else:
        return weights
    normalised: Array = positive / (1e-4 + positive.sum(axis=0))
    return normalised


def shortcut(layer: Layer) -> str:
    """Sum of several layers, the first of which sets the number of channels and the size."""
    graph = layer.graph
    wanted, *size = layer.shapes[0]
    terms = [
        _to_channels(layer, _to_size(layer, x, shape[1:], (size[0], size[1])), shape[0], wanted)
        for x, shape in zip(layer.inputs, layer.shapes, strict=True)
    ]
    if "weights" in layer.arrays:
        weights = layer.arrays["weights"].reshape(len(terms), -1)
        weights = shortcut_weights(weights, layer.section.get("weights_normalization") or "none")
        terms = [
            graph.add("Mul", [x, graph.constant(row.reshape(1, -1, 1, 1))])
            for x, row in zip(terms, weights, strict=True)
        ]
    total = terms[0]
    for term in terms[1:]:
        total = graph.add("Add", [total, term])
    return activate(layer, total)


def upsample(layer: Layer) -> str:
    """Nearest neighbour; a negative stride sums over blocks."""
    graph, stride, scale = layer.graph, layer.section.integer("stride", 2), layer.section.number("scale", 1.0)
    x = layer.inputs[0]
    if stride < 0:
        size = (-stride, -stride)
        x = graph.add("AveragePool", [x], kernel_shape=size, strides=size)
        scale *= stride * stride
    else:
        scales = graph.constant([1, 1, stride, stride])
        x = graph.add(
            "Resize",
            [x, "", scales],
            mode="nearest",
            nearest_mode="floor",
            coordinate_transformation_mode="asymmetric",
        )
    return x if scale == 1 else graph.add("Mul", [x, graph.constant(scale)])


def reorg_map(kind: str, stride: int, reverse: bool, shape: tuple[int, int, int]) -> Array:
    """Flat index of the input for each flat index of the output."""
    s = stride
    if kind == "reorg3d" and not reverse:
        c, h, w = shape
        k, j, i = np.ogrid[: c * s * s, : h // s, : w // s]
        block = k // c
        return np.asarray((k % c * h + j * s + block // s) * w + i * s + block % s).ravel()
    # The legacy map, walked over the tensor with smaller planes, (c, h, w); `wide` lies in the other tensor.
    c, h, w = shape
    if kind == "reorg3d":  # Darknet iterates over its result, so this is not an inverse of the above
        c, h, w = c // (s * s), h * s, w * s
    k, j, i = np.ogrid[:c, :h, :w]
    small = max(1, c // (s * s))
    offset = k // small
    wide = np.asarray(i * s + offset % s + w * s * (j * s + offset // s + h * s * (k % small))).ravel()
    narrow = np.asarray(i + w * (j + h * k)).ravel()
    size = shape[0] * shape[1] * shape[2]
    source = np.zeros(size, np.int64)
    if kind == "reorg" and not reverse:
        source[narrow] = wide
    else:
        source[wide] = narrow
    return source


def reorg(layer: Layer) -> str:
    """A permutation between pixels and channels."""
    key = layer.section
    stride, reverse = key.integer("stride", 1), bool(key.integer("reverse", 0))
    source = reorg_map(layer.info.type, stride, reverse, layer.shapes[0])
    flat = layer.reshape(layer.inputs[0], (-1,))
    gathered = layer.graph.add("Gather", [flat, layer.graph.constant(source, np.int64)], axis=1)
    return layer.reshape(gathered, layer.info.out_shape)


def multiply(layer: Layer) -> str:
    """scale_channels and sam: broadcasting covers (c, 1, 1), (1, h, w) and equal shapes."""
    return activate(layer, layer.graph.add("Mul", layer.inputs))


def identity(layer: Layer) -> str:
    """The layer does nothing in inference."""
    return layer.inputs[0]


def batchnorm(layer: Layer) -> str:
    """Batch-norm with the rolling statistics."""
    names = ("scales", "biases", "means", "variances")
    constants = [layer.graph.constant(layer.arrays[name]) for name in names]
    return layer.graph.add("BatchNormalization", [layer.inputs[0], *constants], epsilon=_EPSILON)


def activation(layer: Layer) -> str:
    """An activation alone."""
    return activate(layer, layer.inputs[0])


def connected(layer: Layer) -> str:
    """A dense layer."""
    outputs = layer.info.outputs
    # Batch-norm comes before the bias is added, as in a convolution.
    weights, biases = fold_batch_norm(layer.arrays, layer.arrays["weights"].reshape(outputs, -1))
    flat = layer.graph.add("Flatten", [layer.inputs[0]])
    x = layer.graph.add("Gemm", [flat, layer.graph.constant(weights), layer.graph.constant(biases)], transB=1)
    return layer.reshape(activate(layer, x, default="logistic"), layer.info.out_shape)


def softmax(layer: Layer) -> str:
    """Softmax over groups of values."""
    if layer.section.get("tree"):
        raise layer.refuse("a class tree has no ONNX counterpart")
    graph, groups = layer.graph, layer.section.integer("groups", 1)
    x = layer.reshape(layer.inputs[0], (groups, -1))
    temperature = layer.section.number("temperature", 1.0)
    if temperature != 1:
        x = graph.add("Div", [x, graph.constant(temperature)])
    return layer.reshape(graph.add("Softmax", [x], axis=-1), layer.info.out_shape)


def crop(layer: Layer) -> str:
    """The middle of the image, as -1..1 unless noadjust is set."""
    (_, height, width), (_, out_height, out_width) = layer.shapes[0], layer.info.out_shape
    top, left = (height - out_height) // 2, (width - out_width) // 2
    ends = [[top, left], [top + out_height, left + out_width], [2, 3]]
    x = layer.graph.add("Slice", [layer.inputs[0], *(layer.graph.constant(end, np.int64) for end in ends)])
    if layer.section.integer("noadjust", 0):
        return x
    doubled = layer.graph.add("Mul", [x, layer.graph.constant(2)])
    return layer.graph.add("Sub", [doubled, layer.graph.constant(1)])


def implicit(layer: Layer) -> str:
    """The weights for every item of the batch; only the size of the input matters."""
    graph = layer.graph
    batch = graph.add("Slice", [graph.add("Shape", [layer.inputs[0]]), *_first_axis(graph)])
    shape = graph.add("Concat", [batch, graph.constant(layer.info.out_shape, np.int64)], axis=0)
    weights = layer.arrays["weights"].reshape(1, *layer.info.out_shape)
    return graph.add("Expand", [graph.constant(weights), shape])


def _first_axis(graph: Graph) -> list[str]:
    return [graph.constant([value], np.int64) for value in (0, 1)]


# -- heads: the tensors that Darknet stores in them ----------------------------------------------------------


def _entries(layer: Layer, count: int) -> tuple[str, int]:
    """The input as (n, anchors, entries, h, w), and the number of anchors."""
    channels, height, width = layer.shapes[0]
    return layer.reshape(layer.inputs[0], (channels // count, count, height, width)), channels // count


def _split(layer: Layer, x: str, sizes: Sequence[int]) -> list[str]:
    names = [f"{x}_part{i}" for i in range(len(sizes))]
    from onnx import helper

    sizes_name = layer.graph.constant(sizes, np.int64)
    layer.graph.nodes.append(helper.make_node("Split", [x, sizes_name], names, axis=2))
    return names


def yolo(layer: Layer) -> str:
    """x, y: logistic, then scale_x_y; w, h raw; objectness, classes: logistic. new_coords: no logistic."""
    graph, key = layer.graph, layer.section
    classes, scale = key.integer("classes", 20), key.number("scale_x_y", 1.0)
    raw = bool(key.integer("new_coords", 0))
    x, _ = _entries(layer, 5 + classes)
    xy, wh, rest = _split(layer, x, (2, 2, 1 + classes))
    if not raw:
        xy, rest = graph.add("Sigmoid", [xy]), graph.add("Sigmoid", [rest])
    return layer.reshape(graph.add("Concat", [_stretch(graph, xy, scale), wh, rest], axis=2), layer.shapes[0])


def gaussian_yolo(layer: Layer) -> str:
    """Entries: x, its deviation, y, w, h likewise, objectness, classes; w and h stay raw."""
    graph, key = layer.graph, layer.section
    classes, scale = key.integer("classes", 20), key.number("scale_x_y", 1.0)
    x, _ = _entries(layer, 9 + classes)
    parts = _split(layer, x, (1, 1, 1, 1, 1, 1, 1, 1, 1 + classes))
    parts = [part if i in (4, 6) else graph.add("Sigmoid", [part]) for i, part in enumerate(parts)]
    parts[0], parts[2] = (_stretch(graph, parts[i], scale) for i in (0, 2))
    return layer.reshape(graph.add("Concat", parts, axis=2), layer.shapes[0])


def _stretch(graph: Graph, x: str, scale: float) -> str:
    if scale == 1:
        return x
    return graph.add("Sub", [graph.add("Mul", [x, graph.constant(scale)]), graph.constant((scale - 1) / 2)])


def region(layer: Layer) -> str:
    """Stored as (cells, anchors, entries): boxes raw, objectness logistic, classes with softmax if set."""
    graph, key = layer.graph, layer.section
    if key.get("tree"):
        raise layer.refuse("a class tree has no ONNX counterpart")
    classes, coords = key.integer("classes", 20), key.integer("coords", 4)
    x, _ = _entries(layer, coords + 1 + classes)
    boxes, objectness, scores = _split(layer, x, (coords, 1, classes))
    objectness = graph.add("Sigmoid", [objectness])
    if key.integer("softmax", 0):
        scores = graph.add("Softmax", [scores], axis=2)
    x = graph.add("Concat", [boxes, objectness, scores], axis=2)
    return graph.add("Transpose", [x], perm=[0, 3, 4, 1, 2])


LAYERS: dict[str, Callable[[Layer], str]] = {
    "activation": activation,
    "avgpool": avgpool,
    "batchnorm": batchnorm,
    "connected": connected,
    "convolutional": convolutional,
    "cost": identity,
    "crop": crop,
    "dropout": identity,
    "empty": identity,
    "gaussian_yolo": gaussian_yolo,
    "implicit": implicit,
    "local_avgpool": local_avgpool,
    "maxpool": maxpool,
    "region": region,
    "reorg": reorg,
    "reorg3d": reorg,
    "route": route,
    "sam": multiply,
    "scale_channels": multiply,
    "shortcut": shortcut,
    "softmax": softmax,
    "upsample": upsample,
    "yolo": yolo,
}
