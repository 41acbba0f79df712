# SPDX-License-Identifier: Apache-2.0
"""Films, cameras and networks made up for these tests."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pydarknet import Detections

sys.path.insert(0, str(Path(__file__).parents[1]))  # helpers.py

Video = Callable[..., Path]


def picture(number: int, size: tuple[int, int] = (160, 120)) -> np.ndarray:
    """Frame of a made video: a white square that moves to the right by 2 pixels a frame, on dark grey."""
    image = np.full((size[1], size[0], 3), 40, np.uint8)
    left = 4 + 2 * number % (size[0] - 40)
    image[40:72, left : left + 32] = 255
    return image


@pytest.fixture
def video(tmp_path: Path) -> Video:
    """Writes a video of so many images and returns its path."""

    def make(
        name: str = "video.avi", frames: int = 60, fps: float = 25.0, size: tuple[int, int] = (160, 120)
    ) -> Path:
        path = tmp_path / name
        codec = {".avi": "MJPG", ".mp4": "mp4v"}[path.suffix]
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), fps, size)
        assert writer.isOpened()
        for number in range(frames):
            writer.write(picture(number, size))
        writer.release()
        return path

    return make


class Seer:
    """A detector without a network: it sees ``width`` x ``width`` pixels and finds what is bright in them.

    What is smaller than 2 of those pixels it misses, as a network of that input size would.

    Args:
        seconds: that it takes for each image.
        width: pixels of its input; None: the image's own.
    """

    names = ("square", "other")

    def __init__(self, seconds: float = 0.0, width: int | None = None) -> None:
        self.seconds, self.width = seconds, width
        self.batches: list[int] = []

    def detect(
        self, images: list[Any], thresh: float = 0.25, nms: float = 0.45, letterbox: bool | None = None
    ) -> list[Detections]:
        self.batches.append(len(images))
        time.sleep(self.seconds * len(images))
        return [self._one(image) for image in images]

    def _one(self, image: np.ndarray) -> Detections:
        height, width = image.shape[:2]
        grey = image if image.ndim == 2 else image[:, :, 0]
        scale_x = scale_y = 1.0
        if self.width is not None:
            scale_x, scale_y = width / self.width, height / self.width
            grey = cv2.resize(grey, (self.width, self.width), interpolation=cv2.INTER_NEAREST)
        _, _, found, _ = cv2.connectedComponentsWithStats((grey > 128).astype(np.uint8))
        boxes = [(x, y, x + w, y + h) for x, y, w, h, _ in found[1:].tolist() if min(w, h) >= 2]
        xyxy = np.array(boxes, np.float32).reshape(-1, 4) * np.float32([scale_x, scale_y] * 2)
        n = len(xyxy)
        return Detections(
            xyxy, np.full(n, 0.9, np.float32), np.zeros(n, np.int32), self.names, (width, height)
        )


@pytest.fixture
def seer() -> Callable[..., Seer]:
    return Seer


class FakeCamera:
    """A camera of ``fps`` that behaves as the script says: at each reading the next word of it.

    ``"ok"`` gives an image, ``"drop"`` fails, ``"stall"`` hangs for half a second and fails, ``"error"``
    raises OSError. After the script all is well.
    """

    def __init__(self, fps: float = 100.0, script: Iterable[str] = ()) -> None:
        self.fps, self.script, self.number = fps, iter(script), 0

    def read(self) -> tuple[bool, np.ndarray | None]:
        time.sleep(1 / self.fps)
        word = next(self.script, "ok")
        if word == "stall":
            time.sleep(0.5)
        if word == "error":
            raise OSError("the cable is out")
        if word != "ok":
            return False, None
        self.number += 1
        return True, picture(self.number)


@pytest.fixture
def fake_camera() -> Callable[..., FakeCamera]:
    return FakeCamera


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Iterator[None]:
    """Whatever a test does, the stream's threads are gone soon after it."""
    yield
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        left = [thread for thread in threading.enumerate() if thread.name == "pydarknet.stream"]
        if not left:
            return
        time.sleep(0.05)
    pytest.fail(f"{len(left)} threads of a stream are still running")
