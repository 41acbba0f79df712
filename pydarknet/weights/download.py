# SPDX-License-Identifier: Apache-2.0
"""Download a file over HTTP: resumed after a broken connection, and checked before it gets its name."""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import logging
import os
import re
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from email.message import Message
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from pydarknet.errors import FileError
from pydarknet.system.fetch import open_address

_log = logging.getLogger("pydarknet")

PAUSES = (1.0, 3.0, 10.0, 30.0)  # seconds before another attempt
TIMEOUT = 30.0  # seconds without a byte
_CHUNK = 2**20
_BUSY = (408, 425, 429, 500, 502, 503, 504)  # statuses that may be different in a moment
_FINISHED = 416  # the range that was asked for begins behind the end

Progress = Callable[[int, int | None], None]


class _Broken(Exception):
    """An attempt that may succeed when it is repeated."""


def download(
    url: str,
    path: Path,
    *,
    size: int | None = None,
    digest: tuple[str, str] | None = None,
    progress: Progress | None = None,
    pauses: Sequence[float] = PAUSES,
) -> None:
    """Download a file that is not there yet.

    Bytes go to ``NAME.part`` beside ``path``. What is there of an earlier download is kept and continued.

    Args:
        url: http or https; redirections are followed, but not from https to http.
        path: file to write.
        size: expected, in bytes.
        digest: name of an algorithm of :mod:`hashlib` and the expected hexadecimal digits.
        progress: called with the bytes that are there and the total, None while that is unknown.
        pauses: seconds to wait before each further attempt; one that got bytes starts the list again.

    Raises:
        FileError: the address, server, connection or disk failed, or size or checksum are wrong.
    """
    part = path.with_name(f"{path.name}.part")
    left = list(pauses)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            before = _length(part)
            try:
                _attempt(url, part, size, progress)
                break
            except _Broken as error:
                if _length(part) > before:
                    left = list(pauses)
                if not left:
                    kept = f"; {_length(part)} bytes are kept in {part}, run it again to continue"
                    raise FileError(f"{url}: {error}{kept}") from None
                _log.warning("%s: %s; trying again in %g s", url, error, left[0])
                time.sleep(left.pop(0))
        _finish(url, part, path, digest)
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"{part}: cannot be written: {error.strerror or error}") from None


def checksum(path: Path, algorithm: str = "sha256") -> str:
    """Hexadecimal digest of a file.

    Raises:
        FileError: it cannot be read.
    """
    found = hashlib.new(algorithm, usedforsecurity=False)
    try:
        with path.open("rb") as file:
            while block := file.read(_CHUNK):
                found.update(block)
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror or error}") from None
    return found.hexdigest()


def _length(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _attempt(url: str, part: Path, size: int | None, progress: Progress | None) -> None:
    """Get what is missing of the file."""
    there = _length(part)
    if size is not None and there == size:
        return
    if size is not None and there > size:
        part.unlink()
        there = 0
    with _open(url, there) as answer:
        if answer.status == _FINISHED:  # complete, or longer than the file on the server
            if _total(answer, there) != there:
                part.unlink()
                raise _Broken(f"the server has fewer bytes than the {there} that are here")
            return
        there = there if answer.status == http.HTTPStatus.PARTIAL_CONTENT else 0
        total = _total(answer, there)
        _check_length(url, total, size)
        _check_space(part, total, there)
        with _owned(part) as file:
            file.truncate(there)
            file.seek(there)
            _copy(answer, file, there, total if size is None else size, progress)


def _open(url: str, start: int) -> Any:
    """Response to a request for the bytes from ``start``; also one that says there are none."""
    if not _is_address(url):
        raise FileError(f"{url}: is not a valid address, expected https://HOST/FILE")
    headers = {"User-Agent": "pydarknet", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        return open_address(urllib.request.Request(url, headers=headers), TIMEOUT, FileError)
    except urllib.error.HTTPError as error:
        if error.code == _FINISHED and start:
            return error
        error.close()
        text = f"the server answers {error.code} {error.reason}"
        if error.code in _BUSY:
            raise _Broken(text) from None
        raise FileError(f"{url}: {text}") from None
    except FileError:
        raise
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise FileError(f"{url}: {reason}") from None
        raise _Broken(f"no connection: {reason}") from None


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is not a number
        return False


def _total(answer: Any, start: int) -> int | None:
    """Bytes of the whole file as the server states them.

    Raises:
        _Broken: the answer begins elsewhere than asked.
    """
    headers: Message = answer.headers
    if found := re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", headers.get("Content-Range", "")):
        if found[1] and int(found[1]) != start:
            raise _Broken(f"the server sends from byte {found[1]} instead of {start}")
        return None if found[2] == "*" else int(found[2])
    length = headers.get("Content-Length", "")
    return start + int(length) if length.isdecimal() else None


def _check_length(url: str, total: int | None, size: int | None) -> None:
    if total is not None and size is not None and total != size:
        raise FileError(f"{url}: the server offers {total} bytes, expected {size}; this is another file")


def _check_space(part: Path, total: int | None, there: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if total is not None and total - there > free:
        raise FileError(f"{part}: needs {total - there} bytes, the disk has {free} left")


def _owned(part: Path) -> IO[bytes]:
    """The file, open for reading and writing, and locked against other downloads."""
    file = os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise FileError(f"{part}: another process is downloading it") from None
    except OSError:  # a drive without locks
        pass
    return file


def _copy(answer: Any, file: IO[bytes], there: int, total: int | None, progress: Progress | None) -> None:
    """Append the answer's bytes; fails if there are fewer or more than expected."""
    while True:
        try:
            block = answer.read1(_CHUNK)
        except (OSError, http.client.HTTPException) as error:
            raise _Broken(f"the connection broke: {str(error) or type(error).__name__}") from None
        if not block:
            break
        there += len(block)
        if total is not None and there > total:
            raise FileError(f"{answer.url}: the server sends more than the expected {total} bytes")
        file.write(block)
        if progress:
            progress(there, total)
    if total is not None and there < total:
        raise _Broken(f"the connection ended after {there} of {total} bytes")


def _finish(url: str, part: Path, path: Path, digest: tuple[str, str] | None) -> None:
    """Check the file and give it its name."""
    if digest:
        algorithm, expected = digest
        found = checksum(part, algorithm)
        if found != expected.lower():
            part.unlink()
            expected = expected.lower()
            raise FileError(f"{url}: {algorithm} is {found}, expected {expected}; the file was deleted")
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(path)
