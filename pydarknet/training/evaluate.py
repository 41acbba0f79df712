# SPDX-License-Identifier: Apache-2.0
"""mAP of a network on images with truth, in Darknet's protocol: what ``_best`` is chosen by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from pydarknet.detections import Detections
from pydarknet.metrics.darknet_map import NMS, SCORE, Judged, MapReport, darknet_map
from pydarknet.network import Network
from pydarknet.training import truths
from pydarknet.training.loader import Images

CHUNK = 32  # images that are decoded before the network sees them


def judged(network: Network, images: Images) -> Iterator[Judged]:
    """Detections of every readable image beside its truth, in coordinates relative to the image."""
    with ThreadPoolExecutor(2, "pydarknet-valid") as pool:
        for first in range(0, len(images), CHUNK):
            numbers = range(first, min(first + CHUNK, len(images)))
            pixels = {
                i: p for i, p in zip(numbers, pool.map(images.pixels, numbers), strict=True) if p is not None
            }
            found = network.detect(list(pixels.values()), thresh=SCORE, nms=NMS)
            yield from (_judged(images, i, f) for i, f in zip(pixels, found, strict=True))


def _judged(images: Images, number: int, found: Detections) -> Judged:
    left, right, top, bottom = truths.edges(images.boxes(number))
    scale = np.array(found.image_size * 2, np.float32)
    return Judged(
        found.xyxy / scale,
        found.confidence,
        found.class_id,
        np.stack([left, top, right, bottom], 1),
        images.boxes(number)[:, 4].astype(int),
    )


def evaluate(network: Network, images: Images, names: Sequence[str]) -> MapReport:
    """mAP@0.5 with the area under the curve, and counts at confidence 0.25."""
    return darknet_map(judged(network, images), names)
