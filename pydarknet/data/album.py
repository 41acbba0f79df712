# SPDX-License-Identifier: Apache-2.0
"""The decoded images of a data set by index, cached in memory or on disk if wanted."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pydarknet.data.dataset import Sample
from pydarknet.engine.images import Pixels, load
from pydarknet.engine.memory import available_memory
from pydarknet.errors import DataError
from pydarknet.system.atomic import replacing

_log = logging.getLogger("pydarknet")

RAM_SHARE = 0.5  # of the free memory that cached images may take


def relative_boxes(sample: Sample) -> npt.NDArray[np.float64]:
    """Boxes of a sample that count as objects.

    Returns:
        float64 (n, 5): centre x, centre y, width, height relative to the image, class.
    """
    left, top, right, bottom = (
        sample.boxes[sample.target] / np.array([sample.width, sample.height] * 2, float)
    ).T
    classes = sample.classes[sample.target].astype(float)
    return np.stack([(left + right) / 2, (top + bottom) / 2, right - left, bottom - top, classes], 1)


def decoded(path: Path, channels: int) -> Pixels:
    """An image, uint8 (h, w, channels), blue first.

    Raises:
        DataError: it cannot be read.
    """
    pixels = load(path, channels)
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    return np.ascontiguousarray(pixels)


class ImageCache:
    """Decodes the images of a data set; counts the unreadable ones.

    Args:
        samples: the images with their boxes.
        channels: of the network.
        cache: ``none``, ``ram`` (as long as there is room), or ``disk`` (uint8 arrays in ``folder``).
        folder: for the disk cache.
        limit: unreadable images tolerated.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        channels: int,
        cache: str = "none",
        folder: Path | None = None,
        limit: int = 100,
    ) -> None:
        self.samples, self.channels, self.limit = samples, channels, limit
        self.bad: dict[str, str] = {}
        self._ram: dict[int, Pixels] | None = {} if cache == "ram" else None
        self._room = int((available_memory() or 0) * RAM_SHARE)
        self._folder = folder if cache == "disk" else None
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.samples)

    def boxes(self, index: int) -> npt.NDArray[np.float64]:
        """Boxes of an image, see :func:`relative_boxes`."""
        return relative_boxes(self.samples[index])

    def pixels(self, index: int) -> Pixels | None:
        """An image, uint8 (h, w, channels), blue first; None if it cannot be read.

        Raises:
            DataError: more images than ``limit``, or all of them, cannot be read.
        """
        if self._ram is not None and index in self._ram:
            return self._ram[index]
        path = self.samples[index].image
        if str(path) in self.bad:
            return None
        try:
            found = self._stored(index) if self._folder else decoded(path, self.channels)
        except DataError as error:
            self._note(str(path), str(error))
            return None
        if self._ram is not None and found.nbytes <= self._room:
            self._room -= found.nbytes
            self._ram[index] = found
        return found

    def _stored(self, index: int) -> Pixels:
        """Read from the disk cache; rewrite an entry that is damaged or older than its image."""
        assert self._folder is not None
        image, place = self.samples[index].image, self._folder / f"{index}.npy"
        with suppress(OSError, ValueError):
            if place.stat().st_mtime >= image.stat().st_mtime:
                return np.asarray(np.load(place, mmap_mode="r"))
        pixels = decoded(image, self.channels)
        with replacing(place) as temporary:
            np.save(temporary, pixels)
        return pixels

    def _note(self, path: str, reason: str) -> None:
        with self._lock:
            if path not in self.bad:
                self.bad[path] = reason
                _log.warning("image left out: %s", reason)
            if len(self.bad) > self.limit or len(self.bad) == len(self):
                raise DataError(
                    f"{len(self.bad)} of {len(self)} images cannot be read, the limit is {self.limit}; "
                    f"the last: {reason}"
                )
