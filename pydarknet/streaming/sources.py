# SPDX-License-Identifier: Apache-2.0
"""Sources of images: one classifier for files, folders, lists, cameras, streams, arrays and objects.

:func:`classify` decides by the text, and checks the file system only where that is ambiguous;
:func:`expand` replaces folders, patterns and lists by the files in them. They are opened by
:mod:`pydarknet.streaming.file_sources` and :mod:`pydarknet.streaming.live_sources`.
"""

from __future__ import annotations

import difflib
import glob
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from pydarknet.engine import image_header
from pydarknet.errors import ArgumentError, DataError
from pydarknet.system.fetch import without_password

Kind = Literal[
    "image", "folder", "glob", "list", "streams", "zip", "video",
    "camera", "stream", "site", "screen", "stdin", "array", "object",
]  # fmt: skip

_VIDEOS = "asf avi flv gif m2ts m4v mjpeg mjpg mkv mov mp4 mpeg mpg mts ogv ts webm wmv"
VIDEO_SUFFIXES = frozenset(f".{suffix}" for suffix in _VIDEOS.split())
IMAGE_SUFFIXES = image_header.IMAGE_SUFFIXES - VIDEO_SUFFIXES
SCHEMES = ("file", "http", "https", "rtmp", "rtmps", "rtp", "rtsp", "rtsps", "srt", "tcp", "udp")
#: Hosts of web pages, whose video yt-dlp finds.
_SITES = re.compile(
    r"(^|\.)(youtube\.com|youtube-nocookie\.com|youtu\.be|twitch\.tv|vimeo\.com|dailymotion\.com)$"
)
_SCREEN = re.compile(r"screen(?:\s+(\d+))?(?:\s+(\d+)[\s,]+(\d+)[\s,]+(\d+)[\s,]+(\d+))?")


@dataclass(frozen=True)
class StreamSource:
    """A source of images.

    Attributes:
        kind: ``"image"``, ``"video"``, ``"camera"``, ...
        value: path or URL as text; number of a camera; numbers after ``screen``; the array or object itself.
        live: whether images arrive at their own pace, so that old ones are dropped instead of waited for.
        label: name to show in place of the value.
        rgb: arrays, and those of an object's ``read()``, are red first.
    """

    kind: Kind
    value: Any
    live: bool = False
    label: str = ""
    rgb: bool = False

    def __post_init__(self) -> None:
        if self.kind in ("camera", "stream", "streams", "screen"):
            object.__setattr__(self, "live", True)

    @property
    def name(self) -> str:
        """Name in results and messages; without the password of a URL."""
        if self.label:
            return self.label
        if self.kind == "camera" and isinstance(self.value, int):
            return f"camera{self.value}"
        if self.kind == "screen":
            return " ".join(("screen", *map(str, self.value)))
        if self.kind in ("stdin", "array"):
            return self.kind
        return without_password(self.value) if isinstance(self.value, str) else type(self.value).__name__


def classify(source: Any) -> StreamSource:
    """Classify a source.

    Args:
        source: text or path (image, folder, glob pattern, ``.txt`` list, ``.streams`` list, ``.zip``, video,
            URL, ``"screen [monitor] [left top width height]"``, ``"-"`` for stdin, ``"0"`` for camera 0);
            the number of a camera; an array (h, w, c); a list or iterator of images; or an object
            with ``read()``.

    Raises:
        ArgumentError: it is not any of these.
    """
    if isinstance(source, StreamSource):
        return source
    if isinstance(source, (str, os.PathLike)):
        return _classify_text(os.fspath(source))
    if isinstance(source, int) and not isinstance(source, bool) and source >= 0:
        return StreamSource("camera", source)
    if callable(getattr(source, "read", None)):
        return StreamSource("object", source)
    if any(hasattr(source, name) for name in ("__array_interface__", "__array__")) or isinstance(
        source, (list, tuple, bytes, bytearray, Iterator)
    ):
        return StreamSource("array", source)
    raise ArgumentError(
        f"found a source of type {type(source).__name__}; expected a path, a URL, the number of a camera, "
        "an image array, or an object with read()"
    )


def _classify_text(text: str) -> StreamSource:
    if not text.strip():
        raise ArgumentError("found an empty source; expected a path, a URL or the number of a camera")
    if text == "-":
        return StreamSource("stdin", "-")
    if text.isascii() and text.isdigit():
        return StreamSource("camera", int(text))
    if match := _SCREEN.fullmatch(text):
        return StreamSource("screen", tuple(int(number) for number in match.groups() if number is not None))
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text):  # two letters at least: C:// is a drive
        return _classify_url(text)
    return StreamSource("camera", text) if text.startswith("/dev/video") else _classify_path(text)


