# SPDX-License-Identifier: Apache-2.0
"""Size and EXIF orientation of an image file from its header, without decoding a pixel.

The decoder decides: sizes are those of the image as ``cv2.imdecode`` returns it, which rotates JPEG, PNG,
WebP and TIFF by their EXIF orientation, as viewers do. Files whose header has no reader here, or a damaged
one, are decoded for their size. ``tests/engine/test_image_header.py`` compares both.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from pydarknet.errors import DataError
from pydarknet.system.files import open_file, read_file

_IMAGES = "jpg jpeg png bmp webp tif tiff ppm pgm gif jpe jfif mpo dib pnm pbm jp2 avif ras sr"
#: File name endings (lower case) of the image formats that OpenCV decodes to whole numbers.
IMAGE_SUFFIXES = frozenset(f".{suffix}" for suffix in _IMAGES.split())

_SUFFIXES = tuple(IMAGE_SUFFIXES)
_HEAD = 32
_TURNED = frozenset({5, 6, 7, 8})  # EXIF orientations that swap width and height
_ORIENTATION, _TIFF_WIDTH, _TIFF_HEIGHT = 274, 256, 257
_TIFF_DIRECTORY = 1 << 16  # bytes that hold an image file directory
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BARE_MARKERS = frozenset({0x01, *range(0xD0, 0xD8)})


def is_image(path: str | Path) -> bool:
    """Whether the file name ends like an image (in any mixture of cases)."""
    return str(path)[-5:].lower().endswith(_SUFFIXES)


def image_size(path: str | Path) -> tuple[int, int]:
    """Width and height in pixels, EXIF orientation applied.

    Raises:
        DataError: if the file is missing, or is not an image that OpenCV decodes.
    """
    try:
        with open_file(path) as file:
            width, height, orientation = _header(file)
    except FileNotFoundError:
        raise DataError(f"{path}: no such image") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except (struct.error, ValueError, IndexError) as error:
        return _decoded_size(path, str(error))
    if width <= 0 or height <= 0:
        raise DataError(f"{path}: impossible image size {width}x{height}")
    return (height, width) if orientation in _TURNED else (width, height)


def header_size(data: bytes) -> tuple[int, int]:
    """Width and height in pixels of the bytes of an image file, as stored; nothing is decoded.

    Raises:
        DataError: the header is damaged or not one of a known format.
    """
    try:
        width, height, _ = _header(BytesIO(data))
    except (struct.error, ValueError, IndexError) as error:
        raise DataError(f"damaged image header: {error}") from None
    if width <= 0 or height <= 0:
        raise DataError(f"impossible image size {width}x{height}")
    return width, height


def exif_orientation(image: str | Path | bytes | bytearray | memoryview) -> int:
    """EXIF orientation of a file or its bytes, 1 (upright) to 8; 1 if there is none."""
    try:
        if isinstance(image, (str, Path)):
            with open_file(image) as file:
                return _header(file)[2]
        return _header(BytesIO(image))[2]
    except (OSError, struct.error, ValueError, IndexError):
        return 1


def _decoded_size(path: str | Path, problem: str) -> tuple[int, int]:
    """The size of an image whose header cannot be read here."""
    import cv2
    import numpy as np

    pixels = None
    data = np.frombuffer(read_file(path), np.uint8)
    if len(data) > _HEAD:
        try:
            pixels = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
        except cv2.error:
            pixels = None
    if pixels is None:
        raise DataError(f"{path}: damaged image header: {problem}")
    return pixels.shape[1], pixels.shape[0]


def _header(file: BinaryIO) -> tuple[int, int, int]:
    """Width and height as stored, and the EXIF orientation."""
    head = file.read(_HEAD)
    for magic, reader in _READERS.items():
        if head.startswith(magic):
            return reader(file, head)
    raise ValueError("not a JPEG, PNG, BMP, GIF, WebP, TIFF, PNM, JPEG 2000 or AVIF file")


def _jpeg(file: BinaryIO, _head: bytes) -> tuple[int, int, int]:
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
        order = {b"II": "<", b"MM": ">"}[tiff[:2]]
        (offset,) = struct.unpack_from(order + "I", tiff, 4)
        found = _tags(tiff, offset, order).get(_ORIENTATION, 1)
    except (struct.error, KeyError, IndexError):
        return 1  # decoders ignore damaged EXIF too
    return found if 1 <= found <= 8 else 1


def _tags(data: bytes, offset: int, order: str) -> dict[int, int]:
    """The short and long values of an image file directory."""
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


def _png(file: BinaryIO, head: bytes) -> tuple[int, int, int]:
    width, height = struct.unpack(">II", head[16:24])
    file.seek(8)
    orientation = 1
    while len(chunk := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", chunk)
        if kind == b"eXIf":
            orientation = _exif_orientation(file.read(length))
        elif kind == b"IEND":
            break
        else:
            file.seek(length, 1)
        file.seek(4, 1)  # checksum
    return width, height, orientation


def _gif(_file: BinaryIO, head: bytes) -> tuple[int, int, int]:
    return (*struct.unpack("<HH", head[6:10]), 1)


def _bmp(_file: BinaryIO, head: bytes) -> tuple[int, int, int]:
    if struct.unpack("<I", head[14:18])[0] == 12:  # OS/2 header
        return (*struct.unpack("<HH", head[18:22]), 1)
    width, height = struct.unpack("<ii", head[18:26])
    return width, abs(height), 1


def _tiff(file: BinaryIO, head: bytes) -> tuple[int, int, int]:
    order = "<" if head[:2] == b"II" else ">"
    (offset,) = struct.unpack_from(order + "I", head, 4)
    file.seek(offset)
    tags = _tags(file.read(_TIFF_DIRECTORY), 0, order)
    if _TIFF_WIDTH not in tags or _TIFF_HEIGHT not in tags:
        raise ValueError("TIFF directory without sizes")
    return tags[_TIFF_WIDTH], tags[_TIFF_HEIGHT], tags.get(_ORIENTATION, 1)


def _webp(file: BinaryIO, head: bytes) -> tuple[int, int, int]:
    kind = head[8:16]
    if kind == b"WEBPVP8 ":
        width, height = struct.unpack("<HH", head[26:30])
        return width & 0x3FFF, height & 0x3FFF, 1
    if kind == b"WEBPVP8L":
        (bits,) = struct.unpack("<I", head[21:25])
        return (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1, 1
    if kind == b"WEBPVP8X":
        width = int.from_bytes(head[24:27], "little") + 1
        return width, int.from_bytes(head[27:30], "little") + 1, _webp_orientation(file)
    raise ValueError("unknown WebP chunk")


def _webp_orientation(file: BinaryIO) -> int:
    file.seek(12)
    while len(chunk := file.read(8)) == 8:
        kind, length = struct.unpack("<4sI", chunk)
        if kind == b"EXIF":
            return _exif_orientation(file.read(length).removeprefix(b"Exif\0\0"))
        file.seek(length + length % 2, 1)
    return 1


def _pnm(file: BinaryIO, _head: bytes) -> tuple[int, int, int]:
    file.seek(2)
    words: list[bytes] = []
    for line in file.read(1024).split(b"\n"):
        words += line.split(b"#")[0].split()
        if len(words) >= 2:
            return int(words[0]), int(words[1]), 1
    raise ValueError("PNM header without a size")


_READERS: dict[bytes, Callable[[BinaryIO, bytes], tuple[int, int, int]]] = {
    b"\xff\xd8": _jpeg,
    b"\x89PNG\r\n\x1a\n": _png,
    b"BM": _bmp,
    b"RIFF": _webp,
    b"GIF8": _gif,
    b"II*\0": _tiff,
    b"MM\0*": _tiff,
    **{b"P%d" % kind: _pnm for kind in range(1, 7)},
}
