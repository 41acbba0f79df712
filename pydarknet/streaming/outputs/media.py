# SPDX-License-Identifier: Apache-2.0
"""Annotated images and videos, crops of the objects, and a contact sheet."""

from __future__ import annotations

import contextlib
import logging
import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from pydarknet.engine import opencv
from pydarknet.engine.boxes import clip
from pydarknet.engine.draw import draw
from pydarknet.engine.images import Pixels, save_image
from pydarknet.errors import ArgumentError, FileError
from pydarknet.streaming.file_sources import Frame
from pydarknet.streaming.outputs import Drawn
from pydarknet.streaming.outputs.text import Stems
from pydarknet.streaming.result import Result
from pydarknet.streaming.sources import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from pydarknet.system.atomic import abandon, replacing

_log = logging.getLogger("pydarknet")
_CODECS = {".mp4": "mp4v", ".mov": "mp4v", ".m4v": "mp4v", ".mkv": "mp4v", ".avi": "MJPG", ".webm": "VP80"}
_USUAL_FPS = 30.0  # of a live source with unknown rate
_LONGEST_GAP = {True: 1.0, False: 60.0}  # seconds for which a live or other video repeats an image


class VideoFile:
    """A video file, written image by image; it appears when it is closed.

    The first image sets the size; later ones of another size are resized. An image is repeated until the next
    one is due, so that the video keeps the time of its source.

    Args:
        path: its suffix chooses the format: ``.mp4``, ``.avi``, ``.mkv``, ``.mov`` or ``.webm``.
        fps: images per second.
        live: images that come too early are dropped; of other sources every image is written.
    """

    def __init__(self, path: Path, fps: float, live: bool = False) -> None:
        if path.suffix.lower() not in _CODECS:
            raise ArgumentError(f"{path}: video can be written as {', '.join(_CODECS)}")
        self.path, self._fps, self._live = path, fps or _USUAL_FPS, live
        self._stack = contextlib.ExitStack()
        self._temporary = self._stack.enter_context(replacing(path))
        self._writer: Any = None
        self._size = (0, 0)
        self._image: Pixels
        self._written = 0
        self._begin = self._last = 0.0

    def write(self, image: Pixels, time: float) -> None:
        """Append an image taken ``time`` seconds after the beginning."""
        import cv2

        height, width = image.shape[:2]
        if self._writer is None:
            codec = _CODECS[self.path.suffix.lower()]
            self._writer = opencv.video_writer(self._temporary, codec, self._fps, (width, height))
            self._size = (width, height)
            if not self._writer.isOpened():
                raise FileError(f"{self.path}: this OpenCV build cannot write this video format; try .avi")
        if (width, height) != self._size:
            image = cv2.resize(image, self._size, interpolation=cv2.INTER_AREA)
        gap = self._gap(time)
        for _ in range(gap):
            self._writer.write(self._image)
        if gap >= 0 or not self._live:
            self._writer.write(image)
            self._written += max(gap, 0) + 1
            self._image = image

    def _gap(self, time: float) -> int:
        """Number of images missing before one of this time; negative if it comes too early."""
        if not self._written:
            self._begin = self._last = time
        self._begin += max(0.0, time - self._last - _LONGEST_GAP[self._live])
        self._last = time
        return round((time - self._begin) * self._fps) - self._written

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.release()
            self._stack.close()
        else:  # an empty video must not replace an existing file
            abandon(self._stack)


class AnnotatedFiles:
    """Annotated images as ``<name>.jpg`` and videos as ``<name>.mp4`` in a folder, or one named file.

    Args:
        target: folder, or the file (``predictions.jpg``, ``out.mp4``) if there is one image or video.

    Raises:
        FileError: (on writing) an output would overwrite its input.
        ArgumentError: (on writing) one file is named, but there are several sources.
    """

    def __init__(self, target: str) -> None:
        self._target = Path(target)
        self._one = self._target.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES
        self._stems = Stems()
        self._videos: dict[str, VideoFile] = {}
        self._source: tuple[str, int] | None = None
        self._count = 0

    def write(self, result: Result, drawn: Drawn) -> None:
        """Write the image, or append it to its video."""
        frame = result.frame
        path = self._path(frame)
        if path.suffix.lower() in IMAGE_SUFFIXES:
            save_image(path, drawn())
            self._count += 1
        else:
            if frame.name not in self._videos:
                self._videos[frame.name] = VideoFile(path, frame.fps, live=result.live)
            self._videos[frame.name].write(drawn(), frame.time)

    def _path(self, frame: Frame) -> Path:
        suffix = ".jpg" if frame.still else ".mp4"
        path = self._target if self._one else self._target / (self._stems.of_source(frame.name) + suffix)
        if self._one:
            source = (frame.name, frame.index if frame.still or path.suffix.lower() in IMAGE_SUFFIXES else 0)
            self._source = self._source or source
            if source != self._source:
                raise ArgumentError(f"{path}: is one file, but there are several images; give a folder")
        if frame.name not in self._videos and _is_same(path, frame.name):
            raise FileError(f"{path}: is the input and would be overwritten; choose another --out")
        return path

    def close(self) -> str:
        """Finish the videos."""
        for video in self._videos.values():
            video.close()
        unit = "image" if self._count == 1 else "images"
        parts = [f"{self._count} {unit} in {self._target}"] if self._count else []
        return ", ".join([*parts, *(f"video in {video.path}" for video in self._videos.values())])


