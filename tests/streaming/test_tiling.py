# SPDX-License-Identifier: Apache-2.0
"""Tiles find what is too small for the network, once each, and lose nothing that is large."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pydarknet
from pydarknet import ArgumentError, Detections
from pydarknet.engine.boxes import iou
from pydarknet.streaming.tiling import Tile, cut, merge


def squares(boxes: list[tuple[int, int, int, int]], size: int = 512) -> np.ndarray:
    image = np.zeros((size, size, 3), np.uint8)
    for x1, y1, x2, y2 in boxes:
        image[y1:y2, x1:x2] = 255
    return image


def found(net: object, image: np.ndarray, **options: object) -> list[list[int]]:
    ((_, dets),) = pydarknet.stream(net, image, **options)  # type: ignore[arg-type]
    assert dets.image_size == (image.shape[1], image.shape[0])
    return sorted(np.rint(dets.xyxy).astype(int).tolist())


SMALL = [(x, y, x + 8, y + 8) for x in range(20, 500, 60) for y in range(24, 500, 80)]


def test_recall_rises_and_nothing_is_there_twice(seer: Callable) -> None:
    """A network of 64 x 64 sees an object of 8 x 8 in 512 x 512 as one pixel; in a tile of 128 as four."""
    image = squares(SMALL)
    net = seer(width=64)
    assert found(net, image) == []
    with_tiles = found(net, image, tile=128, overlap=0.25)
    assert len(with_tiles) == len(SMALL)
    np.testing.assert_allclose(with_tiles, sorted(map(list, SMALL)), atol=2)


@pytest.mark.parametrize("overlap", [0.1, 0.25, 0.5])
def test_an_object_across_borders_is_joined(seer: Callable, overlap: float) -> None:
    """Longer than a tile, crossing borders both ways, in a corner of four: each is found once and whole."""
    boxes = [(30, 60, 480, 90), (400, 150, 430, 500), (100, 220, 160, 280), (200, 350, 330, 480)]
    boxes = [tuple(round(v / 8) * 8 for v in box) for box in boxes]  # type: ignore[misc]
    net = seer(width=None)
    assert found(net, squares(boxes), tile=128, overlap=overlap) == sorted(map(list, boxes))


def test_what_only_tiles_see_is_joined_from_many(seer: Callable) -> None:
    """One pixel thick for the network that sees the whole, so that every piece comes from a tile."""
    boxes = [(32, 48, 480, 56), (64, 96, 72, 480), (104, 296, 448, 304)]
    net = seer(width=64)
    assert found(net, squares(boxes)) == []
    assert found(net, squares(boxes), tile=128, overlap=0.25) == sorted(map(list, boxes))


def test_large_objects_stay(seer: Callable) -> None:
    assert found(seer(width=64), squares([(64, 64, 448, 448)]), tile=128) == [[64, 64, 448, 448]]


def test_neighbours_stay_apart(seer: Callable) -> None:
    boxes = [(x, 40, x + 10, 60) for x in range(100, 160, 14)]
    assert found(seer(), squares(boxes), tile=128) == sorted(map(list, boxes))


def test_an_image_no_larger_than_a_tile_is_looked_at_once(seer: Callable) -> None:
    net = seer()
    assert found(net, squares([(4, 4, 20, 20)], size=64), tile=64) == [[4, 4, 20, 20]]
    assert net.batches == [1]


def test_nms_zero_keeps_all(seer: Callable) -> None:
    boxes = [(100, 100, 110, 110)]  # in the overlap of two tiles each way, and in the whole
    assert len(found(seer(), squares(boxes, 256), tile=128, overlap=0.25, nms=0)) > 1


def test_classes_are_merged_apart() -> None:
    whole = Tile(0, 0, 100, 100)
    dets = Detections(
        np.array([[10, 10, 30, 30]] * 2, np.float32), np.float32([0.9, 0.8]), np.array([0, 1]), ("a", "b")
    )
    merged = merge([dets, dets], [whole, whole], (100, 100), 0.45)
    assert merged.class_id.tolist() == [0, 1]
    assert merged.names == ("a", "b")


def test_merging_nothing() -> None:
    none = Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int32))
    assert len(merge([none, none], [Tile(0, 0, 50, 100), Tile(50, 0, 100, 100)], (100, 100), 0.45)) == 0


def test_memory_is_that_of_a_class() -> None:
    """A network of random weights finds thousands of pieces; a table of all pairs does not fit in memory."""
    rows = 2000
    left = np.tile(np.float32([70, 10, 100, 30]), (rows, 1))  # ends at the border that both tiles share
    right = left - np.float32([70, 0, 70, 0])
    confidence, kinds = np.full(rows, 0.5, np.float32), np.arange(rows)
    parts = [Detections(boxes, confidence, kinds) for boxes in (left, right)]
    tracemalloc.start()
    try:
        merged = merge(parts, [Tile(0, 0, 100, 100), Tile(100, 0, 200, 100)], (200, 100), 0.45)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20  # 4000 x 4000 values of one byte
    finally:
        tracemalloc.stop()
    assert np.array_equal(merged.xyxy, np.tile(np.float32([70, 10, 130, 30]), (rows, 1)))


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(0, 60), st.floats(0.05, 0.95))
def test_suppression_keeps_the_best_and_no_two_of_the_same(seed: int, n: int, nms: float) -> None:
    """The definition: kept boxes of a class do not overlap by more; a dropped one does, with a better one."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 60, (n, 2))
    boxes = np.hstack([corners, corners + rng.uniform(1, 40, (n, 2))]).astype(np.float32)
    dets = Detections(boxes, rng.uniform(0, 1, n).astype(np.float32), rng.integers(0, 2, n))
    parts = [dets[: n // 2], dets[n // 2 :]]
    kept = merge(parts, [Tile(0, 0, 100, 100)] * 2, (100, 100), nms)
    assert (np.diff(kept.confidence) <= 0).all()
    overlaps = iou(dets.xyxy, kept.xyxy) * (dets.class_id[:, None] == kept.class_id)
    stronger = kept.confidence > dets.confidence[:, None]
    is_kept = np.isin(dets.confidence, kept.confidence)
    assert is_kept.sum() == len(kept)
    over = ((overlaps > nms - 1e-5) & stronger).any(axis=1)
    assert over[~is_kept].all()
    assert not ((overlaps > nms + 1e-5) & stronger).any(axis=1)[is_kept].any()


@settings(deadline=None)
@given(st.integers(1, 2000), st.integers(64, 900), st.floats(0, 0.7))
def test_tiles_cover_the_image(length: int, size: int, overlap: float) -> None:
    for tiles, low, high in (
        (cut(length, 10, (size, 64), overlap), "left", "right"),
        (cut(10, length, (64, size), overlap), "top", "bottom"),
    ):
        spans = sorted({(getattr(tile, low), getattr(tile, high)) for tile in tiles})
        assert (spans[0][0], spans[-1][1]) == (0, length)
        assert all(b - a == min(size, length) for a, b in spans)
        assert all(after[0] <= before[1] for before, after in itertools.pairwise(spans))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tile": 8}, "found tiles of 8x8 pixels, expected 16 or more"),
        ({"tile": 64, "overlap": 1.0}, r"found overlap=1\.0, expected 0\.\.0\.9"),
    ],
)
def test_wrong_values(seer: Callable, options: dict, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        pydarknet.stream(seer(), "x.jpg", **options)
