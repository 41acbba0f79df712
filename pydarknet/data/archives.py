# SPDX-License-Identifier: Apache-2.0
"""Data sets in ZIP or TAR archives: unpacked once into the user's cache, after a check of every member.

An archive with a link, a device, or a member outside its folder is rejected as a whole: no data set export
contains one.
"""

from __future__ import annotations

import contextlib
import hashlib
import lzma
import os
import shutil
import stat
import tarfile
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from pydarknet.errors import DarknetError, DataError, RecordError
from pydarknet.system.text import encode

_TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
#: Exceptions by which the libraries report damage, passwords and methods that they do not know.
DAMAGED = (
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    NotImplementedError,
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
)
_RESERVE = 1 << 28  # bytes left free on the disk
_RATIO, _SMALL = 100, 1 << 28  # images hardly shrink: a larger ratio is refused, unless the content is small
_UNUSED = 30 * 86400.0  # seconds after which an unpacked archive is deleted when another one is unpacked
_ABANDONED = 86400.0  # seconds after which an unfinished folder has no process any more
_UNFINISHED = ".unpacking-"


def is_archive(path: Path) -> bool:
    """Whether the path is a ZIP or TAR file, by name and content."""
    name = path.name.lower()
    if not path.is_file() or not name.endswith((".zip", *_TAR_SUFFIXES)):
        return False
    try:
        return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)
    except DAMAGED:
        return True  # a damaged one; unpacking it says what is wrong


def cache_folder() -> Path:
    """Where archives are unpacked: ``$XDG_CACHE_HOME/pydarknet/archives``, by default in ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "pydarknet", "archives")


def is_cached(path: str | Path) -> bool:
    """Whether a file belongs to an unpacked archive and may be deleted with it."""
    return os.path.abspath(path).startswith(f"{cache_folder().absolute()}{os.sep}")  # noqa: PTH100 - hot


def cached() -> list[tuple[Path, int, float]]:
    """Unpacked archives: folder, bytes, and the time of last use in seconds since 1970; newest first."""
    base = cache_folder()
    found = []
    for folder in base.iterdir() if base.is_dir() else ():
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        found.append((folder, size, folder.stat().st_mtime))
    return sorted(found, key=lambda entry: -entry[2])


def clean(unused: float = 0.0) -> None:
    """Delete archives that were not used for this many seconds, and folders that nothing fills any more."""
    base, now = cache_folder(), time.time()
    for folder in base.iterdir() if base.is_dir() else ():
        limit = _ABANDONED if folder.name.startswith(_UNFINISHED) else unused
        with contextlib.suppress(OSError):
            if now - folder.stat().st_mtime >= limit:
                shutil.rmtree(folder, ignore_errors=True)


def unpacked(path: Path, cache: Path | None = None, *, trusted: bool = False) -> Path:
    """The folder with an archive's contents; unpacked on first use, found again later.

    Args:
        path: the archive.
        cache: where to unpack; default :func:`cache_folder`.
        trusted: also unpack what grows to more than 100 times its size.

    Raises:
        RecordError: ``path-escape`` for a member that is a link or device, or whose name leads outside.
        DataError: if the archive is damaged, grows suspiciously, or does not fit on the disk.
    """
    base = cache or cache_folder()
    info = path.stat()
    identity = f"{path.absolute()}|{info.st_size}|{info.st_mtime_ns}"
    digest = hashlib.sha256(encode(identity)).hexdigest()[:12]
    folder = base / f"{path.name.split('.')[0]}-{digest}"
    if folder.is_dir():
        with contextlib.suppress(OSError):
            os.utime(folder)  # the time of last use
        return _inner(folder)
    clean(_UNUSED)
    try:
        base.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=base))
    except OSError as error:
        remedy = "set XDG_CACHE_HOME to a folder that can be written, or unpack the archive yourself"
        raise DataError(f"{base}: cannot be written: {error.strerror}; {remedy}") from None
    try:
        _extract(path, temporary, trusted)
        try:
            temporary.rename(folder)
        except OSError:  # another process was faster
            if not folder.is_dir():
                raise
    except DarknetError:
        raise
    except DAMAGED as error:
        raise DataError(f"{path}: cannot be unpacked: {error}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return _inner(folder)


def _inner(folder: Path) -> Path:
    """The only folder in it, if there is nothing else: many exports have one outer folder."""
    inside = [entry for entry in folder.iterdir() if entry.name != "__MACOSX"]
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else folder


def _extract(path: Path, folder: Path, trusted: bool) -> None:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            for member in members:
                _check_name(path, member.filename)
                if stat.S_ISLNK(member.external_attr >> 16):
                    raise RecordError("path-escape", f"member {member.filename!r} is a link", path)
            _check_room(path, folder, trusted, (member.file_size for member in members))
            for member in members:
                member.filename = member.filename.replace("\\", "/")  # as some programs of Windows write
            archive.extractall(folder, members)
        return
    with tarfile.open(path) as tar:
        entries = tar.getmembers()
        for entry in entries:
            _check_name(path, entry.name)
            if not (entry.isreg() or entry.isdir()):
                raise RecordError("path-escape", f"member {entry.name!r} is a link or device", path)
            entry.mode = 0o755 if entry.isdir() else 0o644
        _check_room(path, folder, trusted, (entry.size for entry in entries))
        # Python 3.11.3 and older, such as Debian 12's, have no filters.
        tar.extraction_filter = getattr(tarfile, "data_filter", None)
        tar.extractall(folder)


def _check_name(path: Path, name: str) -> None:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if parts[:1] == ("/",) or ".." in parts or (parts and parts[0][1:2] == ":"):
        raise RecordError("path-escape", f"member {name!r} would be written outside the folder", path)


def _check_room(path: Path, folder: Path, trusted: bool, sizes: Iterable[int]) -> None:
    needed, free = sum(sizes), shutil.disk_usage(folder).free
    ratio = needed / max(path.stat().st_size, 1)
    if ratio > _RATIO and needed > _SMALL and not trusted:
        raise DataError(
            f"{path}: unpacks to {needed >> 20} MiB, {ratio:.0f} times its size (at most {_RATIO}); if you "
            "trust it, use --trust-archive, or unpack it and read the folder"
        )
    if needed > free - _RESERVE:
        raise DataError(f"{path}: unpacks to {needed} bytes, but only {free} are free in {folder.parent}")
