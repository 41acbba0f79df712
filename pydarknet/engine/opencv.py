# SPDX-License-Identifier: Apache-2.0
"""The functions of OpenCV that take text, for any text.

OpenCV crashes on text that is not valid Unicode, such as the name of a file that is not UTF-8. Other modules
do not call these functions of ``cv2``; ``tools/check_imports.py`` verifies it.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydarknet.errors import ArgumentError

Pixels = Any


def put_text(
    canvas: Pixels,
    text: str,
    origin: tuple[int, int],
    scale: float,
    colour: tuple[int, int, int],
    weight: int = 1,
    line: int = 8,
) -> None:
    """``cv2.putText`` in the plain font; characters beyond ASCII, which it lacks, become question marks."""
    import cv2

    cv2.putText(canvas, _ascii(text), origin, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, weight, line)


def text_size(text: str, scale: float, weight: int = 1) -> tuple[int, int, int]:
    """Width and height of a text that :func:`put_text` draws, and its depth below the line, in pixels."""
    import cv2

    (width, height), baseline = cv2.getTextSize(_ascii(text), cv2.FONT_HERSHEY_SIMPLEX, scale, weight)
    return width, height, baseline


def require_windows(otherwise: str) -> None:
    """Raise ArgumentError if this OpenCV build has no windows; ``otherwise`` names what to use instead."""
    import cv2

    lines = [line for line in cv2.getBuildInformation().splitlines() if line.strip().startswith("GUI:")]
    if not lines or "NONE" in lines[0]:
        raise ArgumentError(
            "this OpenCV build cannot open windows (opencv-python-headless is installed); for windows: "
            f"pip uninstall opencv-python-headless && pip install opencv-python; or {otherwise}"
        )


def show(title: str, image: Pixels, wait_ms: int) -> int:
    """Show an image in the window of this title; returns the key pressed within the time, 0 waits for one."""
    import cv2

    cv2.imshow(title.encode("utf-8", "replace").decode(), image)
    return cv2.waitKey(wait_ms) & 0xFF


def capture(address: str | int, backend: int = 0, settings: list[int] | None = None) -> Any:
    """``cv2.VideoCapture`` of a file, a URL or the number of a camera."""
    import cv2

    if isinstance(address, int):
        return cv2.VideoCapture(address, backend, settings or [])
    with _plain_name(address) as name:
        return cv2.VideoCapture(name, backend, settings or [])


def video_writer(path: Path, codec: str, fps: float, size: tuple[int, int]) -> Any:
    """``cv2.VideoWriter`` of a file; the codec has four characters, the size is (width, height) in pixels."""
    import cv2

    with _plain_name(os.fspath(path)) as name:
        return cv2.VideoWriter(name, cv2.VideoWriter_fourcc(*codec), fps, size)  # type: ignore[attr-defined]


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode()


@contextlib.contextmanager
def _plain_name(path: str) -> Iterator[str]:
    """A name by which OpenCV, which passes on UTF-8, can open the file: its own, or that of a link to it."""
    if os.fsencode(path) == path.encode("utf-8", "surrogatepass"):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder, "file" + _ascii(Path(path).suffix))
        link.symlink_to(Path(path).absolute())
        yield os.fspath(link)
