# SPDX-License-Identifier: Apache-2.0
"""Archives: what is unpacked, for how long, and that written sets outlast the cache."""

from __future__ import annotations

import os
import shutil
import tarfile
import time
import unicodedata
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from data_files import make_image, make_text

from pydarknet import data
from pydarknet.cli.data import command
from pydarknet.data.archives import cache_folder, cached, clean, is_cached, unpacked
from pydarknet.errors import DataError, RecordError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return cache_folder()


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """A ZIP with one image and its label."""
    make_image(tmp_path / "in/a.png", 20, 10)
    make_text(tmp_path / "in/a.txt", "0 0.5 0.5 0.2 0.2\n")
    return Path(shutil.make_archive(str(tmp_path / "export"), "zip", tmp_path / "in"))


@pytest.mark.parametrize("link", ["hard", "sym", "copy"])
@pytest.mark.parametrize("other_disk", [False, True])
def test_written_images_outlast_the_cache(
    export: Path, tmp_path: Path, cache: Path, link: str, other_disk: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never a link into the cache, also where hard links are impossible."""
    if other_disk:

        def refused(*_: object) -> None:
            raise OSError(18, "Invalid cross-device link")

        monkeypatch.setattr(os, "link", refused)
    data.write(data.read(export), tmp_path / "out", link=link)
    shutil.rmtree(cache)
    dataset = data.read(tmp_path / "out")
    assert (len(dataset), dataset[0].width, dataset[0].image.is_symlink()) == (1, 20, False)


def test_images_of_an_archive_are_placed(export: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="images of an archive must be placed"):
        data.write(data.read(export), tmp_path / "out", link="none")


def test_bomb(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What grows suspiciously is refused before anything is unpacked, unless it is trusted."""
    monkeypatch.setattr("pydarknet.data.archives._SMALL", 1 << 20)
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", b"0" * (4 << 20))
    with pytest.raises(DataError, match=r"unpacks to 4 MiB, \d+ times its size \(at most 100\)"):
        unpacked(tmp_path / "b.zip")
    assert not list(cache.iterdir())
    assert (unpacked(tmp_path / "b.zip", trusted=True) / "a.txt").stat().st_size == 4 << 20


def test_stale_folders_are_deleted(export: Path, cache: Path) -> None:
    """Unfinished folders after a day, unused archives after a month."""
    folder = unpacked(export)
    assert is_cached(folder / "a.png")
    for name, days in ((".unpacking-new", 0.5), (".unpacking-old", 2), ("used-1", 20), ("unused-1", 40)):
        (cache / name).mkdir()
        then = time.time() - 86400 * days
        os.utime(cache / name, (then, then))
    make_text(export.parent / "in/b.txt", "")
    unpacked(Path(shutil.make_archive(str(export.parent / "other"), "zip", export.parent / "in")))
    names = {path.name.partition("-")[0] if path.name[0] != "." else path.name for path in cache.iterdir()}
    assert names == {"export", "other", ".unpacking-new", "used"}


def test_cache_command(export: Path, cache: Path) -> None:
    """Names the folder and its contents, and empties it."""
    folder = unpacked(export)
    result = CliRunner().invoke(command, ["cache"])
    assert str(cache) in result.output
    assert folder.name in result.output
    assert [entry[0] for entry in cached()] == [folder]
    result = CliRunner().invoke(command, ["cache", "--clean"])
    assert result.exit_code == 0
    assert not cached()
    (cache / ".unpacking-now").mkdir()
    clean()
    assert [path.name for path in cache.iterdir()] == [".unpacking-now"]  # another process fills it


def test_the_root_is_no_attack(tmp_path: Path) -> None:
    """``tar -C export .`` has a member "."; parents and absolute names stay refused."""
    make_text(tmp_path / "in/a.txt", "x")
    with tarfile.open(tmp_path / "r.tgz", "w:gz") as tar:
        tar.add(tmp_path / "in", ".")
    assert (unpacked(tmp_path / "r.tgz") / "a.txt").is_file()
    for name in ("../a.txt", "/a.txt", "b/../../a.txt"):
        with tarfile.open(tmp_path / "bad.tar", "w") as tar:
            info = tarfile.TarInfo(name)
            tar.addfile(info)
        with pytest.raises(RecordError, match="would be written outside"):
            unpacked(tmp_path / "bad.tar")


def test_archive_of_windows_or_a_mac(tmp_path: Path) -> None:
    """Backslashes between folders, resource forks, and accents as characters of their own."""
    image = make_image(tmp_path / "a.png", 20, 10).read_bytes()
    decomposed = unicodedata.normalize("NFD", "zürich.png")
    rows = "filename,class,xmin,ymin,xmax,ymax\na.png,d,1,1,9,9\nzürich.png,d,1,1,9,9\n"
    with zipfile.ZipFile(tmp_path / "w.zip", "w") as archive:
        for name in ("images\\a.png", f"images\\{decomposed}", "__MACOSX\\images\\._a.png"):
            info = zipfile.ZipInfo("x")
            info.filename = name
            archive.writestr(info, image)
        archive.writestr("labels.csv", rows)
        archive.writestr("._labels.csv", b"\0\5\26\7")
    dataset = data.read(tmp_path / "w.zip")
    assert [len(sample) for sample in dataset] == [1, 1]
    assert not dataset.report.errors
