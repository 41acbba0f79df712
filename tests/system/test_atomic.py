# SPDX-License-Identifier: Apache-2.0
"""Files that appear complete or not at all, and what must never be replaced."""

from __future__ import annotations

import os
import socket
import stat
import threading
from pathlib import Path

import pytest

from pydarknet import FileError
from pydarknet.system.atomic import replacing, write_text


def test_a_symbolic_link_stays_and_its_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    target, link = tmp_path / "far/target.txt", tmp_path / "link.txt"
    target.write_text("old")
    link.symlink_to("far/target.txt")
    write_text(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert [path.name for path in (tmp_path / "far").iterdir()] == ["target.txt"]


def test_a_dangling_link_makes_the_file_that_it_names(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "new" / "file")
    write_text(tmp_path / "link", "text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "new/file").read_text() == "text"


def test_a_named_pipe_is_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write_text(pipe, "through")
    reader.join()
    assert read == ["through"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_link_to_a_device_is_written_to(tmp_path: Path) -> None:
    link = tmp_path / "null"
    link.symlink_to(os.devnull)
    write_text(link, "text")
    assert link.is_symlink()
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


def test_a_socket_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket has 108 bytes
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        with pytest.raises(FileError, match="socket: cannot be written: No such device"):
            write_text("socket", "text")
        assert stat.S_ISSOCK(Path("socket").stat().st_mode)


def test_a_full_device_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="/dev/full: cannot be written: No space left"):
        write_text("/dev/full", "text")


def test_a_folder_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="is a folder; give the name of a file"), replacing(tmp_path):
        pytest.fail("the block ran")


def test_a_failed_block_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")

    def half_a_file() -> None:
        with replacing(tmp_path / "file") as temporary:
            temporary.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        half_a_file()
    assert (tmp_path / "file").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    """They are kept in names, and escaped in text."""
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\xff.txt"))
    write_text(path, f"{path.name}\n")
    assert [os.fsencode(path.name) for path in tmp_path.iterdir()] == [b"a\xff.txt"]
    assert path.read_bytes() == b"a\\udcff.txt\n"
