# SPDX-License-Identifier: Apache-2.0
"""The bytes of a ``.weights`` file: a header of 16 or 20 bytes, then float32 values without any names.

Format: three little-endian int32 (major, minor, revision), the number of images seen as uint64 (uint32 in
files older than version 0.2), then the arrays of all layers in order.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pydarknet.engine.model_files import is_model, of_run
from pydarknet.errors import WeightsError
from pydarknet.system.atomic import replacing
from pydarknet.system.files import open_file

Floats = NDArray[np.float32]

_LARGEST_VERSION = 10_000  # no program ever wrote a larger number; bigger ones mean "this is something else"


@dataclass(frozen=True, slots=True)
class Header:
    """Header of a weights file.

    Attributes:
        seen: images processed in training; Darknet's iteration is ``seen / batch``.
        major: version of the format; current programs write 0.2.5.
        minor: see ``major``.
        revision: see ``major``.
    """

    seen: int = 0
    major: int = 0
    minor: int = 2
    revision: int = 5

    @property
    def size(self) -> int:
        """Bytes before the first value: 20, or 16 in files older than version 0.2."""
        return 20 if 10 * self.major + self.minor >= 2 else 16

    def iterations(self, batch: int = 64) -> int:
        """Weight updates done, if every one took ``batch`` images."""
        return self.seen // batch

    def __bytes__(self) -> bytes:
        kind = "<iiiQ" if self.size == 20 else "<iiiI"
        return struct.pack(kind, self.major, self.minor, self.revision, self.seen)


@dataclass(frozen=True, slots=True, eq=False)
class WeightsFile:
    """An opened weights file.

    Attributes:
        path: where it is.
        header: the header.
        values: (n,) float32, everything behind the header, mapped from the disk.
        rest: bytes behind the last whole value, 0…3; more than 0 means that the file was cut.
    """

    path: Path
    header: Header
    values: Floats
    rest: int = 0


def read_header(path: str | Path) -> Header:
    """Read the header.

    Raises:
        WeightsError: the file cannot be read or is not a weights file.
    """
    try:
        with open_file(path) as file:
            data = file.read(20)
    except OSError as error:
        raise WeightsError(f"{path}: cannot read the weights: {error.strerror}{_instead(path)}") from error
    if len(data) < 16:
        raise WeightsError(f"{path}: only {len(data)} bytes, shorter than the header of a weights file")
    major, minor, revision = struct.unpack_from("<iii", data)
    if not all(0 <= number <= _LARGEST_VERSION for number in (major, minor, revision)):
        raise WeightsError(
            f"{path}: is not a Darknet weights file "
            f"(version {major}.{minor}.{revision}, expected 0.1.0 … 0.2.5){_looks_like(data)}"
        )
    header = Header(0, major, minor, revision)
    if len(data) < header.size:
        raise WeightsError(f"{path}: {len(data)} bytes end inside the header of {header.size}")
    (seen,) = struct.unpack_from("<Q" if header.size == 20 else "<I", data, 12)
    return Header(seen, major, minor, revision)


def _instead(path: str | Path) -> str:
    """Hint at the file to give in place of a missing one, or of the folder that it is in."""
    from pydarknet.weights.published import hint  # needs the families, rarely

    if not os.path.lexists(path):
        return hint(os.fspath(path))
    with contextlib.suppress(WeightsError):
        return f"; its best weights are {of_run(Path(path)).weights}" if is_model(Path(path)) else ""
    return ""


def _looks_like(data: bytes) -> str:
    """Hint at what the file is instead, in case two arguments were swapped."""
    if data[:2] == b"\x1f\x8b":
        return "; it looks like an archive; unpack it, and give the weights in it"
    if data[:2] == b"PK":
        return "; it looks like a zip archive or a PyTorch checkpoint"
    if data.lstrip()[:1] in (b"[", b"#", b"<", b"{"):
        return "; it looks like text, are cfg and weights swapped?"
    return ""


def load(path: str | Path) -> WeightsFile:
    """Open a weights file; its values are mapped, not read.

    Raises:
        WeightsError: the file cannot be read or is not a weights file.
    """
    header = read_header(path)
    count, rest = divmod(Path(path).stat().st_size - header.size, 4)
    values: Floats = np.memmap(path, "<f4", "r", header.size, (count,)) if count else np.empty(0, np.float32)
    return WeightsFile(Path(path), header, values, rest)


def save(path: str | Path, header: Header, parts: Iterable[Floats]) -> None:
    """Write a weights file; it appears at once and complete, or not at all.

    Args:
        path: the file to write; it may be one of the files that ``parts`` are mapped from.
        header: the header.
        parts: float32 arrays, written one after the other.

    Raises:
        FileError: the file cannot be written.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(bytes(header))
        for part in parts:
            file.write(np.ascontiguousarray(part, "<f4").data)
