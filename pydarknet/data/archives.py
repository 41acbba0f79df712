# SPDX-License-Identifier: Apache-2.0
"""Data sets in ZIP or TAR archives: unpacked once into the user's cache, after a check of every member name.

An archive with a link, a device, or a member outside its folder is rejected as a whole: no data set export
contains one.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from pydarknet.errors import DataError, RecordError
from pydarknet.system.text import encode

_TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_RESERVE = 1 << 28  # bytes left free on the disk


def is_archive(path: Path) -> bool:
    """Whether the path is a ZIP or TAR file, by name and content."""
    name = path.name.lower()
    if not path.is_file() or not name.endswith((".zip", *_TAR_SUFFIXES)):
        return False
    return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)


def unpacked(path: Path, cache: Path | None = None) -> Path:
    """The folder with an archive's contents; unpacked on first use, found again later.

    Args:
        path: the archive.
        cache: where to unpack; default ``$XDG_CACHE_HOME/pydarknet/archives`` (``~/.cache``).

    Raises:
        RecordError: ``path-escape`` for a member that is a link or device, or whose name leads outside.
        DataError: if the archive is damaged or does not fit on the disk.
    """
    base = cache or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "pydarknet", "archives")
    info = path.stat()
    identity = f"{path.absolute()}|{info.st_size}|{info.st_mtime_ns}"
    digest = hashlib.sha256(encode(identity)).hexdigest()[:12]
    folder = base / f"{path.name.split('.')[0]}-{digest}"
    if folder.is_dir():
        return _inner(folder)
    base.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=base))
    try:
        _extract(path, temporary)
        try:
            temporary.rename(folder)
        except OSError:  # another process was faster
            if not folder.is_dir():
                raise
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError) as error:
        raise DataError(f"{path}: cannot be unpacked: {error}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return _inner(folder)


def _inner(folder: Path) -> Path:
    """The only folder in it, if there is nothing else: many exports have one outer folder."""
    inside = [entry for entry in folder.iterdir() if entry.name != "__MACOSX"]
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else folder


def _extract(path: Path, folder: Path) -> None:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            for member in members:
                _check_name(path, member.filename)
                if stat.S_ISLNK(member.external_attr >> 16):
                    raise RecordError("path-escape", f"member {member.filename!r} is a link", path)
            _check_room(path, folder, (member.file_size for member in members))
            archive.extractall(folder)
        return
    with tarfile.open(path) as tar:
        entries = tar.getmembers()
        for entry in entries:
            _check_name(path, entry.name)
            if not (entry.isreg() or entry.isdir()):
                raise RecordError("path-escape", f"member {entry.name!r} is a link or device", path)
            entry.mode = 0o755 if entry.isdir() else 0o644
        _check_room(path, folder, (entry.size for entry in entries))
        # Python 3.11.3 and older, such as Debian 12's, have no filters.
        tar.extraction_filter = getattr(tarfile, "data_filter", None)
        tar.extractall(folder)


def _check_name(path: Path, name: str) -> None:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or parts[0] == "/" or ".." in parts or (len(parts[0]) > 1 and parts[0][1] == ":"):
        raise RecordError("path-escape", f"member {name!r} would be written outside the folder", path)


def _check_room(path: Path, folder: Path, sizes: Iterable[int]) -> None:
    needed, free = sum(sizes), shutil.disk_usage(folder).free
    if needed > free - _RESERVE:
        raise DataError(f"{path}: unpacks to {needed} bytes, but only {free} are free in {folder.parent}")
