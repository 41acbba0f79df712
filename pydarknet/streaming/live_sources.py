# SPDX-License-Identifier: Apache-2.0
"""Live sources: cameras, network streams, the screen, and anything else with ``read()``.

They come and go: :class:`Watch` keeps reading one, and opens it again when it is lost, at growing intervals.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from pydarknet.engine.images import Pixels
from pydarknet.errors import DarknetError, MissingExtra
from pydarknet.streaming.file_sources import Frame, fps_of, open_capture, picture_of
from pydarknet.streaming.sources import Source
from pydarknet.system import extras

_log = logging.getLogger("pydarknet")
_TIMEOUT_MS = 5000  # of opening, and of reading, a network stream
_LONGEST_WAIT = 8.0  # seconds between two attempts


class Camera(Protocol):
    """A live source."""

    fps: float
    #: Seconds to wait after the first failure; doubled at each further one.
    patience: float

    def read(self) -> Pixels | None:
        """The next frame; None when there is none now."""

    def reopen(self) -> None:
        """Open it (again); DataError if that fails."""

    def close(self) -> None:
        """Let go of the device."""


class Capture:
    """A camera or network stream, read with OpenCV."""

    patience = 0.25

    def __init__(self, source: Source) -> None:
        self._source = source
        self._capture: Any = None
        self.fps = 0.0

    def reopen(self) -> None:
        """Open the device or connect to the address."""
        import cv2

        self.close()
        settings: tuple[int, ...] = ()
        if isinstance(self._source.value, str) and "://" in self._source.value:
            limits = (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, cv2.CAP_PROP_READ_TIMEOUT_MSEC)
            settings = (limits[0], _TIMEOUT_MS, limits[1], _TIMEOUT_MS)
        self._capture = open_capture(self._source.value, self._source.name, *settings)
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # where the driver listens
        self.fps = fps_of(self._capture)

    def read(self) -> Pixels | None:
        """The next frame; None when the connection is lost."""
        fine, image = self._capture.read()
        return image if fine else None

    def close(self) -> None:
        """Release the device."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None


class Reading:
    """Any object with ``read()``; whether it reconnects is its own affair."""

    patience = 0.01
    fps = 0.0

    def __init__(self, source: Source) -> None:
        self._camera, self._name = source.value, source.name

    def reopen(self) -> None:
        """Nothing: it is open."""

    def read(self) -> Pixels | None:
        """What its ``read()`` gives."""
        return picture_of(self._camera.read(), self._name)

    def close(self) -> None:
        """Nothing: it is the caller's."""


def camera_of(source: Source) -> Camera:
    """The camera that a live source stands for, not opened yet."""
    if source.kind == "object":
        return Reading(source)
    if source.kind == "screen":
        screen: Camera = extras.load("pydarknet.sources", "screen")(source)
        return screen
    return Capture(source)


class Watch:
    """Reads one live source for ever; to be run in a thread.

    Args:
        source: what to read.
        give: is called with each frame; returns how many older ones had to be dropped for it.
        every: hand on only each n-th frame.

    Attributes:
        trouble: why there is no frame now; empty when all is well.
        lost: how often the source was lost, or gave nothing.
        dropped: frames that newer ones replaced before anybody took them.
    """

    def __init__(self, source: Source, give: Callable[[Frame], int], every: int = 1) -> None:
        self.source = source
        self.trouble = ""
        self.lost = self.dropped = 0
        self._give, self._every = give, every
        self._camera = camera_of(source)
        self._stop = threading.Event()

    def run(self) -> None:
        """Read until :meth:`stop`; an error that waiting cannot mend is raised."""
        index, delay, opened, start = 0, self._camera.patience, False, time.perf_counter()
        try:
            while not self._stop.is_set():
                try:
                    if not opened:
                        self._camera.reopen()
                        opened = True
                    image = self._camera.read()
                    self._set_trouble("" if image is not None else "it gives no frame")
                except MissingExtra:
                    raise
                except (DarknetError, OSError) as error:
                    image = None
                    self._set_trouble(str(error).removeprefix(f"{self.source.name}: "))
                if image is None or not image.size:
                    opened = False
                    self._stop.wait(delay)
                    delay = min(2 * delay, _LONGEST_WAIT)
                    continue
                delay = self._camera.patience
                if index % self._every == 0:
                    now = time.perf_counter()
                    fps = self._camera.fps / self._every
                    frame = Frame(image, self.source.name, index, now - start, fps, captured=now)
                    self.dropped += self._give(frame)
                index += 1
        finally:
            self._camera.close()

    def _set_trouble(self, trouble: str) -> None:
        if trouble and not self.trouble:
            self.lost += 1
            _log.warning("%s: no picture: %s", self.source.name, trouble)
        elif self.trouble and not trouble:
            _log.info("%s: back", self.source.name)
        self.trouble = trouble

    def stop(self) -> None:
        """Make :meth:`run` end after the frame it is reading."""
        self._stop.set()
