# SPDX-License-Identifier: Apache-2.0
"""Box arithmetic against values worked out by hand."""

from __future__ import annotations

import numpy as np

from pydarknet.engine.boxes import area, clip, intersection, iou, iou_of_sizes, to_centres, to_corners

_SQUARE = np.array([[0, 0, 10, 10]], np.float32)
_OTHERS = np.array([[5, 0, 15, 10], [20, 20, 30, 30], [8, 8, 2, 2]], np.float32)  # the last is inside out


def test_overlap() -> None:
    assert area(_OTHERS).tolist() == [100, 100, 0]
    assert intersection(_SQUARE, _OTHERS).tolist() == [50, 0, 0]
    np.testing.assert_allclose(iou(_SQUARE, _OTHERS), [[50 / 150, 0, 0]])
    np.testing.assert_allclose(iou_of_sizes([[10, 10]], [[10, 20], [5, 10]]), [[0.5, 0.5]])
    assert iou(_SQUARE[:0], _OTHERS).shape == (0, 3)


def test_clip() -> None:
    """Borders are width, height; what is not a number becomes 0; the dtype stays."""
    boxes = np.array([[-5, -5, 200, 200], [np.nan, 1, np.inf, 2]], np.float32)
    found = clip(boxes, (100, 50))
    assert found.dtype == np.float32
    assert found.tolist() == [[0, 0, 100, 50], [0, 1, 100, 2]]


def test_corners_and_centres() -> None:
    centres = np.array([[5, 6, 4, 2]], float)
    assert to_corners(centres).tolist() == [[3, 5, 7, 7]]
    assert to_centres(to_corners(centres)).tolist() == centres.tolist()
