# SPDX-License-Identifier: Apache-2.0
"""Which boxes are reported: classes, a largest number, suppression across classes; in all callers alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import pydarknet
from pydarknet import ArgumentError, Detections, Network
from pydarknet.engine import boxes

SIZE = (100, 80)


def detections(rows: list[tuple[float, float, float, float, float, int]]) -> Detections:
    table = np.array(rows, np.float32).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(int), ("cat", "dog"), SIZE)


ROWS = [
    (0, 0, 10, 10, 0.5, 0),  # IoU with the next: 80 / 120
    (2, 0, 12, 10, 0.9, 1),
    (40, 0, 50, 10, 0.7, 0),
    (40, 0, 50, 9, 0.6, 0),  # IoU with the one before: 0.9
]


def plain_suppression(dets: Detections, nms: float, *, agnostic: bool) -> list[int]:
    """The rule as loops: the strongest stays, and drops what overlaps it more."""
    kept: list[int] = []
    for row in sorted(range(len(dets)), key=lambda i: -dets.confidence[i]):
        rivals = [k for k in kept if agnostic or dets.class_id[k] == dets.class_id[row]]
        if all(overlap(dets.xyxy[k], dets.xyxy[row]) <= nms for k in rivals):
            kept.append(row)
    return sorted(kept)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    both = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return width * height / (both - width * height)


@pytest.mark.parametrize("agnostic", [False, True])
def test_suppression_equals_the_rule(agnostic: bool) -> None:
    dets = detections(ROWS)
    assert dets.with_nms(0.5, class_agnostic=agnostic).confidence.tolist() == pytest.approx(
        [0.9, 0.7] if agnostic else [0.5, 0.9, 0.7]
    )
    random = np.random.default_rng(5)
    for _ in range(20):
        corner, size = random.uniform(0, 60, (30, 2)), random.uniform(5, 40, (30, 2))
        rows = np.hstack(
            [corner, corner + size, random.uniform(0, 1, (30, 1)), random.integers(0, 2, (30, 1))]
        )
        dets = detections(rows.tolist())
        for nms in (0.2, 0.45, 1.0):
            expected = dets[plain_suppression(dets, nms, agnostic=agnostic)]
            assert np.array_equal(dets.with_nms(nms, class_agnostic=agnostic).xyxy, expected.xyxy)


def test_suppression_of_nothing_and_a_wrong_overlap() -> None:
    assert len(detections([]).with_nms()) == 0
    with pytest.raises(ArgumentError, match=r"found nms=1\.5, expected 0\.\.1"):
        detections(ROWS).with_nms(1.5)


def test_columns_that_are_computed() -> None:
    dets = detections([(10, 20, 50, 60, 0.9, 1), (5, 5, 1, 9, 0.1, 0)])
    assert dets.xywh.tolist() == [[30, 40, 40, 40], [3, 7, -4, 4]]
    assert dets.area.tolist() == [1600, 0]
    assert len(boxes.suppress(dets.xyxy, dets.confidence, 0.5)) == 2


def test_merging_keeps_rows_and_their_order() -> None:
    first, second = detections(ROWS[:1]), replace(detections(ROWS[1:3]), tracker_id=np.array([7, 8]))
    merged = Detections.merge([first, second])
    assert merged.confidence.tolist() == pytest.approx([0.5, 0.9, 0.7])
    assert merged.tracker_id is not None
    assert merged.tracker_id.tolist() == [-1, 7, 8]
    assert Detections.merge([first, first]).tracker_id is None
    assert len(Detections.merge([])) == len(Detections.empty(["cat"])) == 0
    with pytest.raises(ArgumentError, match=r"expected one image and network"):
        Detections.merge([first, replace(second, image_size=(1, 1))])


# -- through the network: the engine suppresses class by class ----------------------------------------------

TWO_CLASSES = """[net]
width=32
height=32
channels=3
[maxpool]
size=4
stride=4
[convolutional]
filters=21
size=1
stride=1
activation=linear
[yolo]
mask=0,1,2
anchors=4,4, 8,8, 16,16
classes=2
num=3
"""


@pytest.fixture
def net() -> Network:
    return Network.parse(TWO_CLASSES, names=["cat", "dog"])


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8)


def through_detect(net: Network, image: np.ndarray, **options: object) -> Detections:
    return net.detect(image, 0.1, **options)  # type: ignore[call-overload, no-any-return]


def through_a_list(net: Network, image: np.ndarray, **options: object) -> Detections:
    return net.detect([image, image], 0.1, **options)[1]  # type: ignore[call-overload, no-any-return]


def through_stream(net: Network, image: np.ndarray, **options: object) -> Detections:
    ((_, dets),) = pydarknet.stream(net, [image], thresh=0.1, **options)  # type: ignore[arg-type]
    return dets  # type: ignore[no-any-return]


@pytest.mark.parametrize("find", [through_detect, through_a_list, through_stream])
def test_the_same_options_everywhere(
    net: Network, image: np.ndarray, find: Callable[..., Detections]
) -> None:
    every = net.detect(image, 0.1, nms=0)
    usual = net.detect(image, 0.1)
    assert len(every) > len(usual) > 3
    assert {0, 1} <= set(usual.class_id.tolist())

    agnostic = find(net, image, agnostic=True)
    expected = every[plain_suppression(every, 0.45, agnostic=True)]
    assert sorted(map(tuple, agnostic.xyxy.tolist())) == sorted(map(tuple, expected.xyxy.tolist()))

    dogs = find(net, image, classes=["dog"])
    assert np.array_equal(dogs.xyxy, usual[usual.class_id == 1].xyxy)
    assert np.array_equal(find(net, image, classes=[0]).xyxy, usual[usual.class_id == 0].xyxy)

    best = find(net, image, max_det=3)
    assert best.confidence.tolist() == usual.confidence[np.argsort(-usual.confidence)[:3]].tolist()
    assert len(find(net, image, max_det=10**6)) == len(usual)

    turned = image[:, :, ::-1]
    assert np.array_equal(find(net, turned, rgb=True).xyxy, usual.xyxy)
    assert not np.array_equal(find(net, turned).confidence, usual.confidence)
    with pytest.raises(ArgumentError, match="found max_det=0, expected 1 or more"):
        find(net, image, max_det=0)
    with pytest.raises(ArgumentError, match=r"found class 'dgo', .*did you mean 'dog'"):
        find(net, image, classes=["dgo"])


class Tensor:
    """Like a tensor of PyTorch on the host: NumPy can read it, and it has no array interface."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels

    def __array__(self, dtype: object = None, copy: bool | None = None) -> np.ndarray:
        return self.pixels


