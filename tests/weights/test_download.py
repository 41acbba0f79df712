# SPDX-License-Identifier: Apache-2.0
"""Downloads from a server that breaks, redirects, offers other files or too much."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pydarknet.errors import FileError
from pydarknet.system import fetch
from pydarknet.weights import download as module
from pydarknet.weights.download import checksum, download

CONTENT = bytes(range(256)) * 5000  # 1.28 MB
MOVED = {"/moved": "/file", "/circle": "/circle", "/disk": "file:///etc/hostname"}
SHA1 = ("sha1", hashlib.sha1(CONTENT).hexdigest())


@dataclass
class Behaviour:
    """Of the server: what to do with each request, the last of ``plan`` for all further ones."""

    plan: list[str] = field(default_factory=lambda: ["whole"])
    ranges: list[str | None] = field(default_factory=list)

    def next(self, asked: str | None) -> str:
        self.ranges.append(asked)
        return self.plan.pop(0) if len(self.plan) > 1 else self.plan[0]


class Handler(BaseHTTPRequestHandler):
    behaviour: Behaviour

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        if self.path in MOVED:
            self.head(302, {"Location": MOVED[self.path]})
            return
        what = self.behaviour.next(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and what != "no ranges" else 0
        if what.isdecimal():
            self.head(int(what), {})
        elif start >= len(CONTENT):
            self.head(416, {"Content-Range": f"bytes */{len(CONTENT)}"})
        elif what in ("unknown length", "endless"):
            self.head(200, {}, CONTENT * (2 if what == "endless" else 1))
        else:
            self.send_from(start, what)

    def send_from(self, start: int, what: str) -> None:
        body = CONTENT[start:]
        headers = {"Content-Length": str(len(body))}
        if start:
            first = start + 5 if what == "elsewhere" else start
            headers["Content-Range"] = f"bytes {first}-{len(CONTENT) - 1}/{len(CONTENT)}"
        sent = body[: len(body) // 2] if what == "half" else b"" if what == "nothing" else body
        self.head(206 if start else 200, headers, sent)

    def head(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server() -> Iterator[tuple[str, Behaviour]]:
    behaviour = Behaviour()
    handler = type("Configured", (Handler,), {"behaviour": behaviour})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", behaviour
        running.shutdown()
        thread.join()


def get(url: str, path: Path, **options: object) -> None:
    download(url, path, **{"pauses": (0, 0, 0), "size": len(CONTENT), **options})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("plan", "ranges"),
    [
        (["whole"], [0]),
        (["unknown length"], [0]),
        (["half", "half", "whole"], [0, 1 / 2, 3 / 4]),
        (["503", "half", "nothing", "nothing", "whole"], [0, 0, 1 / 2, 1 / 2, 1 / 2]),
        (["half", "no ranges"], [0, 1 / 2]),
        (["half", "elsewhere", "whole"], [0, 1 / 2, 1 / 2]),
    ],
)
@pytest.mark.parametrize("size", [len(CONTENT), None])
def test_the_file_arrives(
    server: tuple[str, Behaviour], tmp_path: Path, plan: list[str], ranges: list[float], size: int | None
) -> None:
    """Whatever breaks, only missing bytes are asked for, and the content is right."""
    url, behaviour = server
    behaviour.plan = list(plan)
    seen: list[int] = []
    path = tmp_path / "new/file"
    get(f"{url}/file", path, size=size, digest=SHA1, progress=lambda done, _: seen.append(done))
    assert path.read_bytes() == CONTENT
    starts = [int(asked[6:-1]) if asked else 0 for asked in behaviour.ranges]
    assert starts == [int(share * len(CONTENT)) for share in ranges]
    assert seen[-1] == len(CONTENT)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file"]


def test_redirections(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    url, _ = server
    get(f"{url}/moved", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT
    with pytest.raises(FileError, match="the server answers 302"):
        get(f"{url}/circle", tmp_path / "other")
    with pytest.raises(FileError, match="the server answers 302"):
        get(f"{url}/disk", tmp_path / "other")
    request = module.urllib.request.Request("https://example.org/file")
    with pytest.raises(FileError, match=r"redirected to http://example\.org/file, without encryption"):
        fetch._Redirections(FileError).redirect_request(request, None, 302, "", {}, "http://example.org/file")  # type: ignore[arg-type]


def test_an_interrupted_download_is_continued(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    """The part of an earlier command is kept, and not asked for again."""
    url, behaviour = server
    behaviour.plan = ["half", "nothing"]
    kept = r"ended after 640000 of 1280000 bytes; 640000 bytes are kept in .*file\.part, run it again"
    with pytest.raises(FileError, match=kept):
        get(f"{url}/file", tmp_path / "file")
    assert not (tmp_path / "file").exists()
    behaviour.plan, behaviour.ranges = ["whole"], []
    get(f"{url}/file", tmp_path / "file")
    assert behaviour.ranges == ["bytes=640000-"]
    assert (tmp_path / "file").read_bytes() == CONTENT


@pytest.mark.parametrize("size", [len(CONTENT), None])
def test_a_part_that_is_complete_or_too_long(
    server: tuple[str, Behaviour], tmp_path: Path, size: int | None
) -> None:
    url, _ = server
    for content in (CONTENT, CONTENT + b"more"):
        (tmp_path / "file.part").write_bytes(content)
        get(f"{url}/file", tmp_path / "file", size=size)
        assert (tmp_path / "file").read_bytes() == CONTENT


def test_another_file_is_refused(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    """Wrong length, wrong content, more bytes than expected, a page that is gone."""
    url, behaviour = server
    with pytest.raises(FileError, match="the server offers 1280000 bytes, expected 5; this is another file"):
        get(f"{url}/file", tmp_path / "file", size=5)
    with pytest.raises(FileError, match=f"sha1 is {SHA1[1]}, expected {'0' * 40}; the file was deleted"):
        get(f"{url}/file", tmp_path / "file", digest=("sha1", "0" * 40))
    assert list(tmp_path.iterdir()) == []
    behaviour.plan = ["endless"]
    with pytest.raises(FileError, match="sends more than the expected 1280000 bytes"):
        get(f"{url}/file", tmp_path / "file")
    behaviour.plan, behaviour.ranges = ["404"], []
    with pytest.raises(FileError, match="the server answers 404 Not Found"):
        get(f"{url}/file", tmp_path / "other")
    assert len(behaviour.ranges) == 1
    assert not (tmp_path / "other").exists()


def test_no_server(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"no connection: .*Connection refused; 0 bytes"):
        get("http://127.0.0.1:1/file", tmp_path / "file")
    for url in ("ftp://127.0.0.1/file", "file:///etc/hostname", "http://", "http://127.0.0.1:x/"):
        with pytest.raises(FileError, match="is not a valid address"):
            get(url, tmp_path / "file")


def test_a_full_disk(server: tuple[str, Behaviour], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too little space is noticed before; a disk that fills up later keeps what is there."""
    url, _ = server
    usage = module.shutil.disk_usage(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(module.shutil, "disk_usage", lambda _: usage._replace(free=1000))
        with pytest.raises(FileError, match="needs 1280000 bytes, the disk has 1000 left"):
            get(f"{url}/file", tmp_path / "file")

    def fill(answer: object, file: object, *_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "_copy", fill)
    with pytest.raises(FileError, match=r"file\.part: cannot be written: No space left on device"):
        get(f"{url}/file", tmp_path / "file")


def test_two_downloads_of_one_file(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    url, _ = server
    with (tmp_path / "file.part").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(FileError, match="another process is downloading it"):
            get(f"{url}/file", tmp_path / "file")


def test_checksum(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert checksum(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with pytest.raises(FileError, match="cannot be read: No such file"):
        checksum(tmp_path / "b")
