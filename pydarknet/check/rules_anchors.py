# SPDX-License-Identifier: Apache-2.0
"""Rules about anchors: whether every object and every anchor finds the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pydarknet.cfg.model import Section
from pydarknet.check.catalogue import ERROR, WARNING, Found, at, rule
from pydarknet.check.inputs import Inputs

LOST = 0.01  # share of objects without an anchor from which on a training suffers


@dataclass(frozen=True)
class _Head:
    """Anchors of a head as (n, 2) widths and heights in pixels, and the numbers that its mask uses."""

    section: Section
    anchors: NDArray[np.float64]
    mask: list[int]

    @property
    def tolerance(self) -> float:
        """IoU from which on anchors besides the most similar one take an object, too."""
        return self.section.number("iou_thresh")

    def shape(self, anchor: int) -> str:
        """An anchor for messages."""
        width, height = self.anchors[anchor]
        return f"{anchor} ({width:g}×{height:g})"


def _heads(inputs: Inputs) -> list[_Head]:
    """The heads that choose among anchors, as far as they are valid."""
    found = []
    for section in inputs.cfg.heads:
        numbers, num = section.numbers("anchors"), max(section.integer("num"), 1)
        mask = section.integers("mask") or list(range(num))
        num = max(num, max(mask) + 1)
        anchors = np.full(2 * num, 0.5)
        anchors[: len(numbers)] = numbers[: 2 * num]
        if section.type in ("yolo", "Gaussian_yolo") and min(mask) >= 0:
            found.append(_Head(section, anchors.reshape(-1, 2), mask))
    return found


@rule(
    "L-40",
    WARNING,
    "anchors that no object can use",
    "List every anchor in one mask, or calculate new ones: pydarknet anchors --cfg … --data …",
)
def anchors_in_use(inputs: Inputs) -> Iterator[Found]:
    """An object belongs to the anchor of the most similar shape.  If that anchor is in no mask, nothing
    learns the object, unless iou_thresh is below 1; with data, an error if that is so for all objects.  An
    anchor that equals an earlier one takes no object.  Without data, more than a third of the anchors must be
    in no mask: some published networks leave out one."""
    heads = _heads(inputs) if inputs.built else []
    yield from (found for head in heads for found in _equal(head))
    free = {head.section.line: _unmasked(head, heads) for head in heads}
    if not any(free.values()):
        return
    boxes = _boxes(inputs)
    if not len(boxes):
        for head in heads:
            unused = free[head.section.line]
            if len(unused) > len(head.anchors) / 3:
                listed = ", ".join(map(head.shape, unused))
                yield at(
                    head.section, "mask", f"no mask uses the anchors {listed}: such objects are not learnt"
                )
                return
        return
    lost = np.logical_and.reduce([_lost(head, boxes) for head in heads])
    share = float(lost.mean())
    if share > LOST:
        text = f"{share:.1%} of the boxes are not learnt: no mask uses the anchor of the most similar shape"
        yield at(heads[0].section, "mask", text, "0 %", ERROR if share == 1 else None)


def _boxes(inputs: Inputs) -> NDArray[np.float64]:
    """(n, 2) sizes of the training boxes in pixels of the input."""
    width, height = inputs.net.integer("width"), inputs.net.integer("height")
    if inputs.data is None or not inputs.data.train.sizes:
        return np.empty((0, 2))
    return inputs.data.train.network_sizes(width, height, bool(inputs.net.integer("letter_box")))


def _equal(head: _Head) -> Iterator[Found]:
    for later in sorted(set(head.mask)) if head.tolerance >= 1 else ():
        same = np.flatnonzero((head.anchors[:later] == head.anchors[later]).all(axis=1))
        if len(same):
            text = f"anchor {head.shape(later)} equals anchor {same[0]}, which takes all of its objects"
            yield at(head.section, "anchors", text)


def _unmasked(head: _Head, heads: list[_Head]) -> list[int]:
    """Anchors of a head that no head with the same anchors has in its mask."""
    used = {i for other in heads if np.array_equal(other.anchors, head.anchors) for i in other.mask}
    return [anchor for anchor in range(len(head.anchors)) if anchor not in used]


def _lost(head: _Head, boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(n,) True for the boxes that no anchor of the head's mask takes."""
    both = np.minimum(boxes[:, None], head.anchors).prod(axis=2)
    iou = both / (boxes.prod(axis=1)[:, None] + head.anchors.prod(axis=1) - both)
    taken = np.isin(iou.argmax(axis=1), head.mask) | (iou[:, head.mask].max(axis=1) > head.tolerance)
    return np.asarray(~taken)
