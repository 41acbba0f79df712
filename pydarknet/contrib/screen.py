# SPDX-License-Identifier: Apache-2.0
"""The screen as a live source, by the mss package."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from pydarknet.engine.images import Pixels
from pydarknet.errors import ArgumentError
from pydarknet.streaming.sources import StreamSource
from pydarknet.system.extras import require


class Screen:
    """A monitor, or a region of it; a :class:`pydarknet.streaming.live_sources.Camera`.

    Args:
        source: of kind ``"screen"``; its value is (), (monitor,), (left, top, width, height) or all five.
    """

    patience = 0.25
    fps = 30.0

    def __init__(self, source: StreamSource) -> None:
        numbers = source.value
        self._monitor = numbers[0] if len(numbers) in (1, 5) else 1
        self._region = numbers[-4:] if len(numbers) >= 4 else None
        self._grabber: Any = None
        self._due = 0.0

    def reopen(self) -> None:
        """Connect to the display.

        Raises:
            MissingExtra: mss is not installed.
            ArgumentError: there is no display, or no such monitor.
        """
        mss = require("mss", "screen")
        try:
            self._grabber = mss.mss()
            monitors = self._grabber.monitors
        except (mss.ScreenShotError, OSError, KeyError) as error:
            raise ArgumentError(f"screen: cannot be read: {error}; is there a display?") from None
        if self._monitor >= len(monitors):
            raise ArgumentError(
                f"screen: found monitor {self._monitor}, expected 0 (all) to {len(monitors) - 1}"
            )
        self._area = dict(monitors[self._monitor])
        if self._region:
            left, top, width, height = self._region
            self._area = {
                "left": self._area["left"] + left,
                "top": self._area["top"] + top,
                "width": width,
                "height": height,
            }

    def read(self) -> Pixels | None:
        """The content of the screen, at most 30 times a second: more would only cost time."""
        time.sleep(max(0.0, self._due - time.perf_counter()))
        self._due = time.perf_counter() + 1 / self.fps
        return np.ascontiguousarray(np.asarray(self._grabber.grab(self._area))[:, :, :3])

    def close(self) -> None:
        """Disconnect from the display."""
        if self._grabber is not None:
            self._grabber.close()
            self._grabber = None
