# SPDX-License-Identifier: Apache-2.0
"""Sources that are not live: images, videos, archives and stdin become frames, all of them, in order.

A DataError takes the place of what cannot be read, so that the rest is not lost. Live sources are in
:mod:`pydarknet.streaming.live_sources`.
"""

from __future__ import annotations

import logging
import math
import os
import sys
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from io import BufferedReader
from time import perf_counter
from typing import IO, Any

import numpy as np

from pydarknet.data.archives import DAMAGED
from pydarknet.engine import opencv
from pydarknet.engine.images import Pixels, blue_first, decode, load
from pydarknet.errors import DataError
from pydarknet.streaming.sources import IMAGE_SUFFIXES, StreamSource, _natural
from pydarknet.system.fetch import LARGEST_FILE, without_password

_log = logging.getLogger("pydarknet")
_MOST_VIDEOS_TO_OPEN = 100  # only to count their frames


@dataclass(frozen=True)
class Frame:
    """One image of a source.

    Attributes:
        image: (h, w) or (h, w, c), blue first.
        name: path or URL it came from; for frames of a video, that of the video.
        index: number of the frame within its source, from 0, counted before any are skipped.
        time: seconds since the beginning of the source; of a video, as the file states it.
        fps: frames per second of the video; 0 if unknown, and for a single image.
        still: a single image, not a frame of a video or stream.
        captured: time of reading, on the clock of ``time.perf_counter``.
    """

    image: Pixels
    name: str
    index: int = 0
    time: float = 0.0
    fps: float = 0.0
    still: bool = False
    captured: float = field(default_factory=perf_counter)


def frames(sources: Iterable[StreamSource], channels: int = 3, every: int = 1) -> Iterator[Frame | DataError]:
    """Read the frames of sources that are not live, one after the other.

    Args:
        sources: from :func:`pydarknet.streaming.sources.expand`.
        channels: of the decoded images, 1, 3 or 4.
        every: read every Nth frame of videos; of images all are read.
    """
    for source in sources:
        try:
            if source.kind == "zip":
                yield from _archive(source.value, channels)
            elif source.kind == "video":
                yield from _video(source.value, source.name, every)
            elif source.kind == "stdin":
                yield from _stdin(BufferedReader(sys.stdin.buffer), channels, every)  # type: ignore[arg-type]
            elif source.kind == "object":
                yield from _object(source, every)
            elif source.kind == "array":
                yield from _arrays(source, channels)
            else:
                yield Frame(_image(source.value, channels), source.name, still=True)
        except DataError as error:
            yield error


def count(sources: Iterable[StreamSource], every: int = 1) -> int | None:
    """Number of frames that :func:`frames` will give; None if unknown."""
    total, videos = 0, 0
    for source in sources:
        videos += source.kind == "video"
        if source.kind == "video" and videos <= _MOST_VIDEOS_TO_OPEN and os.path.isfile(source.value):  # noqa: PTH113
            announced = _length(source)
            if not announced:
                return None
            total += math.ceil(announced / every)
        elif source.kind == "image":
            total += 1
        elif source.kind == "array" and isinstance(source.value, (list, tuple)):
            total += len(source.value)
        else:
            return None
    return total


def _length(video: StreamSource) -> int:
    """Number of frames in a video's header; 0 if it has none, or cannot be opened."""
    try:
        capture = open_capture(video.value, video.name)
    except DataError:
        return 0
    try:
        return _announced(capture)
    finally:
        capture.release()


# -- images --------------------------------------------------------------------------------------------------


def _image(value: str, channels: int) -> Pixels:
    return load(value, channels, urls=True)


def _arrays(source: StreamSource, channels: int) -> Iterator[Frame | DataError]:
    value = source.value
    images = value if isinstance(value, (list, tuple, Iterator)) else [value]
    for index, image in enumerate(images):
        try:
            is_name = isinstance(image, (str, os.PathLike))
            name = without_password(os.fspath(image)) if is_name else f"array{index + 1}"
            yield Frame(load(image, channels, rgb=source.rgb, urls=True), name, index, still=True)
        except DataError as error:
            yield error


