# SPDX-License-Identifier: Apache-2.0
"""Reading what users name: files, and nothing that blocks or has no end."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from pydarknet.errors import RecordError
from pydarknet.system.files import read_file
from pydarknet.system.text import ESCAPE, encode, lines_of, read_text


def test_what_is_not_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        for path, reason in (
            ("/dev/zero", "is a device"),
            (".", "is a folder"),
            ("pipe", "is a named pipe"),
            ("socket", "is a socket"),
        ):
            with pytest.raises(OSError, match=f"{reason}; expected a file"):
                read_file(path)
            with pytest.raises(RecordError, match=f"cannot be read: {reason}; expected a file"):
                lines_of(path)


def test_a_pipe_of_a_shell_is_read() -> None:
    """``<(command)`` is a name such as /dev/fd/63."""
    reader, writer = os.pipe()
    os.write(writer, b"cat\ndog\n")
    os.close(writer)
    assert lines_of(f"/dev/fd/{reader}") == ["cat", "dog"]
    os.close(reader)


def test_the_limit(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(RecordError, match="cannot be read: is larger than 2048 MiB"):
        read_text(tmp_path / "sparse")
    (tmp_path / "small").write_bytes(b"1234")
    assert read_file(tmp_path / "small", 4) == b"1234"
    with pytest.raises(OSError, match="is larger than 0 MiB"):
        read_file(tmp_path / "small", 3)


@pytest.mark.parametrize("text", ["a\udcff.png", "chién-犬", "\U0001f415 \udc80"])
def test_escapes_are_those_of_json(text: str) -> None:
    """JSON in an encoding that lacks a character is still the same JSON."""
    for encoding in ("ascii", "latin-1", "utf-8"):
        written = json.dumps([text], ensure_ascii=False).encode(encoding, ESCAPE)
        assert json.loads(written.decode(encoding)) == [text]
    assert encode(text).decode("utf-8")
