# SPDX-License-Identifier: Apache-2.0
"""Match of a weights file with a network by the number of values, because the file contains no names.

A file fits if its last value is the last value of some layer and none are left over.  The number of
values of a network grows linearly with its classes, so the class count can be read off the size of a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from pydarknet.cfg import FAMILIES, new, walk
from pydarknet.cfg.keys import HEADS
from pydarknet.cfg.shapes import Node, Walk

# Public cfgs of the same size as a family: only activations, anchors or training settings differ.
SAME_SIZE: dict[str, tuple[str, ...]] = {
    "yolov4": ("cd53paspp-gamma", "yolov4-custom", "yolov4_new"),
    "yolov4-tiny": ("yolov4-tiny-custom",),
    "yolov4-csp": ("yolov4-csp-swish",),
    "yolov4x-mish": ("yolov4-csp-x-mish", "yolov4-csp-x-swish"),
    "yolov4-p5": ("yolov4-p5-frozen",),
    "yolov3": ("yolov3.coco-giou-12",),
    "yolov3-tiny": ("yolov3-tiny_obj", "yolov3-tiny_xnor"),
}


@dataclass(frozen=True, slots=True)
class Boundary:
    """The end of a layer that has weights.

    Attributes:
        layer: Darknet's layer number.
        floats: values from the start of the file to the end of this layer.
        slope: how much ``floats`` grows with one more class.
    """

    layer: int
    floats: int
    slope: int

    def at(self, more_classes: int) -> int:
        """``floats`` for a network with N more classes."""
        return self.floats + self.slope * more_classes


@dataclass(frozen=True, slots=True)
class Fit:
    """How a file of some size lies on a network.

    Attributes:
        layers: layers that get all their weights, counted from layer 0.
        total: layers of the network.
        missing: values that the network has beyond the file.
        left_over: values that the file has beyond the network.
        cut_layer: layer inside which the file ends, or None.
        cut_share: share of that layer's values that the file still holds, 0…1.
    """

    layers: int
    total: int
    missing: int = 0
    left_over: int = 0
    cut_layer: int | None = None
    cut_share: float = 0.0

    @property
    def good(self) -> bool:
        """The file ends exactly where a layer ends, and holds at least one."""
        return self.cut_layer is None and not self.left_over and self.layers > 0

    @property
    def complete(self) -> bool:
        """The file holds all weights of the network and no more."""
        return self.good and not self.missing

    def __str__(self) -> str:
        if self.cut_layer is not None:
            return f"ends inside layer {self.cut_layer}, after {self.cut_share:.1%} of its values"
        if self.left_over:
            return f"has {self.left_over} values more than the network"
        if not self.layers:
            return "holds no weights"
        return "fits exactly" if self.complete else f"fits the first {self.layers} of {self.total} layers"


@dataclass(frozen=True, slots=True)
class Match:
    """A public network that a file may belong to.

    Attributes:
        model: name of the family.
        layers: the file holds layers 0 … ``layers`` − 1.
        classes: classes of the network by the size of the file; None if the file ends before the heads.
        complete: the file holds the whole network.
    """

    model: str
    layers: int
    classes: int | None
    complete: bool

    def __str__(self) -> str:
        if self.complete:
            return f"{self.model}, {self.classes} classes"
        heads = "" if self.classes is None else f", {self.classes} classes"
        return f"first {self.layers} layers of {self.model}{heads}"


def boundaries(nodes: Walk) -> list[Boundary]:
    """Where the layers with weights end, in file order; layers with ``dontload`` read none."""
    found, floats, slope = [], 0, 0
    for index, node in enumerate(nodes):
        if not node.floats or node.section.integer("dontload", 0):
            continue
        floats += node.floats
        slope += _class_slope(node, nodes[index + 1] if index + 1 < len(nodes) else None)
        found.append(Boundary(index, floats, slope))
    return found


def _class_slope(node: Node, head: Node | None) -> int:
    """Values that this layer gains with one more class: it must be the convolution in front of a head."""
    if head is None or head.type not in HEADS or head.type == "detection" or node.type != "convolutional":
        return 0
    number = head.section.integer("num")
    boxes = number if head.type == "region" else len(head.section.integers("mask")) or number
    return boxes * (node.floats // max(node.section.integer("filters"), 1))


def fit(floats: int, nodes: Walk) -> Fit:
    """Match a file of N values with a network."""
    ends = boundaries(nodes)
    total = ends[-1].floats if ends else 0
    if floats > total:
        return Fit(len(nodes), len(nodes), left_over=floats - total)
    layers, before = 0, 0
    for end in ends:
        if end.floats > floats:
            if before == floats:
                break
            share = (floats - before) / (end.floats - before)
            return Fit(layers, len(nodes), total - floats, 0, end.layer, share)
        layers, before = end.layer + 1, end.floats
    return Fit(layers, len(nodes), total - floats)


def classes_by_size(floats: int, nodes: Walk, classes: int) -> int | None:
    """How many classes this network has in a complete file of that size, or None if none fits.

    Args:
        floats: values in the file.
        nodes: the network.
        classes: classes of the network as it is.
    """
    ends = boundaries(nodes)
    return _solve(floats, ends[-1], classes) if ends else None


def _solve(floats: int, end: Boundary, classes: int) -> int | None:
    """The class count for which a layer ends exactly there."""
    if not end.slope or (floats - end.floats) % end.slope:
        return None
    found = classes + (floats - end.floats) // end.slope
    return found if found >= 1 else None


@lru_cache(maxsize=64)
def profile(model: str) -> tuple[Boundary, ...]:
    """Boundaries of a family with one class."""
    return tuple(boundaries(walk(new(model, classes=1))))


def guess(floats: int) -> list[Match]:
    """Public networks whose complete or cut weights have this size, complete ones first.

    Cuts behind a head fit many sizes by accident, so they are only listed for a class count that a complete
    network of this size has too, or for the 80 classes of COCO.
    """
    complete = [Match(name, *found, True) for name in FAMILIES for found in _complete(name, floats)]
    plausible = {match.classes for match in complete} | {80}
    partial = [
        match for name in FAMILIES for match in _partial(name, floats) if match.classes in (None, *plausible)
    ]
    return complete + partial


def _complete(model: str, floats: int) -> Iterator[tuple[int, int]]:
    end = profile(model)[-1]
    classes = _solve(floats, end, 1)
    if classes is not None:
        yield end.layer + 1, classes


def _partial(model: str, floats: int) -> Iterator[Match]:
    for end in profile(model)[:-1]:
        if not end.slope and end.floats == floats:
            yield Match(model, end.layer + 1, None, False)
        elif end.slope and (classes := _solve(floats, end, 1)):
            yield Match(model, end.layer + 1, classes, False)


def twins(nodes: Walk) -> list[str]:
    """Families with arrays of the same sizes in the same order, whose activations differ from these.

    The size does not identify the network; loading the wrong weights gives poor detections without an error.
    """
    sizes, activations = _arrays(nodes), _activations(nodes)
    classes = next((node.section.integer("classes") for node in nodes if node.type in HEADS), 1)
    found = []
    for name in FAMILIES:
        if profile(name)[-1].at(classes - 1) != nodes.floats:
            continue
        other = walk(new(name, classes=classes))
        if _arrays(other) == sizes and _activations(other) != activations:
            found.append(name)
    return found


def _arrays(nodes: Walk) -> list[int]:
    return [size for node in nodes for _, size in node.arrays]


def _activations(nodes: Walk) -> list[str]:
    return [node.section.text("activation") for node in nodes if node.type == "convolutional"]
