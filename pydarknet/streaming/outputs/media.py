# SPDX-License-Identifier: Apache-2.0
"""Annotated pictures and films, crops of the objects, and one sheet with everything on it."""

from __future__ import annotations

import contextlib
import logging
import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from pydarknet.engine.boxes import clip
from pydarknet.engine.draw import draw
from pydarknet.engine.images import save_image
from pydarknet.errors import ArgumentError, FileError
from pydarknet.streaming.file_sources import Frame
from pydarknet.streaming.outputs import Drawn, Picture
from pydarknet.streaming.outputs.text import Stems
from pydarknet.streaming.result import Result
from pydarknet.streaming.sources import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from pydarknet.system.atomic import abandon, replacing

_log = logging.getLogger("pydarknet")
_CODECS = {".mp4": "mp4v", ".mov": "mp4v", ".m4v": "mp4v", ".mkv": "mp4v", ".avi": "MJPG", ".webm": "VP80"}
_USUAL_FPS = 30.0  # of a live source that does not tell
_LONGEST_GAP = 1.0  # seconds for which a live film shows the last picture before the next


class Film:
    """A film file that grows picture by picture and appears when it is closed.

    The first picture gives the size; later ones of another size are fitted.

    Args:
        path: with a suffix that says the format: ``.mp4``, ``.avi``, ``.mkv``, ``.mov`` or ``.webm``.
        fps: pictures per second.
        live: pictures come when they come: keep their pace, by repeating or leaving out, so that the film
            runs as fast as what it shows.
    """

    def __init__(self, path: Path, fps: float, live: bool = False) -> None:
        if path.suffix.lower() not in _CODECS:
            raise ArgumentError(f"{path}: films can be written as {', '.join(_CODECS)}")
        self.path, self._fps, self._live = path, fps or _USUAL_FPS, live
        self._stack = contextlib.ExitStack()
        self._temporary = self._stack.enter_context(replacing(path))
        self._writer: Any = None
        self._size = (0, 0)
        self._due = 0.0
        self._last: float | None = None

    def write(self, picture: Picture, time: float) -> None:
        """Append a picture that was taken ``time`` seconds after the beginning."""
        import cv2

        height, width = picture.shape[:2]
        if self._writer is None:
            codec = cv2.VideoWriter_fourcc(*_CODECS[self.path.suffix.lower()])  # type: ignore[attr-defined]
            self._writer = cv2.VideoWriter(str(self._temporary), codec, self._fps, (width, height))
            self._size = (width, height)
            if not self._writer.isOpened():
                raise FileError(f"{self.path}: this OpenCV cannot write films of this kind; try .avi")
        if (width, height) != self._size:
            picture = cv2.resize(picture, self._size, interpolation=cv2.INTER_AREA)
        for _ in range(self._repetitions(time)):
            self._writer.write(picture)

    def _repetitions(self, time: float) -> int:
        if not self._live:
            return 1
        gap = 1 / self._fps if self._last is None else min(time - self._last, _LONGEST_GAP)
        self._last = time
        self._due += gap * self._fps
        times = math.floor(self._due + 1e-6)
        self._due -= times
        return times

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.release()
            self._stack.close()
        else:  # an empty film would only replace something good
            abandon(self._stack)


class Pictures:
    """Annotated images as ``<name>.jpg`` and films as ``<name>.mp4`` in a folder, or all in one named file.

    Args:
        target: folder, or the file (``predictions.jpg``, ``out.mp4``) if there is one image or film.

    Raises:
        FileError: (on writing) a picture would replace the image it shows.
        ArgumentError: (on writing) one file is named, but there are several sources.
    """

    def __init__(self, target: str) -> None:
        self._target = Path(target)
        self._one = self._target.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES
        self._stems = Stems()
        self._films: dict[str, Film] = {}
        self._source: tuple[str, int] | None = None
        self._count = 0

    def write(self, result: Result, drawn: Drawn) -> None:
        """Write the picture, or append it to its film."""
        frame = result.frame
        path = self._path(frame)
        if path.suffix.lower() in IMAGE_SUFFIXES:
            save_image(path, drawn())
            self._count += 1
        else:
            if frame.name not in self._films:
                self._films[frame.name] = Film(path, frame.fps, live=result.live)
            self._films[frame.name].write(drawn(), frame.time)

    def _path(self, frame: Frame) -> Path:
        suffix = ".jpg" if frame.still else ".mp4"
        path = self._target if self._one else self._target / (self._stems.of_source(frame.name) + suffix)
        if self._one:
            source = (frame.name, frame.index if frame.still or path.suffix.lower() in IMAGE_SUFFIXES else 0)
            self._source = self._source or source
            if source != self._source:
                raise ArgumentError(f"{path}: is one file, but there are several pictures; name a folder")
        if frame.name not in self._films and _is_same(path, frame.name):
            raise FileError(f"{path}: is the input and would be overwritten; choose another --out")
        return path

    def close(self) -> str:
        """Finish the films."""
        for film in self._films.values():
            film.close()
        parts = [f"{self._count} pictures in {self._target}"] if self._count else []
        return ", ".join([*parts, *(f"film in {film.path}" for film in self._films.values())])


