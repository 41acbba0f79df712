# SPDX-License-Identifier: Apache-2.0
"""Comparison of two networks on the same images: detections side by side, and the first differing layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pydarknet.engine.boxes import iou
from pydarknet.engine.detections import Detections
from pydarknet.engine.images import ImageLike, Pixels
from pydarknet.engine.network import Network
from pydarknet.streaming.outputs import Drawn
from pydarknet.streaming.outputs.text import TextFile
from pydarknet.streaming.result import Result

_SAME_BOX = 0.5  # IoU from which two boxes of a class are the same object
_EXACT = 1e-5  # relative to the largest value; rounding by order of summation is below


@dataclass(frozen=True)
class Pair:
    """One object that both networks detect: rows in their Detections, and the overlap of the boxes (IoU)."""

    a: int
    b: int
    iou: float


def match(a: Detections, b: Detections) -> list[Pair]:
    """Objects that both detect: boxes of the same class name with an IoU of 0.5, best overlap first."""
    if not len(a) or not len(b):
        return []
    overlaps = iou(a.xyxy, b.xyxy)
    overlaps[np.array(a.labels)[:, None] != np.array(b.labels)] = 0
    pairs: list[Pair] = []
    for flat in np.argsort(-overlaps, axis=None, kind="stable").tolist():
        i, j = divmod(flat, len(b))
        if overlaps[i, j] < _SAME_BOX:
            break
        if all(i != pair.a and j != pair.b for pair in pairs):
            pairs.append(Pair(i, j, float(overlaps[i, j])))
    return pairs


_COLUMNS = "source,frame,time,objects_a,objects_b,both,only_a,only_b,mean_iou,confidence_change,a,b\n"


class Differences:
    """A CSV with one line per frame: number of objects of each network, and of both.

    ``mean_iou`` and ``confidence_change`` (of b against a) are means over the objects of both; ``a`` and
    ``b`` are counts by class.
    """

    def __init__(self, path: str) -> None:
        self._other = Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int32))
        self._path = path
        self._file = TextFile(path, self._line, _COLUMNS)
        self._frames = self._different = 0

    def add(self, result: Result, other: Detections) -> None:
        """Compare the detections of the first network with those of the second."""
        self._other = other
        self._file.write(result, lambda: None)

    def _line(self, result: Result, _: int) -> str:
        a, b = result.detections, self._other
        pairs = match(a, b)
        change = [float(b.confidence[pair.b] - a.confidence[pair.a]) for pair in pairs]
        means = [f"{np.mean(values):.4f}" if pairs else "" for values in ([p.iou for p in pairs], change)]
        only = len(a) - len(pairs), len(b) - len(pairs)
        self._frames += 1
        self._different += any(only)
        cells = [
            _quoted(result.frame.name),
            result.frame.index,
            f"{result.frame.time:.3f}",
            len(a),
            len(b),
            len(pairs),
            *only,
            *means,
            _quoted(a.count_text()),
            _quoted(b.count_text()),
        ]
        return ",".join(map(str, cells)) + "\n"

    def close(self) -> str:
        """Finish the file."""
        if not self._file.close():
            return ""
        return f"{self._different} of {self._frames} frames differ in their objects; see {self._path}"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def side_by_side(left: Drawn, right: Drawn) -> Pixels:
    """Two images of the same size as one of double width."""
    return np.hstack([left(), right()])


@dataclass(frozen=True)
class LayerDifference:
    """First difference between two networks.

    Attributes:
        layer: index of the first layer whose output differs; -1: their inputs differ.
        a: the layer in the first network, as ``net.cfg:57 [convolutional] 64 3x3/2 leaky``.
        b: in the second.
        largest: difference, relative to the largest value; inf if the shapes differ.
    """

    layer: int
    a: str
    b: str
    largest: float


def first_difference(a: Network, b: Network, image: ImageLike) -> LayerDifference | None:
    """The first layer whose output differs on an image; None if all are equal.

    Compare networks of the same precision: fp32 and bf16 differ from the first layer on.

    Args:
        a: a network.
        b: another, usually with the same weights and a slightly different cfg.
        image: see ``Network.detect``.
    """
    inputs = [network.preprocess(image)[np.newaxis] for network in (a, b)]
    if inputs[0].shape != inputs[1].shape or not np.array_equal(inputs[0], inputs[1]):
        shapes = ["input {}x{}x{}".format(*x.shape[:0:-1]) for x in inputs]
        return LayerDifference(-1, shapes[0], shapes[1], float("inf"))
    for index, largest in _layer_differences(a, b, inputs[0]):
        if largest > _EXACT:
            where = [f"{n.layers[index].where} {n.layers[index].description}" for n in (a, b)]
            return LayerDifference(index, where[0], where[1], largest)
    return None


def _layer_differences(a: Network, b: Network, x: npt.NDArray[np.float32]) -> Iterator[tuple[int, float]]:
    indices = range(min(len(a.layers), len(b.layers)))
    outputs = a.predict(x, indices), b.predict(x, indices)
    for index in indices:
        if a.layers[index].out_shape != b.layers[index].out_shape:
            yield index, float("inf")
            continue
        some, others = outputs[0][index], outputs[1][index]
        scale = max(float(np.abs(some).max(initial=0)), float(np.abs(others).max(initial=0)), 1e-12)
        yield index, float(np.abs(some - others).max(initial=0)) / scale
