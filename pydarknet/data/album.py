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


class Room:
    """Bytes of main memory that caches share; may be used from any thread.

    Args:
        need: bytes that other parts of the program will take.

    Attributes:
        left: bytes that are not taken: at first half of the memory that is free besides ``need``.
    """

    def __init__(self, need: int = 0) -> None:
        self.left = int(max((available_memory() or 0) - need, 0) * RAM_SHARE)
        self._lock = threading.Lock()

    def take(self, count: int) -> bool:
        """Take bytes, if as many are left."""
        with self._lock:
            fits = count <= self.left
            self.left -= count * fits
        return fits


class ImageCache:
    """Decodes the images of a data set; counts the unreadable ones.

    Args:
        samples: the images with their boxes.
        channels: of the network.
        cache: ``none``, ``ram`` (as long as there is room), or ``disk`` (uint8 arrays in ``folder``).
        folder: for the disk cache.
        limit: unreadable images tolerated.
        room: for the cache in memory; by default one of its own.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        channels: int,
        cache: str = "none",
        folder: Path | None = None,
        limit: int = 100,
        room: Room | None = None,
    ) -> None:
        self.samples, self.channels, self.limit = samples, channels, limit
        self.bad: dict[str, str] = {}
        self._ram: dict[int, Pixels] = {}
        self._room = (room or Room()) if cache == "ram" else None
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
        if (kept := self._ram.get(index)) is not None:
            return kept
        path = self.samples[index].image
        if str(path) in self.bad:
            return None
        try:
            found = self._stored(index) if self._folder else decoded(path, self.channels)
        except DataError as error:
            self._note(str(path), str(error))
            return None
        if self._room is not None:
            with self._lock:
                if index not in self._ram and self._room.take(found.nbytes):
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