def _is_same(path: Path, name: str) -> bool:
    try:
        return path.samefile(name)
    except OSError:
        return False


class Crops:
    """Crops of the objects, as ``<class>/<name>_<number>.jpg``.

    Args:
        folder: for the crops.
    """

    def __init__(self, folder: str) -> None:
        self._folder, self._stems, self._count = Path(folder), Stems(), 0

    def write(self, result: Result, drawn: Drawn) -> None:  # noqa: ARG002
        """Write the objects of one image; boxes outside it are skipped."""
        stem = self._stems.of_frame(result.frame)
        height, width = result.frame.image.shape[:2]
        for row, label in enumerate(result.detections.labels):
            box = clip(result.detections.xyxy[row], (width, height))
            (x1, y1), (x2, y2) = np.floor(box[:2]).astype(int), np.ceil(box[2:]).astype(int)
            if x2 > x1 and y2 > y1:
                name = re.sub(r"[^\w-]+", "_", label) or "_"
                path = self._folder / name / f"{stem}_{row + 1}.jpg"
                save_image(path, draw(result.frame.image[y1:y2, x1:x2], result.detections[:0]))
                self._count += 1

    def close(self) -> str:
        """Report the number of files."""
        return f"{self._count} crops in {self._folder}"


class Sheet:
    """A contact sheet: thumbnails of all images on one.

    Of more than ``limit`` images it shows every Nth.

    Args:
        path: the image file.
        width: of a thumbnail, in pixels.
        limit: largest number of thumbnails.
    """

    def __init__(self, path: str, width: int = 320, limit: int = 256) -> None:
        self._path, self._width, self._limit = Path(path), width, limit
        self._small: list[Pixels] = []
        self._step, self._count = 1, 0

    def write(self, result: Result, drawn: Drawn) -> None:  # noqa: ARG002
        """Add a thumbnail of the image."""
        import cv2

        self._count += 1
        if (self._count - 1) % self._step:
            return
        if len(self._small) == self._limit:
            self._small = self._small[::2]
            self._step *= 2
            if (self._count - 1) % self._step:
                return
        image = drawn()
        height = max(1, round(image.shape[0] * self._width / image.shape[1]))
        self._small.append(
            cv2.resize(image, (self._width, min(height, 4 * self._width)), interpolation=cv2.INTER_AREA)
        )

    def close(self) -> str:
        """Write the sheet."""
        if not self._small:
            return ""
        columns = math.ceil(math.sqrt(len(self._small)))
        rows = [self._small[i : i + columns] for i in range(0, len(self._small), columns)]
        heights = [max(image.shape[0] for image in row) for row in rows]
        sheet = np.full((sum(heights), columns * self._width, 3), 255, np.uint8)
        top = 0
        for row, height in zip(rows, heights, strict=True):
            for column, image in enumerate(row):
                left = column * self._width
                sheet[top : top + image.shape[0], left : left + self._width] = image
            top += height
        save_image(self._path, sheet)
        return f"{len(self._small)} of {self._count} images on {self._path}"


class Window:
    """A window on the screen; ``q`` or Esc quits.

    Raises:
        ArgumentError: this OpenCV build has no windows.
    """

    def __init__(self) -> None:
        opencv.require_windows("use --http")

    def write(self, result: Result, drawn: Drawn) -> None:
        """Show the image.

        Raises:
            KeyboardInterrupt: the user pressed ``q`` or Esc.
        """
        if opencv.show(f"pydarknet: {result.frame.name}", drawn(), 1) in (ord("q"), 27):
            raise KeyboardInterrupt

    def close(self) -> str:
        """Close the window."""
        import cv2

        cv2.destroyAllWindows()
        return ""