def _archive(path: str, channels: int) -> Iterator[Frame | DataError]:
    """The images in a ZIP, read in place: nothing is unpacked to the disk."""
    try:
        archive = zipfile.ZipFile(path)
    except DAMAGED as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: cannot be opened as a ZIP: {reason}") from None
    with archive:
        members = [info for info in archive.infolist() if _is_image(info)]
        if not members:
            raise DataError(f"{path}: contains no image")
        for info in sorted(members, key=lambda info: _natural(info.filename)):
            name = f"{path}/{info.filename}"
            try:
                if info.file_size > LARGEST_FILE:
                    raise DataError(f"{name}: is larger than {LARGEST_FILE >> 20} MiB")
                yield Frame(decode(archive.read(info), channels, name), name, still=True)
            except DataError as error:
                yield error
            except DAMAGED as error:
                yield DataError(f"{name}: cannot be unpacked: {error}")


def _is_image(info: zipfile.ZipInfo) -> bool:
    suffix = os.path.splitext(info.filename)[1].lower()  # noqa: PTH122  a member's name, not a path
    return suffix in IMAGE_SUFFIXES and not info.is_dir() and not info.filename.startswith("__MACOSX/")


# -- videos --------------------------------------------------------------------------------------------------


def open_capture(address: str | int, name: str, *settings: int) -> Any:
    """Open a ``cv2.VideoCapture``.

    Raises:
        DataError: it cannot be opened.
    """
    import cv2

    if isinstance(address, str) and "://" not in address and not os.path.exists(address):  # noqa: PTH110
        raise DataError(f"{name}: cannot be read: No such file or directory")
    # CAP_ANY would read frame_001.mp4 as the first of a series of images.
    backend = cv2.CAP_FFMPEG if isinstance(address, str) and not address.startswith("/dev/") else cv2.CAP_ANY
    try:
        capture = opencv.capture(address, backend, list(settings))
        if not capture.isOpened() and not isinstance(address, int) and "://" not in address:
            capture = opencv.capture(address)
    except cv2.error as error:
        raise DataError(f"{name}: cannot be opened: {error.err}") from None
    if not capture.isOpened():
        raise DataError(
            f"{name}: cannot be opened; expected a video that OpenCV can decode, or a camera not in use"
        )
    return capture


def fps_of(capture: Any) -> float:
    """Frames per second in a video's header; 0 if it has no sensible value."""
    import cv2

    fps = float(capture.get(cv2.CAP_PROP_FPS))
    return fps if math.isfinite(fps) and 0 < fps <= 1000 else 0.0


def _announced(capture: Any) -> int:
    import cv2

    number = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    return int(number) if math.isfinite(number) and 0 < number < 1e9 else 0


def _video(address: str, name: str, every: int) -> Iterator[Frame]:
    capture = open_capture(address, name)
    try:
        fps, announced, index = fps_of(capture), _announced(capture), 0
        while capture.grab():
            if index % every == 0:
                fine, image = capture.retrieve()
                if fine and image is not None and image.size:
                    yield Frame(image, name, index, _time_of(capture, index, fps), fps / every)
            index += 1
    finally:
        capture.release()
    if not index:
        raise DataError(f"{name}: has no frame that can be decoded")
    if index < announced:
        _log.warning("%s: the header has %d frames, but only %d can be read", name, announced, index)


