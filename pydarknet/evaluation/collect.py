# SPDX-License-Identifier: Apache-2.0
"""What a network finds on labelled images: the one place where evaluation meets images.

Training, ``pydarknet eval`` and ``pydarknet detector map`` judge the same detections, collected here once;
every protocol is a view of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
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

Progress = Callable[[Iterable[int]], Iterable[int]]
#: (network, image, its truth, score, nms) -> what is found
Detect = Callable[[Network, Pixels, Sample, float, float], Detections]

AHEAD = 16  # images that are decoded while the network is busy


class Album(Protocol):
    """Images by index, such as :class:`pydarknet.data.album.ImageCache`."""

    @property
    def samples(self) -> Sequence[Sample]:
        """The images with their boxes."""

    def pixels(self, index: int) -> Pixels | None:
        """An image, (h, w, channels), blue first; None if it cannot be read."""


@dataclass(frozen=True, eq=False)
class Seen:
    """One image and what a network found in it.

    Attributes:
        sample: the image and its truth.
        image: (h, w, channels), blue first.
        found: in the pixels of the image.
    """

    sample: Sample
    image: Pixels
    found: Detections


def look(
    network: Network,
    album: Album,
    *,
    score: float = SCORE,
    nms: float = NMS,
    letterbox: bool | None = None,
    detect: Detect | None = None,
    progress: Progress = iter,
) -> Iterator[Seen]:
    """Detections of every readable image, in order; runs in batches of the network's.

    Args:
        network: what to run.
        album: the images; they are decoded in threads, a few ahead.
        score: confidence above which a detection is kept, 0..1.
        nms: overlap above which the weaker of two boxes is suppressed, 0..1.
        letterbox: keep the aspect ratio; by default as the cfg says.
        detect: looks at one image in place of ``network.detect``, to do more with it than detect.
        progress: passes the numbers of the images on and shows how far they are.
    """
    with ThreadPoolExecutor(2, "pydarknet-eval") as pool:
        waiting = deque(pool.submit(album.pixels, i) for i in range(min(AHEAD, len(album.samples))))
        batch: list[tuple[Sample, Pixels]] = []
        for number in progress(range(len(album.samples))):
            image = waiting.popleft().result()
            if number + AHEAD < len(album.samples):
                waiting.append(pool.submit(album.pixels, number + AHEAD))
            if image is not None:
                batch.append((album.samples[number], image))
            if len(batch) == network.batch or number + 1 == len(album.samples):
                if detect:
                    found = [detect(network, image, sample, score, nms) for sample, image in batch]
                else:
                    found = network.detect([image for _, image in batch], score, nms, letterbox)
                yield from (Seen(*one, dets) for one, dets in zip(batch, found, strict=True))
                batch = []


def judged(seen: Seen) -> Judged:
    """Detections beside the truth, in pixels of the image."""
    sample, found = seen.sample, seen.found
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


def collect(network: Network, album: Album, **options: Any) -> list[Judged]:
    """What :func:`look` sees, ready to be judged; the images themselves are let go of."""
    return [judged(seen) for seen in look(network, album, **options)]