def test_whatever_numpy_can_read_is_an_image(net: Network, image: np.ndarray) -> None:
    expected = net.detect(image, 0.1).xyxy
    assert np.array_equal(net.detect(Tensor(image), 0.1).xyxy, expected)
    assert np.array_equal(net.detect(Tensor(image[:, :, ::-1]), 0.1, rgb=True).xyxy, expected)
    for source in (Tensor(image), [Tensor(image)], iter([image])):
        ((_, dets),) = pydarknet.stream(net, source, thresh=0.1)
        assert np.array_equal(dets.xyxy, expected)
    with pytest.raises(ArgumentError, match=r"an image of float32 with values 0 to 255, expected 0\.\.1"):
        net.detect(Tensor(image.astype(np.float32)))


class RedFirst:
    """A reader of another library: RGB images, then None."""

    def __init__(self, image: np.ndarray) -> None:
        self.images = [image[:, :, ::-1], None]

    def read(self) -> np.ndarray | None:
        return self.images.pop(0)


def test_a_reader_that_is_red_first(net: Network, image: np.ndarray) -> None:
    (result,) = pydarknet.stream(net, RedFirst(image), thresh=0.1, rgb=True, live=False)
    assert np.array_equal(result.frame.image, image)  # results are blue first, for drawing
    assert np.array_equal(result.detections.xyxy, net.detect(image, 0.1).xyxy)
