# SPDX-License-Identifier: Apache-2.0
"""Live sources: cameras, network streams, the screen, and anything else with ``read()``.

They can be lost for a while: :class:`LiveReader` reads one without end, and reopens it at growing intervals
when it is lost.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from pydarknet.engine.images import Pixels
from pydarknet.errors import ArgumentError, DarknetError, MissingExtra
from pydarknet.streaming.file_sources import Frame, fps_of, image_of, open_capture
from pydarknet.streaming.sources import StreamSource
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
        """Open it (again); DataError if that fails, ArgumentError if it will always fail."""

    def close(self) -> None:
        """Release the device."""


class Capture:
    """A camera or network stream, read with OpenCV."""

    patience = 0.25

    def __init__(self, source: StreamSource) -> None:
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
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # some drivers ignore it
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
    """Any object with ``read()``, which is responsible for reconnecting."""

    patience = 0.01
    fps = 0.0

    def __init__(self, source: StreamSource) -> None:
        self._source = source

    def reopen(self) -> None:
        """No-op: it is open."""

    def read(self) -> Pixels | None:
        """The image that its ``read()`` returns."""
        return image_of(self._source.value.read(), self._source)

    def close(self) -> None:
        """No-op: the caller owns it."""


def camera_of(source: StreamSource) -> Camera:
    """The camera of a live source, not opened yet."""
    if source.kind == "object":
        return Reading(source)
    if source.kind == "screen":
        screen: Camera = extras.load("pydarknet.sources", "screen")(source)
        return screen
    return Capture(source)


class LiveReader:
    """Reads one live source without end; run it in a thread.

    Args:
        source: what to read.
        give: called with each frame; returns how many older ones it replaced.
        every: pass on every Nth frame only.

    Attributes:
        problem: why there is no frame now; empty if there is none.
        lost: number of times the source was lost or gave no frame.
        dropped: frames that newer ones replaced before they were used.
    """

    def __init__(self, source: StreamSource, give: Callable[[Frame], int], every: int = 1) -> None:
        self.source = source
        self.problem = ""
        self.lost = self.dropped = 0
        self._give, self._every = give, every
        self._camera = camera_of(source)
        self._stop = threading.Event()

    def run(self) -> None:
        """Read until :meth:`stop`; errors that waiting cannot fix are raised."""
        index, delay, opened, start = 0, self._camera.patience, False, time.perf_counter()
        try:
            while not self._stop.is_set():
                try:
                    if not opened:
                        self._camera.reopen()
                        opened = True
                    image = self._camera.read()
                    self._set_problem("" if image is not None else "it gives no frame")
                except (MissingExtra, ArgumentError):
                    raise
                except (DarknetError, OSError) as error:
                    image = None
                    self._set_problem(str(error).removeprefix(f"{self.source.name}: "))
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

    def _set_problem(self, problem: str) -> None:
        if problem and not self.problem:
            self.lost += 1
            _log.warning("%s: no image: %s", self.source.name, problem)
        elif self.problem and not problem:
            _log.info("%s: back", self.source.name)
        self.problem = problem

    def stop(self) -> None:
        """Make :meth:`run` return after the current frame."""
        self._stop.set()
