# SPDX-License-Identifier: Apache-2.0
"""The command: start, end by a signal, exit codes, what it prints."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from helpers import run

from pydarknet.system.web_access import TOKEN

Files = tuple[Path, Path]


@contextmanager
def process(*arguments: object, **environment: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A server and the line of JSON that it prints when it is ready."""
    command = [sys.executable, "-m", "pydarknet", "serve", "--json", *map(str, arguments)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
    ) as server:
        try:
            assert server.stdout is not None
            yield server, json.loads(server.stdout.readline())
        finally:
            server.kill()


def test_sigterm_ends_it_when_requests_are_answered(tiny_files: Files, png: bytes, tmp_path: Path) -> None:
    """Also one whose body is still coming."""
    (tmp_path / "mine.py").write_text("def answer(found, image, query): return {'found': len(found)}\n")
    pack = tmp_path / "tiny.tar.gz"
    with tarfile.open(pack, "w:gz") as archive:
        for path in tiny_files:
            archive.add(path, f"tiny/{path.name}")
    arguments = (pack, "--http", "0", "--handler", "mine:answer")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        with process(*arguments) as (server, facts):
            assert facts["token"] == ""
            assert facts["model"]["names"] == ["0"]
            url = httpx.URL(facts["url"])
            assert httpx.post(url.join("/invocations"), content=png, trust_env=False).json() == {"found": 2}
            with socket.create_connection((url.host, url.port), timeout=20) as connection:
                head = f"POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(png)}\r\n\r\n"
                connection.sendall(head.encode() + png[:10])
                server.send_signal(signal.SIGTERM)
                refused = False
                while not refused:
                    try:
                        httpx.get(url.join("/ping"), timeout=20, trust_env=False)
                    except httpx.ConnectError:
                        refused = True
                    except (httpx.ReadError, httpx.RemoteProtocolError):
                        pass  # accepted by the system just before the server closed its socket
                connection.sendall(png[10:])
                answer = b""
                while data := connection.recv(1000):
                    answer += data
            assert answer.endswith(b'{"found": 2}')
            assert server.wait(20) == 0
            assert server.stderr is not None
            assert "Traceback" not in server.stderr.read()


def test_other_machines_need_the_token_of_the_environment(tiny_files: Files, png: bytes) -> None:
    """Ctrl-C ends the server with 130."""
    with process(*tiny_files, "--http", "0.0.0.0:0", **{TOKEN: "mine"}) as (server, facts):
        assert facts["token"] == "mine"
        assert facts["url"].endswith("/?token=mine")
        address = f"http://127.0.0.1:{httpx.URL(facts['url']).port}/invocations"
        assert httpx.post(address, content=png, trust_env=False).status_code == 401
        header = {"authorization": "Bearer mine"}
        assert len(httpx.post(address, content=png, headers=header, trust_env=False).json()) == 2
        server.send_signal(signal.SIGINT)
        assert server.wait(20) == 130


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_behind_stdout_does_not_end_the_service(tiny_files: Files, png: bytes) -> None:
    command = [sys.executable, "-m", "pydarknet", "serve", "--http", "0", *map(str, tiny_files)]
    with (
        Path("/dev/full").open("w") as full,
        subprocess.Popen(command, stdout=full, stderr=subprocess.PIPE, text=True) as server,
    ):
        try:
            assert server.stderr is not None
            url = httpx.URL(server.stderr.readline().split()[4])
            assert "cannot be written: No space left" in server.stderr.readline()
            assert len(httpx.post(url.join("/invocations"), content=png, trust_env=False).json()) == 2
            server.send_signal(signal.SIGTERM)
            assert server.wait(20) == 0
        finally:
            server.kill()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["{cfg}"], 2, "Missing argument 'WEIGHTS' after"),
        (["runs/gone"], 2, "found 'runs/gone', which is not there; expected CFG WEIGHTS"),
        (["--cfg", "{cfg}", "--weights", "{weights}"], 2, "arguments without an option: pydarknet serve CFG"),
        (["{cfg}", "{weights}", "more"], 2, "found 'more'; expected CFG WEIGHTS"),
        (["{cfg}", "nothing.weights"], 1, "nothing.weights"),
        (["{cfg}", "{weights}", "--http", "x"], 1, "expected a port"),
        (["{cfg}", "{weights}", "--handler", "mine"], 2, "expected MODULE:FUNCTION"),
        (["{cfg}", "{weights}", "--handler", "no_such:f"], 2, "no module 'no_such'"),
        (["{cfg}", "{weights}", "--handler", "json:loads"], 2, "three arguments"),
        (["{cfg}", "{weights}", "--port", "1"], 2, "Use --http."),
        (["{cfg}", "{weights}", "--host", "::"], 2, "Use --http."),
    ],
)
def test_what_cannot_be_served(
    tiny_files: Files,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.setattr(sys, "path", sys.path[:])
    cfg, weights = tiny_files
    words = [word.format(cfg=cfg, weights=weights) for word in arguments]
    assert run(monkeypatch, "serve", *words, *([] if "--http" in words else ["--http", "0"])) == code
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_port_that_is_taken(
    tiny_files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(monkeypatch, "serve", *tiny_files, "--http", port) == 1
    reason = "Address already in use (choose another with --http)"
    assert f"cannot listen on 127.0.0.1:{port}: {reason}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "module", ["fastapi", "uvicorn", "httptools", "python_multipart", "prometheus_client"]
)
def test_a_missing_library_names_the_extra(
    tiny_files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    assert run(monkeypatch, "serve", *tiny_files) == 1
    assert "pip install 'pydarknet[serve]'" in capsys.readouterr().err
