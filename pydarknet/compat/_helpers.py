# SPDX-License-Identifier: Apache-2.0
"""Parts of Darknet's ``darknet.py`` that need no network: images, records, boxes, drawing."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any

import cv2
import numpy as np

from pydarknet import errors
from pydarknet.compat._library import DETECTION, IMAGE, FloatPtr, lib
from pydarknet.engine import opencv

Box = tuple[float, float, float, float]


# -- images


def copy_image_from_bytes(image: IMAGE, data: bytes) -> None:
    """Fill an image from interleaved bytes, red first.

    Raises:
        ArgumentError: there are fewer bytes than the image has values.
    """
    if len(data) < image.w * image.h * image.c:
        raise errors.ArgumentError(
            f"found {len(data)} bytes, an image of {image.w} x {image.h} x {image.c} needs "
            f"{image.w * image.h * image.c}"
        )
    lib.copy_image_from_bytes(image, data)


def image_of(pixels: np.ndarray[Any, Any]) -> IMAGE:
    """Copy an array (h, w, c), uint8, blue first, into a new image."""
    height, width, channels = pixels.shape
    image = lib.make_image(width, height, channels)
    if pixels.dtype == np.uint16:
        pixels = pixels >> 8
    copy_image_from_bytes(image, np.ascontiguousarray(pixels, np.uint8).tobytes())
    if channels >= 3:
        lib.rgbgr_image(image)
    assert isinstance(image, IMAGE)
    return image


def array_to_image(arr: np.ndarray[Any, Any]) -> tuple[IMAGE, np.ndarray[Any, Any]]:
    """An image in the memory of the returned array, which must outlive the image.

    Args:
        arr: (h, w, c) uint8, red first.
    """
    planes = np.ascontiguousarray(arr.transpose(2, 0, 1), np.float32) / np.float32(255)
    channels, height, width = planes.shape
    return IMAGE(width, height, channels, planes.ctypes.data_as(FloatPtr)), planes


# -- records and boxes


def sample(probs: Sequence[float]) -> int:
    """A random index with these weights as probabilities."""
    return random.choices(range(len(probs)), probs)[0]


def c_array(ctype: Any, values: Sequence[Any]) -> Any:
    """A ctypes array of the values."""
    return (ctype * len(values))(*values)


def found_in(
    dets: Any, names: Sequence[Any], num: int, skipped: Iterable[int]
) -> list[tuple[Any, float, Box]]:
    classes = min(len(names), dets[0].classes) if num else 0
    wanted = [j for j in range(classes) if j not in skipped]
    return [
        (names[j], dets[i].prob[j], _box(dets[i])) for i in range(num) for j in wanted if dets[i].prob[j] > 0
    ]


def _box(det: DETECTION) -> Box:
    return det.bbox.x, det.bbox.y, det.bbox.w, det.bbox.h


def remove_negatives(detections: Any, class_names: Sequence[str], num: int) -> list[tuple[str, float, Box]]:
    """All classes of all boxes with a probability above 0, as ``(name, probability, box)``."""
    return found_in(detections, class_names, num, ())


def remove_negatives_faster(
    detections: Any, class_names: Sequence[str], num: int
) -> list[tuple[str, float, Box]]:
    """Like :func:`remove_negatives`, but only the best class of each box."""
    best = ((dets, dets.best_class_idx) for dets in (detections[i] for i in range(num)))
    return [(class_names[j], det.prob[j], _box(det)) for det, j in best if j >= 0 and det.prob[j] > 0]


def decode_detection(detections: Iterable[tuple[Any, float, Box]]) -> list[tuple[Any, str, Box]]:
    """Probabilities as percent, rounded to two places, as text."""
    return [(label, str(round(confidence * 100, 2)), box) for label, confidence, box in detections]


def non_max_suppression_fast(detections: Sequence[tuple[Any, ...]], overlap_thresh: float) -> list[Any]:
    """Suppress boxes by the fraction that a lower box covers; the box is the last of each tuple."""
    if not detections:
        return []
    corners = np.array([bbox2points(row[-1]) for row in detections], float)
    area = (corners[:, 2] - corners[:, 0] + 1) * (corners[:, 3] - corners[:, 1] + 1)
    order = list(np.argsort(corners[:, 3], kind="stable"))
    kept = []
    while order:
        last = order.pop()
        kept.append(detections[last])
        rest = corners[order]
        sides = np.minimum(rest[:, 2:], corners[last, 2:]) - np.maximum(rest[:, :2], corners[last, :2]) + 1
        overlap = np.prod(np.maximum(sides, 0), axis=1) / area[order]
        order = [i for i, part in zip(order, overlap, strict=True) if part <= overlap_thresh]
    return kept


# -- drawing and printing


def bbox2points(bbox: Box) -> tuple[int, int, int, int]:
    """Convert centre and size to ``(xmin, ymin, xmax, ymax)``, rounded."""
    x, y, w, h = bbox
    return round(x - w / 2), round(y - h / 2), round(x + w / 2), round(y + h / 2)


def class_colors(names: Sequence[str]) -> dict[str, tuple[int, int, int]]:
    """A random colour for each name, three draws of ``random`` each; ``random.seed`` fixes them."""
    return {name: (random.randint(0, 255), random.randint(0, 255), random.randint(0, 255)) for name in names}


def print_detections(detections: Sequence[tuple[str, str, Box]], coordinates: bool = False) -> None:
    """Print what :func:`detect_image` returned."""
    print("\nObjects:")
    for label, confidence, (x, y, w, h) in detections:
        place = f"    (left_x: {x:.0f}   top_y:  {y:.0f}   width:   {w:.0f}   height:  {h:.0f})"
        print(f"{label}: {confidence}%{place if coordinates else ''}")


def draw_boxes(
    detections: Iterable[tuple[str, Any, Box]], image: Any, colors: dict[str, tuple[int, int, int]]
) -> Any:
    """Draw into the image, an array (h, w, 3), and return it."""
    for label, confidence, bbox in detections:
        left, top, right, bottom = bbox2points(bbox)
        cv2.rectangle(image, (left, top), (right, bottom), colors[label], 1)
        text = f"{label} [{float(confidence):.2f}]"
        opencv.put_text(image, text, (left, top - 5), 0.5, colors[label], 2)
    return image