def _classify_url(text: str) -> StreamSource:
    parts = urlsplit(text)
    scheme = parts.scheme.lower()
    if scheme not in SCHEMES:
        close = difflib.get_close_matches(scheme, SCHEMES, n=2)
        hint = f"did you mean {':// or '.join(close)}://?" if close else f"known are {', '.join(SCHEMES)}"
        raise ArgumentError(f"{without_password(text)}: unknown kind of URL {scheme}://; {hint}")
    if scheme == "file":
        path = unquote(parts.path)
        return _classify_path(path[1:] if re.match(r"/[A-Za-z]:", path) else path)
    if _SITES.search((parts.hostname or "").lower()):
        return StreamSource("site", text)
    if scheme in ("http", "https"):
        suffix = Path(parts.path).suffix.lower()
        if suffix in IMAGE_SUFFIXES:
            return StreamSource("image", text)
        # .mjpg and .ts over HTTP are endless streams of cameras.
        if suffix in VIDEO_SUFFIXES - {".mjpg", ".mjpeg", ".ts"}:
            return StreamSource("video", text)
    return StreamSource("stream", text)


def _classify_path(text: str) -> StreamSource:
    path = Path(text)
    suffix = path.suffix.lower()
    if path.is_dir() or (glob.has_magic(text) and not path.exists()):
        return StreamSource("folder" if path.is_dir() else "glob", text)
    by_suffix: dict[str, Kind] = {".txt": "list", ".list": "list", ".streams": "streams", ".zip": "zip"}
    if suffix in by_suffix:
        return StreamSource(by_suffix[suffix], text)
    if suffix in VIDEO_SUFFIXES:
        return StreamSource("video", text)
    if suffix in IMAGE_SUFFIXES or not path.is_file():  # a missing file is reported when it is opened
        return StreamSource("image", text)
    import cv2

    return StreamSource("image" if cv2.haveImageReader(text) else "video", text)


def expand(source: StreamSource) -> list[StreamSource]:
    """Replace a folder, pattern or list by its images, videos, archives and streams; keep other sources.

    Raises:
        DataError: the folder or list cannot be read or contains nothing usable.
    """
    if source.kind == "folder":
        return _files_in(Path(source.value))
    if source.kind == "glob":
        found = sorted(glob.glob(source.value, recursive=True), key=_natural)  # noqa: PTH207
        return _usable(found, f"{source.value}: matches no image or video")
    if source.kind in ("list", "streams"):
        return _listed(Path(source.value))
    return [source]


def _files_in(folder: Path) -> list[StreamSource]:
    try:
        found = sorted(map(str, folder.iterdir()), key=_natural)
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror}") from None
    pattern = folder / "**" / "*"
    return _usable(found, f"{folder}: contains no image or video; {str(pattern)!r} includes its subfolders")


def _usable(paths: list[str], message: str) -> list[StreamSource]:
    known = IMAGE_SUFFIXES | VIDEO_SUFFIXES
    found = [classify(path) for path in paths if Path(path).suffix.lower() in known and Path(path).is_file()]
    if not found:
        raise DataError(message)
    return found


def _listed(path: Path) -> list[StreamSource]:
    from pydarknet.system.text import lines_of

    found: list[StreamSource] = []
    for number, line in enumerate(lines_of(path), 1):
        if not line or line.startswith("#"):
            continue
        entry = classify(line)
        if isinstance(entry.value, str) and "://" not in line:
            # Relative to the working directory, as in Darknet; otherwise to the list.
            beside = path.parent / line
            if not Path(line).exists() and beside.exists():
                entry = classify(beside)
        if entry.kind in ("list", "streams", "stdin"):
            raise DataError(f"{path}:{number}: found {line!r}; a list names images, videos, folders or URLs")
        found.extend(expand(entry))
    if not found:
        raise DataError(f"{path}: is empty; expected one image, video, folder or URL per line")
    if len({entry.live for entry in found}) > 1:
        raise DataError(f"{path}: mixes live streams with files; run them separately")
    return found


def _natural(text: str) -> list[tuple[int, str | int]]:
    """Sort key that puts frame2 before frame10."""
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d+)", text)]
