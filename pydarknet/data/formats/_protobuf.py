# SPDX-License-Identifier: Apache-2.0
"""TFRecord files and the ``tf.train.Example`` messages in them, without TensorFlow.

A record is its length (8 bytes), the length's checksum, the data, and the data's checksum. An Example is a
map from names to lists of bytes, floats or integers. Formats:
https://www.tensorflow.org/tutorials/load_data/tfrecord and
https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from pydarknet.errors import RecordError
from pydarknet.system.files import open_file

_HEAD = 12  # bytes of the length and its checksum
_LARGEST = 1 << 30  # bytes of a record
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def records(path: Path) -> Iterator[tuple[int, int, int]]:
    """(number, offset, length) of every record of a TFRecord file.

    Raises:
        RecordError: where the file is damaged.
    """
    number = offset = 0
    with open_file(path) as file:
        size = path.stat().st_size
        while head := file.read(_HEAD):
            number += 1
            length = _length(head)
            if length is None or offset + _HEAD + length + 4 > size:
                raise RecordError("parse", "not a TFRecord, or cut off", path, number)
            yield number, offset + _HEAD, length
            offset += _HEAD + length + 4
            file.seek(offset)


def is_tfrecord(path: Path) -> bool:
    """Whether a file begins with a record."""
    with open_file(path) as file:
        return _length(file.read(_HEAD)) is not None


def _length(head: bytes) -> int | None:
    """The length of a record, ``None`` if its checksum is another one."""
    if len(head) < _HEAD:
        return None
    length, check = struct.unpack("<QI", head)
    found = _crc32c(head[:8])
    masked = ((found >> 15 | found << 17) + 0xA282EAD8) & 0xFFFFFFFF
    return length if masked == check and length <= _LARGEST else None


@cache
def _table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


def _crc32c(data: bytes) -> int:
    check = 0xFFFFFFFF
    for byte in data:
        check = _table()[(check ^ byte) & 0xFF] ^ check >> 8
    return check ^ 0xFFFFFFFF


def example(data: bytes) -> dict[str, list[Any]]:
    """The features of an Example by name: lists of bytes, floats or integers.

    Raises:
        ValueError: if the message is damaged.
    """
    found: dict[str, list[Any]] = {}
    for field, features in _fields(data):
        for entry_field, entry in _fields(features) if field == 1 else ():
            if entry_field == 1:
                parts = dict(_fields(entry))
                found[bytes(parts.get(1, b"")).decode()] = _feature(parts.get(2, b""))
    return found


def _feature(data: bytes) -> list[Any]:
    for kind, values in _fields(data):
        found: list[Any] = []
        for field, value in _fields(values):
            if field != 1:
                continue
            if kind == 1:
                found.append(value)
            elif kind == 2:
                found += struct.unpack(f"<{len(value) // 4}f", value)
            elif isinstance(value, int):
                found.append(_signed(value))
            else:
                at = 0
                while at < len(value):
                    number, at = _varint(value, at)
                    found.append(_signed(number))
        return found
    return []


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number


def _fields(data: Any) -> Iterator[tuple[int, Any]]:
    """(number, value) of the fields of a message."""
    if isinstance(data, int):
        raise ValueError("a message in another form")
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
        else:
            if kind == _BYTES:
                size, at = _varint(data, at)
            else:
                size = {_FIXED64: 8, _FIXED32: 4}.get(kind, -1)
            if size < 0 or at + size > len(data):
                raise ValueError("a message that is cut off or damaged")
            value, at = data[at : at + size], at + size
        yield key >> 3, value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value & (1 << 64) - 1, at
    raise ValueError("a number that is cut off or too long")
