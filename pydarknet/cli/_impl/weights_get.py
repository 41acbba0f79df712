# SPDX-License-Identifier: Apache-2.0
"""Getting and verifying published weights, for ``pydarknet weights``."""

from __future__ import annotations

import difflib
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import click

from pydarknet.cli._impl.bars import Bars
from pydarknet.errors import ArgumentError, FileError, WeightsError
from pydarknet.weights import guess, load
from pydarknet.weights.download import checksum, download
from pydarknet.weights.published import Published, known


def get(name: str, folder: Path, sha256: str | None) -> None:
    """Download one file, report its checksum and what it is.

    Args:
        name: of a published file, or a URL.
        folder: to write into.
        sha256: expected hexadecimal digits, if known.
    """
    file = _by_name_or_url(name)
    path = folder / file.name
    if path.exists():
        raise FileError(f"{path}: exists; check it with `pydarknet weights verify {path}`, or delete it")
    digest = ("sha256", sha256) if sha256 else ("sha1", file.sha1) if file.sha1 else None
    with Bars(unit="bytes", leave=False) as bars:
        download(
            file.url,
            path,
            size=file.size or None,
            digest=digest,
            progress=lambda done, total: bars(file.name, done, total),
        )
    _report(path)
    if not digest:
        click.echo("no checksum of it is known: give the one that the project states with --sha256", err=True)


def _by_name_or_url(name: str) -> Published:
    if "://" in name:
        last = PurePosixPath(unquote(urlsplit(name).path)).name
        if not last:
            raise ArgumentError(f"{name}: is not the address of a file")
        return Published(last, "", 0, name)
    files = known()
    if name not in files:
        close = difflib.get_close_matches(name, files, n=1, cutoff=0.5)
        meant = f". Did you mean {close[0]}?" if close else ""
        raise ArgumentError(f"no published weights called {name}; see `pydarknet weights known`{meant}")
    if not (file := files[name]).url:
        raise FileError(f"{name}: no direct address is known; give the URL of the file{_cut(file)}")
    return file


def _cut(file: Published) -> str:
    """How to make a file of the first layers oneself."""
    stem, _, layers = file.name.rpartition(".conv.")
    if not stem or f"{stem}.weights" not in known():
        return ""
    return f", or make it: `pydarknet weights partial {stem}.cfg {stem}.weights {file.name} {layers}`"


def verify(path: Path) -> bool:
    """Compare a file with the published one of its name, report the result; False if it is another."""
    file = known().get(path.name)
    try:
        _report(path)
        if file is None:
            click.echo(f"  {path.name} is not the name of published weights; see `pydarknet weights known`")
            return False
        size = path.stat().st_size
        if size != file.size:
            click.echo(f"  wrong: {size} bytes, expected {file.size}")
            return False
        if file.sha1 and (found := checksum(path, "sha1")) != file.sha1:
            click.echo(f"  wrong: SHA-1 is {found}, expected {file.sha1}")
            return False
    except (FileError, WeightsError) as error:
        click.echo(f"  wrong: {error}")
        return False
    click.echo("  right: size and SHA-1" if file.sha1 else "  right: size; no checksum of it is known")
    return True


def _report(path: Path) -> None:
    click.echo(f"{path}: {path.stat().st_size if path.is_file() else 0:,} bytes, SHA-256 {checksum(path)}")
    matches = guess(len(load(path).values))
    click.echo(f"  size of: {'; '.join(map(str, matches)) or 'no network known here'}")
