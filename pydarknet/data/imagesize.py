# SPDX-License-Identifier: Apache-2.0
"""Width and height of an image file from its header, without decoding a pixel.

JPEG, PNG, BMP, GIF, WebP, TIFF and PNM. Sizes are those *after* the EXIF orientation is applied, because
that is how the pixels reach a network (``cv2.imread`` turns them) and how annotators saw them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from pydarknet.errors import DataError
from pydarknet.system.files import open_file

#: File name endings (lower case) that count as images.
IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".gif"}
)

_SUFFIXES = tuple(IMAGE_SUFFIXES)
_HEAD = 32
_TURNED = frozenset({5, 6, 7, 8})  # EXIF orientations that swap width and height
_ORIENTATION, _TIFF_WIDTH, _TIFF_HEIGHT = 274, 256, 257
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BARE_MARKERS = frozenset({0x01, *range(0xD0, 0xD8)})


def is_image(path: str | Path) -> bool:
    """Whether the file name ends like an image (in any mixture of cases)."""
    return str(path)[-5:].lower().endswith(_SUFFIXES)


def image_size(path: str | Path) -> tuple[int, int]:
    """Width and height in pixels, EXIF orientation applied.

    Raises:
        DataError: if the file is missing, is not a known image format, or its header is damaged.
    """
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - hot: once per image
            size = _size(file)
    except FileNotFoundError:
        raise DataError(f"{path}: no such image") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except (struct.error, ValueError, IndexError) as error:
        raise DataError(f"{path}: damaged image header: {error}") from None
    if size[0] <= 0 or size[1] <= 0:
        raise DataError(f"{path}: impossible image size {size[0]}x{size[1]}")
    return size


def _size(file: BinaryIO) -> tuple[int, int]:
    head = file.read(_HEAD)
    for magic, reader in _READERS.items():
        if head.startswith(magic):
            return reader(file, head)
    raise ValueError("not a JPEG, PNG, BMP, GIF, WebP, TIFF or PNM file")


def _turn(width: int, height: int, orientation: int) -> tuple[int, int]:
    return (height, width) if orientation in _TURNED else (width, height)


def exif_orientation(path: str | Path) -> int:
    """EXIF orientation of a JPEG file, 1 (upright) … 8; 1 if there is none or the file is something else."""
    try:
        with open_file(path) as file:
            return _jpeg_header(file)[2] if file.read(2) == b"\xff\xd8" else 1
    except (OSError, struct.error, ValueError, IndexError):
        return 1


def _jpeg(file: BinaryIO, _head: bytes) -> tuple[int, int]:
    return _turn(*_jpeg_header(file))


def _jpeg_header(file: BinaryIO) -> tuple[int, int, int]:
    """Width, height and EXIF orientation as stored in the file."""
    file.seek(2)
    orientation = 1
    while True:
        marker = file.read(2)
        while len(marker) == 2 and marker == b"\xff\xff":  # fill bytes
            marker = b"\xff" + file.read(1)
        if len(marker) < 2 or marker[0] != 0xFF:
            raise ValueError("JPEG ends before its frame header")
        if marker[1] in _BARE_MARKERS:
            continue
        (length,) = struct.unpack(">H", file.read(2))
        if length < 2:
            raise ValueError("JPEG segment without a length")
        if marker[1] in _SOF:
            _, height, width = struct.unpack(">BHH", file.read(5))
            return width, height, orientation
        if marker[1] == 0xE1:
            segment = file.read(length - 2)
            if segment[:6] == b"Exif\0\0":
                orientation = _exif_orientation(segment[6:])
        else:
            file.seek(length - 2, 1)


def _exif_orientation(tiff: bytes) -> int:
    try:
        return _tiff_tags(tiff).get(_ORIENTATION, 1)
    except (struct.error, ValueError, IndexError):
        return 1  # decoders ignore damaged EXIF too


def _tiff_tags(data: bytes) -> dict[int, int]:
    """The short and long values of the first image file directory."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        raise ValueError("no TIFF byte order mark")
    (offset,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, offset)
    tags = {}
    for index in range(count):
        entry = offset + 2 + 12 * index
        tag, kind = struct.unpack_from(order + "HH", data, entry)
        if kind == 3:
            (tags[tag],) = struct.unpack_from(order + "H", data, entry + 8)
        elif kind == 4:
            (tags[tag],) = struct.unpack_from(order + "I", data, entry + 8)
    return tags


def _png(_file: BinaryIO, head: bytes) -> tuple[int, int]:
    return struct.unpack(">II", head[16:24])


def _gif(_file: BinaryIO, head: bytes) -> tuple[int, int]:
    return struct.unpack("<HH", head[6:10])


def _bmp(_file: BinaryIO, head: bytes) -> tuple[int, int]:
    if struct.unpack("<I", head[14:18])[0] == 12:  # OS/2 header
        return struct.unpack("<HH", head[18:22])
    width, height = struct.unpack("<ii", head[18:26])
    return width, abs(height)


def _tiff(file: BinaryIO, _head: bytes) -> tuple[int, int]:
    file.seek(0)
    tags = _tiff_tags(file.read(1 << 20))
    if _TIFF_WIDTH not in tags or _TIFF_HEIGHT not in tags:
        raise ValueError("TIFF directory without sizes in its first MiB")
    return _turn(tags[_TIFF_WIDTH], tags[_TIFF_HEIGHT], tags.get(_ORIENTATION, 1))


def _webp(_file: BinaryIO, head: bytes) -> tuple[int, int]:
    kind = head[8:16]
    if kind == b"WEBPVP8 ":
        width, height = struct.unpack("<HH", head[26:30])
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"WEBPVP8L":
        (bits,) = struct.unpack("<I", head[21:25])
        return (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
    if kind == b"WEBPVP8X":
        width = int.from_bytes(head[24:27], "little") + 1
        return width, int.from_bytes(head[27:30], "little") + 1
    raise ValueError("unknown WebP chunk")


def _pnm(file: BinaryIO, _head: bytes) -> tuple[int, int]:
    file.seek(2)
    words: list[bytes] = []
    for line in file.read(1024).split(b"\n"):
        words += line.split(b"#")[0].split()
        if len(words) >= 2:
            return int(words[0]), int(words[1])
    raise ValueError("PNM header without a size")


_READERS: dict[bytes, Callable[[BinaryIO, bytes], tuple[int, int]]] = {
    b"\xff\xd8": _jpeg,
    b"\x89PNG\r\n\x1a\n": _png,
    b"BM": _bmp,
    b"RIFF": _webp,
    b"GIF8": _gif,
    b"II*\0": _tiff,
    b"MM\0*": _tiff,
    **{b"P%d" % kind: _pnm for kind in range(1, 7)},
}
