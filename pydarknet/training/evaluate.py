# SPDX-License-Identifier: Apache-2.0
"""mAP of a network on images with truth, in Darknet's protocol: what ``_best`` is chosen by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from pydarknet.detections import Detections
from pydarknet.metrics.darknet_map import NMS, SCORE
from pydarknet.metrics.evaluation import Evaluation
from pydarknet.metrics.images import Judged
from pydarknet.network import Network
from pydarknet.training import truths
from pydarknet.training.loader import Images

CHUNK = 32  # images that are decoded before the network sees them


def judged(network: Network, images: Images) -> Iterator[Judged]:
    """Detections of every readable image beside its truth, in pixels of the image."""
    with ThreadPoolExecutor(2, "pydarknet-valid") as pool:
        for first in range(0, len(images), CHUNK):
            numbers = range(first, min(first + CHUNK, len(images)))
            pixels = {
                i: p for i, p in zip(numbers, pool.map(images.pixels, numbers), strict=True) if p is not None
            }
            found = network.detect(list(pixels.values()), thresh=SCORE, nms=NMS)
            yield from (_judged(images, i, f) for i, f in zip(pixels, found, strict=True))


def _judged(images: Images, number: int, found: Detections) -> Judged:
    sample = images.samples[number]
    left, right, top, bottom = truths.edges(images.boxes(number))
    return Judged(
        found.xyxy,
        found.confidence,
        found.class_id,
        np.stack([left, top, right, bottom], 1) * np.array(found.image_size * 2),
        images.boxes(number)[:, 4].astype(int),
        path=str(sample.image),
        size=found.image_size,
    )


def evaluate(network: Network, images: Images, names: Sequence[str]) -> Evaluation:
    """Darknet's mAP@0.5 with the area under the curve, counts at confidence 0.25, and all the rest."""
    return Evaluation(tuple(judged(network, images)), names)
