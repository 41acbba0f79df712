# SPDX-License-Identifier: Apache-2.0
"""The web page, by what a client gets."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import threading
import urllib.request

import cv2
import numpy as np
import pytest
from made_results import TWO, result

from pydarknet import ArgumentError, FileError
from pydarknet.streaming.outputs.web import Web
from pydarknet.system.web_access import parse_address

# -- web -----------------------------------------------------------------------------------------------


def get(url: str) -> tuple[int, str, bytes]:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.status, answer.headers["Content-Type"], answer.read()


@pytest.fixture
def web() -> object:
    server = Web(port=0)
    yield server
    server.close()


def publish_until(web: Web, stop: threading.Event) -> threading.Thread:
    """Frames of a stream, until the test stops it."""

    def work() -> None:
        number = 0
        while not stop.wait(0.02):
            number += 1
            web.write(
                result(TWO, "0", number, still=False),
                lambda n=number: np.full((48, 64, 3), n % 200, np.uint8),
            )

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_page_picture_and_json(web: Web) -> None:
    web.write(result(TWO, "cam", 5), lambda: np.full((48, 64, 3), 77, np.uint8))
    assert get(web.url)[:2] == (200, "text/html; charset=utf-8")
    status, kind, body = get(web.url + "frame.jpg")
    assert (status, kind) == (200, "image/jpeg")
    assert cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR)[20, 20].tolist() == [77, 77, 77]
    status, kind, body = get(web.url + "frame.json")
    assert kind == "application/json"
    assert [one["name"] for one in json.loads(body)["objects"]] == ["dog", 'a "cat"']
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(web.url + "../etc/passwd")


@pytest.mark.parametrize("path", ["frame.jpg", "frame.json"])
def test_a_stream_without_a_frame(web: Web, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setattr("pydarknet.streaming.outputs.web.FIRST_SECONDS", 0.05)
    with pytest.raises(urllib.error.HTTPError, match="503: no frame yet"):
        get(web.url + path)
    web.write(result(TWO, "cam", 5), lambda: np.zeros((48, 64, 3), np.uint8))
    assert get(web.url + path)[0] == 200


def test_events_and_stream_go_on_together(web: Web) -> None:
    stop = threading.Event()
    thread = publish_until(web, stop)
    try:
        capture = cv2.VideoCapture(web.url + "stream.mjpg", cv2.CAP_FFMPEG)
        with urllib.request.urlopen(web.url + "events", timeout=10) as events:
            frames = []
            while len(frames) < 3:
                if (line := events.readline()).startswith(b"data: "):
                    frames.append(json.loads(line[6:])["frame"])
        assert frames == sorted(set(frames))
        for _ in range(3):
            fine, image = capture.read()
            assert fine
            assert image.shape == (48, 64, 3)
        capture.release()
    finally:
        stop.set()
        thread.join()


def test_a_client_that_does_not_read_slows_nobody_down(web: Web) -> None:
    stop = threading.Event()
    host, port = web.url.split("/")[2].split(":")
    with socket.create_connection((host, int(port))) as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        lazy.sendall(b"GET /stream.mjpg HTTP/1.0\r\n\r\n")
        thread = publish_until(web, stop)
        for _ in range(10):
            assert get(web.url + "frame.json")[0] == 200
        stop.set()
        thread.join(60)
        assert not thread.is_alive()


def test_closing_ends_the_clients() -> None:
    web = Web(port=0)
    web.write(result(TWO), lambda: np.zeros((4, 4, 3), np.uint8))
    with urllib.request.urlopen(web.url + "events", timeout=10) as events:
        assert events.readline().startswith(b"data: ")
        web.close()
        assert events.read() == b"\n"


@pytest.mark.parametrize(
    ("text", "address"),
    [("8090", ("127.0.0.1", 8090)), ("0.0.0.0:80", ("0.0.0.0", 80)), ("host:1", ("host", 1))],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "host", "host:", "70000", "-1", "8090x"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ArgumentError, match=r"found address .*, expected a port"):
        parse_address(text)


def test_a_taken_port(web: Web) -> None:
    with pytest.raises(FileError, match=r"cannot listen on 127\.0\.0\.1:\d+: .*in use"):
        Web(port=int(web.url.split(":")[2].strip("/")))


def test_guards(web: Web) -> None:
    """Those of every page (tests/system/test_http_server.py), and a policy that allows the page itself."""
    web.write(result(TWO, "cam", 5), lambda: np.zeros((4, 4, 3), np.uint8))
    for path in ("", "frame.json", "frame.jpg", "events", "stream.mjpg"):
        request = urllib.request.Request(web.url + path, headers={"Host": "evil.com"})
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(request, timeout=10)
        head = urllib.request.Request(web.url + path, method="HEAD")
        with urllib.request.urlopen(head, timeout=10) as answer:
            assert answer.read() == b""
            policy = answer.headers["Content-Security-Policy"]
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
    page = get(web.url)[2].decode()
    for kind in ("style", "script"):
        code = page.partition(f"<{kind}>")[2].partition(f"</{kind}>")[0]
        digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