def _is_same(path: Path, name: str) -> bool:
    try:
        return path.samefile(name)
    except OSError:
        return False


class Crops:
    """Each object cut out, as ``<class>/<name>_<number>.jpg``.

    Args:
        folder: where they go.
    """

    def __init__(self, folder: str) -> None:
        self._folder, self._stems, self._count = Path(folder), Stems(), 0

    def write(self, result: Result, drawn: Drawn) -> None:  # noqa: ARG002
        """Cut out the objects of one picture; boxes outside it are left out."""
        stem = self._stems.of_picture(result.frame)
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
        """Nothing is left to do."""
        return f"{self._count} crops in {self._folder}"


class Sheet:
    """A contact sheet: all pictures small, side by side, on one.

    Of more than ``limit`` pictures it shows a share, evenly spread.

    Args:
        path: the image file.
        width: of one small picture, in pixels.
        limit: small pictures at most.
    """

    def __init__(self, path: str, width: int = 320, limit: int = 256) -> None:
        self._path, self._width, self._limit = Path(path), width, limit
        self._small: list[Picture] = []
        self._step, self._count = 1, 0

    def write(self, result: Result, drawn: Drawn) -> None:  # noqa: ARG002
        """Take a picture in."""
        import cv2

        self._count += 1
        if (self._count - 1) % self._step:
            return
        if len(self._small) == self._limit:
            self._small = self._small[::2]
            self._step *= 2
            if (self._count - 1) % self._step:
                return
        picture = drawn()
        height = max(1, round(picture.shape[0] * self._width / picture.shape[1]))
        self._small.append(
            cv2.resize(picture, (self._width, min(height, 4 * self._width)), interpolation=cv2.INTER_AREA)
        )

    def close(self) -> str:
        """Put the sheet together."""
        if not self._small:
            return ""
        columns = math.ceil(math.sqrt(len(self._small)))
        rows = [self._small[i : i + columns] for i in range(0, len(self._small), columns)]
        heights = [max(picture.shape[0] for picture in row) for row in rows]
        sheet = np.full((sum(heights), columns * self._width, 3), 255, np.uint8)
        top = 0
        for row, height in zip(rows, heights, strict=True):
            for column, picture in enumerate(row):
                left = column * self._width
                sheet[top : top + picture.shape[0], left : left + self._width] = picture
            top += height
        save_image(self._path, sheet)
        return f"{len(self._small)} of {self._count} pictures on {self._path}"


class Window:
    """A window on the screen, for whoever sits before it; ``q`` or Esc ends.

    Raises:
        ArgumentError: this OpenCV has no windows.
    """

    def __init__(self) -> None:
        import cv2

        lines = [line for line in cv2.getBuildInformation().splitlines() if line.strip().startswith("GUI:")]
        if not lines or "NONE" in lines[0]:
            raise ArgumentError(
                "this OpenCV opens no windows (opencv-python-headless is installed); to use --show: "
                "pip uninstall opencv-python-headless && pip install opencv-python; or look at --http"
            )

    def write(self, result: Result, drawn: Drawn) -> None:
        """Show the picture.

        Raises:
            KeyboardInterrupt: the user pressed ``q`` or Esc.
        """
        import cv2

        cv2.imshow(f"pydarknet: {result.frame.name}", drawn())
        if cv2.waitKey(1) & 0xFF in (ord("q"), 27):
            raise KeyboardInterrupt

    def close(self) -> str:
        """Close the window."""
        import cv2

        cv2.destroyAllWindows()
        return ""