def _time_of(capture: Any, index: int, fps: float) -> float:
    """Time of the frame that was grabbed, in seconds: as the file states it, else by its number.

    Videos of phones and screen recorders have no constant rate.
    """
    import cv2

    stated = float(capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000
    if math.isfinite(stated) and (stated > 0 or index == 0):
        return max(stated, 0.0)
    return index / fps if fps else 0.0


def _object(source: StreamSource, every: int) -> Iterator[Frame]:
    """Frames of an object with ``read()`` that is not a live source, until it has none left."""
    index = 0
    while (image := image_of(source.value.read(), source)) is not None:
        if index % every == 0:
            yield Frame(image, source.name, index)
        index += 1


def image_of(answer: Any, source: StreamSource) -> Pixels | None:
    """The image in the answer of a ``read()``: ``(ok, image)`` as in cv2, or the image; None for none.

    Raises:
        DataError: the answer is neither.
    """
    if isinstance(answer, tuple) and len(answer) == 2:
        fine, answer = answer
        if not fine:
            return None
    if answer is None:
        return None
    if not hasattr(answer, "shape"):
        raise DataError(
            f"{source.name}: read() returned a {type(answer).__name__}; expected (ok, image) or an image"
        )
    if source.rgb:
        answer = blue_first(np.asarray(answer))
    return answer if answer.size else None


# -- stdin ---------------------------------------------------------------------------------------------------


def _stdin(stream: BufferedReader, channels: int, every: int) -> Iterator[Frame | DataError]:
    """Concatenated images (from ``ffmpeg -f image2pipe``), or paths, one per line."""
    head = stream.read(2)
    if head not in (b"\xff\xd8", b"\x89P"):
        yield from _named(head, stream, channels, every)
        return
    index = 0
    while head:
        data = (_jpeg if head == b"\xff\xd8" else _png)(head, stream)
        if index % every == 0:
            try:
                yield Frame(decode(data, channels, f"stdin, image {index + 1}"), "stdin", index)
            except DataError as error:
                yield error
        index += 1
        head = stream.read(2)
        if head not in (b"", b"\xff\xd8", b"\x89P"):
            raise DataError(f"stdin: found {head!r} after image {index}, expected a JPEG or PNG")


def _named(head: bytes, stream: IO[bytes], channels: int, every: int) -> Iterator[Frame | DataError]:
    from pydarknet.streaming.sources import classify, expand

    for line in _lines(head, stream):
        try:
            source = classify(line)
            if source.live or source.kind == "stdin":
                raise DataError(f"stdin: found {line!r}; expected paths of images or videos, one per line")
            yield from frames(expand(source), channels, every)
        except DataError as error:
            yield error


def _lines(head: bytes, stream: IO[bytes]) -> Iterator[str]:
    while line := head + stream.readline():
        head = b""
        if text := line.decode("utf-8", "replace").strip():
            yield text


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise DataError("stdin: ends in the middle of an image")
    return data


def _png(head: bytes, stream: IO[bytes]) -> bytes:
    """The rest of a PNG: chunks of length, name, data and checksum, up to IEND."""
    data = bytearray(head + _exactly(stream, 6))
    while True:
        chunk = _exactly(stream, 8)
        size = int.from_bytes(chunk[:4], "big") + 4
        if len(data) + size > LARGEST_FILE:
            raise DataError("stdin: contains a damaged PNG")
        data += chunk + _exactly(stream, size)
        if chunk[4:] == b"IEND":
            return bytes(data)


def _jpeg(head: bytes, stream: BufferedReader) -> bytes:
    """The rest of a JPEG: segments are skipped by their length, since a thumbnail in one has its own end."""
    data = bytearray(head)
    while len(data) < LARGEST_FILE:
        waiting = stream.peek(1)
        data += _exactly(stream, waiting.find(b"\xff") + 1 or len(waiting) or 1)
        if data[-1] != 0xFF:
            continue
        while (marker := _exactly(stream, 1)) == b"\xff":
            data += marker
        data += marker
        if marker == b"\xd9":
            return bytes(data)
        if marker[0] >= 0xC0 and not 0xD0 <= marker[0] <= 0xD7:  # all but entropy-coded bytes and restarts
            size = _exactly(stream, 2)
            data += size + _exactly(stream, max(0, int.from_bytes(size, "big") - 2))
    raise DataError("stdin: contains a damaged JPEG")
