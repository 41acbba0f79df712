# SPDX-License-Identifier: Apache-2.0
"""Detections of a network on labelled images: the only place where evaluation reads images.

Training, ``pydarknet eval`` and ``pydarknet detector map`` evaluate the same detections, collected here once;
every protocol is computed from them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from pydarknet.data import Sample
from pydarknet.engine.detections import Detections
from pydarknet.engine.images import Pixels
from pydarknet.engine.network import Network
from pydarknet.evaluation.columns import Judged
from pydarknet.evaluation.darknet_map import NMS, SCORE
from pydarknet.system.notify import Progress, counted, no_progress

#: (network, image, its sample with the truth, score, nms) -> detections
SampleDetect = Callable[[Network, Pixels, Sample, float, float], Detections]

AHEAD = 16  # images that are decoded while the network is busy


class ImageSet(Protocol):
    """Images by index, such as :class:`pydarknet.data.images.ImageCache`."""

    @property
    def samples(self) -> Sequence[Sample]:
        """The images with their boxes."""

    def pixels(self, index: int) -> Pixels | None:
        """An image, (h, w, channels), blue first; None if it cannot be read."""


@dataclass(frozen=True, eq=False)
class ImageDetections:
    """One image and the detections of a network on it.

    Attributes:
        sample: the image and its truth.
        image: (h, w, channels), blue first.
        found: detections, in pixels of the image.
    """

    sample: Sample
    image: Pixels
    found: Detections


def detect_all(
    network: Network,
    images: ImageSet,
    *,
    score: float = SCORE,
    nms: float = NMS,
    letterbox: bool | None = None,
    detect: SampleDetect | None = None,
    progress: Progress = no_progress,
) -> Iterator[ImageDetections]:
    """Run a network on every readable image, in order, in batches of the network's size.

    Args:
        network: what to run.
        images: they are decoded in threads, a few ahead.
        score: confidence above which a detection is kept, 0..1.
        nms: overlap above which the weaker of two boxes is suppressed, 0..1.
        letterbox: keep the aspect ratio; by default as the cfg says.
        detect: runs on one image in place of ``network.detect``, for a caller that computes more than
            detections.
        progress: receives the number of images done.
    """
    with ThreadPoolExecutor(2, "pydarknet-eval") as pool:
        waiting = deque(pool.submit(images.pixels, i) for i in range(min(AHEAD, len(images.samples))))
        batch: list[tuple[Sample, Pixels]] = []
        for number in counted(range(len(images.samples)), progress, "images"):
            image = waiting.popleft().result()
            if number + AHEAD < len(images.samples):
                waiting.append(pool.submit(images.pixels, number + AHEAD))
            if image is not None:
                batch.append((images.samples[number], image))
            if len(batch) == network.batch or number + 1 == len(images.samples):
                if detect:
                    found = [detect(network, image, sample, score, nms) for sample, image in batch]
                else:
                    found = network.detect([image for _, image in batch], score, nms, letterbox)
                yield from (ImageDetections(*one, dets) for one, dets in zip(batch, found, strict=True))
                batch = []


def judged(one: ImageDetections) -> Judged:
    """Detections beside the truth, in pixels of the image."""
    sample, found = one.sample, one.found
    scale = np.array(found.image_size * 2) / (sample.width, sample.height, sample.width, sample.height)
    return Judged(
        found.xyxy,
        found.confidence,
        found.class_id,
        sample.boxes * scale,
        sample.classes,
        difficult=sample.difficult,
        crowd=sample.crowd | sample.ignore,
        path=str(sample.image),
        size=found.image_size,
    )


def collect(network: Network, images: ImageSet, **options: Any) -> list[Judged]:
    """Results of :func:`detect_all` with their truth, without the pixels."""
    return [judged(one) for one in detect_all(network, images, **options)]
