# SPDX-License-Identifier: Apache-2.0
"""Images to judge: boxes on a line for calculations by hand, and random ones for comparisons with peers."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pydarknet.evaluation.columns import Judged


def line(found: list[tuple[float, float, int]], truths: list[tuple[float, int]], **more: Any) -> Judged:
    """Boxes of 10 x 10 on a line: detections (x, score, class), truths (x, class)."""

    def corners(xs: list[float]) -> np.ndarray:
        return np.array([(x, 0, x + 10, 10) for x in xs], float).reshape(-1, 4)

    return Judged(
        corners([f[0] for f in found]),
        np.array([f[1] for f in found], np.float32),
        np.array([f[2] for f in found], int),
        corners([t[0] for t in truths]),
        np.array([t[1] for t in truths], int),
        **more,
    )


def random_images(
    seed: int, classes: int, ties: bool = True, flags: tuple[str, ...] = ("crowd",)
) -> list[Judged]:
    """Up to seven images, some without truths or detections, with objects of all sizes and near misses.

    Corners are whole numbers, so that equal overlaps are exactly equal.
    """
    rng = np.random.default_rng(seed)

    def boxes(count: int, side: int) -> np.ndarray:
        low = rng.integers(0, side, (count, 2))
        return np.concatenate([low, low + rng.integers(1, side, (count, 2))], 1).astype(float)

    images = []
    for number in range(rng.integers(1, 8)):
        side = int(rng.choice([12, 60, 150]))
        m, n = int(rng.integers(0, 12)), int(rng.choice([0, 5, 40, 150]))
        truths, found = boxes(m, side), boxes(n, side)
        if m:
            near = rng.random(n) < 0.6
            found[near] = (truths[rng.integers(0, m, n)] + rng.integers(-2, 3, (n, 4)))[near]
            found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
        scores = rng.integers(0, 20, n) / 20 if ties else rng.permutation(n) / 1000 + number / 1e5
        aside = {name: rng.random(m) < 0.2 for name in flags}
        images.append(
            Judged(found, scores, rng.integers(0, classes, n), truths, rng.integers(0, classes, m), **aside)
        )
    return images


def pycocotools(images: list[Judged], classes: int) -> COCOeval | None:
    """Results of pycocotools for the same images; None if there is no detection, which it refuses."""

    def sides(box: np.ndarray) -> list[float]:
        return [float(v) for v in (box[0], box[1], box[2] - box[0], box[3] - box[1])]

    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for number, image in enumerate(images, 1):
        crowd = np.zeros(len(image.truths), bool) if image.crowd is None else image.crowd
        for box, label, group in zip(image.truths, image.truth_classes, crowd, strict=True):
            entry = {"id": len(annotations) + 1, "image_id": number, "category_id": int(label) + 1}
            area = float((box[2] - box[0]) * (box[3] - box[1]))
            annotations.append({**entry, "bbox": sides(box), "area": area, "iscrowd": int(group)})
        for box, label, score in zip(image.boxes, image.classes, image.scores, strict=True):
            entry = {"image_id": number, "category_id": int(label) + 1}
            results.append({**entry, "bbox": sides(box), "score": float(score)})
    if not results:
        return None
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "info": {},
            "images": [{"id": i + 1} for i in range(len(images))],
            "annotations": annotations,
            "categories": [{"id": i + 1} for i in range(classes)],
        }
        truth.createIndex()
        evaluator = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return evaluator
