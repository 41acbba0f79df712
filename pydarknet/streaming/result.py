# SPDX-License-Identifier: Apache-2.0
"""Results of a stream: one frame with its detections, and the counts of all so far."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pydarknet.engine.detections import Detections
from pydarknet.streaming.file_sources import Frame
from pydarknet.streaming.live_sources import LiveReader
from pydarknet.system import html


@dataclass(frozen=True, eq=False)
class Result:
    """Detections in one frame; ``image, detections = result`` unpacks it.

    Attributes:
        frame: the image, its source and its time.
        detections: in pixels of the image.
        latency: seconds from reading the frame to returning this result.
        seconds: inference time; the frame's share where several frames ran in one batch.
        live: the source is live.
    """

    frame: Frame
    detections: Detections
    latency: float = 0.0
    seconds: float = 0.0
    live: bool = False

    def __iter__(self) -> Iterator[Any]:
        """The image and the detections."""
        return iter((self.frame.image, self.detections))

    def _repr_png_(self) -> bytes:
        """The annotated image for notebooks."""
        import cv2

        return bytes(cv2.imencode(".png", self.detections.plot(self.frame.image))[1])


@dataclass
class Stats:
    """Counts of a stream so far.

    Attributes:
        frames: results returned.
        failed: images that could not be read.
        total: frames that the stream will have; None if unknown.
        seconds: since the first frame was read.
    """

    frames: int = 0
    failed: int = 0
    total: int | None = None
    seconds: float = 0.0
    readers: tuple[LiveReader, ...] = ()
    _start: float = 0.0
    _latencies: deque[float] = field(default_factory=lambda: deque(maxlen=1000))

    def _repr_html_(self) -> str:
        """The counts as a table, for notebooks."""
        of = f" of {self.total}" if self.total is not None else ""
        rows = [
            ("frames", f"{self.frames}{of}"),
            ("failed", self.failed),
            ("dropped", self.dropped),
            ("frames per second", f"{self.fps:.1f}"),
            ("latency, median", f"{self.latency(0.5) * 1e3:.0f} ms"),
        ]
        return html.titled("stream", html.table(["", ""], rows))

    @property
    def fps(self) -> float:
        """Frames per second, on average."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0

    @property
    def dropped(self) -> int:
        """Frames of live sources that were replaced by newer ones before the network was free."""
        return sum(reader.dropped for reader in self.readers)

    @property
    def lost(self) -> int:
        """Number of times that a live source was lost or stopped giving frames."""
        return sum(reader.lost for reader in self.readers)

    def latency(self, quantile: float) -> float:
        """Quantile of the latency in seconds, over the last 1000 frames.

        Args:
            quantile: 0.5: median, 1: maximum.
        """
        return float(np.quantile(self._latencies, quantile)) if self._latencies else 0.0

    def add(self, result: Result) -> None:
        """Count a result that is returned."""
        self._start = self._start or result.frame.captured
        self.frames += 1
        self.seconds = time.perf_counter() - self._start
        self._latencies.append(result.latency)
