# SPDX-License-Identifier: Apache-2.0
"""Hostile requests: each is refused, and the server then answers the next client."""

from __future__ import annotations

import base64
import contextlib
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import cv2
import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from served import Serve, Served, wait

from pydarknet.serving import guard, limits, protocol, service
from pydarknet.serving.images import check, file_of, pixels_of
from pydarknet.serving.limits import Budget, Limits, Refused
from pydarknet.system import web_access

Slowed = Callable[[Callable[[int], object]], object]


def png_of(width: int, height: int, rows: bytes = b"") -> bytes:
    """A grey PNG with any size in its header."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@contextlib.contextmanager
def connected(served: Served) -> Iterator[socket.socket]:
    with socket.create_connection(served.address, timeout=20) as connection:
        yield connection


def answer_of(connection: socket.socket) -> bytes:
    """All that the server sends until it ends the connection."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while data := connection.recv(1 << 16):
            received += data
    return received


# -- bodies


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"garbage", 415),
        (b"\xff\xd8\xff\xe0garbage", 400),
        (b"\x89PNG\r\n\x1a\n", 400),
        (b"GIF89a\x01\x00\x01\x00", 415),
        (png_of(4, 4), 400),  # no pixels
        (png_of(0, 4), 400),
        (png_of(100_000, 100_000), 413),
        (png_of(2**31 - 1, 2**31 - 1), 413),
        (b"BM" + bytes(12) + struct.pack("<Iii", 40, 100_000, -100_000), 413),
    ],
    ids=repr,
)
def test_images_that_are_none(served: Served, body: bytes, status: int) -> None:
    answer = served.detect(body)
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]


def test_a_bomb_is_not_decoded(serve: Serve, png: bytes) -> None:
    """16 kB that would be 48 MB: by its pixels, and by those of all clients together."""
    bomb = png_of(4000, 4000, bytes(4001) * 4000)
    assert len(bomb) < 20_000
    served = serve(limits={"pixels": 10**7})
    assert served.detect(bomb).status_code == 413
    assert served.detect(png).status_code == 200
    served = serve(limits={"pixels": 10**9, "memory": 4 * 10**7})
    answer = served.detect(bomb)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert served.detect(png).status_code == 200


@pytest.mark.parametrize(
    "kind", ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=x"]
)
@pytest.mark.parametrize("body", [b"", b"--x", b"--x\r\n\r\n\r\n--x--\r\n", b"\0" * 1000, b"--x\r\na" * 200])
def test_bad_forms(served: Served, kind: str, body: bytes) -> None:
    assert served.detect(body, headers={"content-type": kind}).status_code == 400


def test_a_form_of_many_parts(served: Served, png: bytes) -> None:
    answer = served.client.post("/invocations", files=[("x", ("a", b"")) for _ in range(100)])
    assert answer.status_code == 400
    assert "parts" in answer.json()["error"]
    answer = served.client.post("/invocations", files={"image": ("a.png", png)})
    assert answer.json() == {"error": "the form has no file; expected a field body or file"}


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"image": 3}', b'{"image": "?"}', b'{"image": "QUFB', b"[" * 99_999, b"\xff"],
    ids=lambda body: repr(body[:20]),
)
def test_bad_json(served: Served, body: bytes) -> None:
    answer = served.detect(body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]


@given(st.binary(max_size=300), st.sampled_from(["multipart/form-data; boundary=x", "application/json", "x"]))
def test_no_body_is_a_defect(body: bytes, kind: str) -> None:
    """Any bytes are an image or refused."""
    for attempt in (body, b"--x\r\n" + body, b'{"image": "' + base64.b64encode(body) + b'"}'):
        with contextlib.suppress(Refused):
            check(file_of(attempt, kind), 10**6)


@given(st.binary(max_size=100))
def test_no_image_header_is_a_defect(tail: bytes) -> None:
    for magic in (b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBPVP8X", b"BM"):
        with contextlib.suppress(Refused):
            check(magic + tail, 10**6)


def test_a_body_that_is_too_large(serve: Serve, png: bytes) -> None:
    """Whether it says so or not; what it holds is not kept."""
    served = serve(limits={"body": 1000})
    assert served.detect(bytes(1001)).status_code == 413
    assert served.detect(bytes(900)).status_code == 415
    chunks = (bytes(100) for _ in range(11))
    assert served.client.post("/invocations", content=chunks).status_code == 413
    assert served.detect(png).status_code == 200
    with connected(served) as connection:
        connection.sendall(b"POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n")
        assert answer_of(connection).startswith(b"HTTP/1.1 400")
    with connected(served) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:  # until the server ends the connection
            connection.sendall(b"400\r\n" + bytes(1024) + b"\r\n")


# -- slow and strange clients


def test_a_body_that_never_comes(monkeypatch: pytest.MonkeyPatch, served: Served) -> None:
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.1)
    with connected(served) as connection:
        connection.sendall(b"POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n12")
        answer = answer_of(connection)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"too slowly" in answer


@pytest.mark.parametrize("beginning", [b"", b"GET /ping HTTP/1.1\r\nHost: localhost\r\nX: ", b"\x16\x03\x01"])
def test_headers_that_never_end(monkeypatch: pytest.MonkeyPatch, served: Served, beginning: bytes) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.1)
    with connected(served) as connection:
        connection.sendall(beginning)
        assert answer_of(connection)[:12] in (b"", b"HTTP/1.1 400")
    monkeypatch.undo()


def test_headers_that_are_endless(served: Served) -> None:
    with connected(served) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(b"GET /ping HTTP/1.1\r\nHost: localhost\r\nX: ")
        while True:
            connection.sendall(b"x" * 10_000)


def test_many_requests_at_a_time_on_one_connection(served: Served) -> None:
    one = b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connected(served) as connection:
        connection.sendall(one * 4 + one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert answer_of(connection).count(b"HTTP/1.1 200") == 5
    with connected(served) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(one * 10_000)
        assert answer_of(connection).count(b"HTTP/1.1 200") <= limits.PIPELINED + 1


def test_a_client_that_leaves(served: Served, png: bytes, caplog: pytest.LogCaptureFixture) -> None:
    head = b"POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(png)
    for sent in (head, head + png[:10], head + png):
        with connected(served) as connection:
            connection.sendall(sent)
    assert len(served.detect(png).json()) == 2
    assert caplog.text == ""


# -- floods


def test_silent_connections_give_way(monkeypatch: pytest.MonkeyPatch, served: Served, png: bytes) -> None:
    monkeypatch.setattr(protocol, "CONNECTIONS", 8)
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(connected(served)) for _ in range(40)]
        url = served.client.base_url.join("/invocations")  # not on the client's own silent connection
        assert len(httpx.post(url, content=png, timeout=20, trust_env=False).json()) == 2
        assert answer_of(silent[0]) == b""


def test_a_flood_without_a_silent_connection(
    monkeypatch: pytest.MonkeyPatch, serve: Serve, png: bytes
) -> None:
    """All places are taken by requests that run: one more is refused, and has a place when one ends."""
    monkeypatch.setattr(protocol, "CONNECTIONS", 3)
    served = serve()
    head = (
        b"POST /invocations HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    )
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(connected(served)) for _ in range(3)]
        for connection in running:
            connection.sendall(head % len(png))
            assert connection.recv(100).startswith(b"HTTP/1.1 100")  # the body is awaited
        with connected(served) as more:
            answer = answer_of(more)
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"Retry-After: 1" in answer
        for connection in running:
            connection.sendall(png)
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
    wait(lambda: served.client.get("/ping").status_code == 200)


@pytest.mark.parametrize("equal", [True, False])
def test_tokens_are_compared_in_constant_time(
    monkeypatch: pytest.MonkeyPatch, serve: Serve, equal: bool
) -> None:
    """The answer of hmac.compare_digest alone decides, in each way to send a token."""
    served = serve(token="secret")
    compared: list[bytes] = []

    def compare(found: bytes, expected: bytes) -> bool:
        compared.append(found)
        assert expected == b"secret"
        return equal

    monkeypatch.setattr(web_access.hmac, "compare_digest", compare)
    sent = "wrong" if equal else "secret"
    cookie = f"pydarknet-{served.address[1]}"
    for more in (
        {"headers": {"authorization": f"Bearer {sent}"}},
        {"params": {"token": sent}},
        {"headers": {"cookie": f"{cookie}={sent}"}},
    ):
        compared.clear()
        answer = served.client.get("/v1/model", **more)  # type: ignore[arg-type]
        assert answer.status_code == (200 if equal else 401)
        assert equal or sent.encode() in compared
        served.client.cookies.clear()


def test_requests_beyond_the_queue(serve: Serve, png: bytes, slowed: Slowed) -> None:
    """Some are refused at once, with the time to try again; those that were taken are answered."""
    go = threading.Event()
    served = serve(load=slowed(lambda _: go.wait(20)), limits={"waiting": 6})
    taken = 6 + 4
    with ThreadPoolExecutor(40) as pool:
        answers = [pool.submit(served.detect, png) for _ in range(40)]
        wait(lambda: sum(answer.done() for answer in answers) == 40 - taken)
        assert served.client.get("/ping").status_code == 200
        go.set()
    codes = [answer.result().status_code for answer in answers]
    assert sorted(set(codes)) == [200, 503]
    assert codes.count(200) == taken
    refused = next(answer.result() for answer in answers if answer.result().status_code == 503)
    assert int(refused.headers["retry-after"]) >= 1
    assert "busy" in refused.json()["error"]


def test_an_answer_that_takes_too_long(serve: Serve, png: bytes, slowed: Slowed) -> None:
    go = threading.Event()
    served = serve(load=slowed(lambda _: go.wait(20)), limits={"seconds": 0.05})
    answer = served.detect(png)
    go.set()
    assert answer.status_code == 503
    assert "within 0.05 s" in answer.json()["error"]
    wait(lambda: served.detect(png).status_code == 200)


@pytest.mark.parametrize("part", ["decode", "handler"])
def test_the_limit_of_time_is_that_of_the_whole_answer(
    serve: Serve, png: bytes, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    go = threading.Event()

    def slow(*arguments: object) -> object:
        assert go.wait(20)
        return pixels_of(*arguments) if part == "decode" else {}  # type: ignore[arg-type]

    if part == "decode":
        monkeypatch.setattr(service, "pixels_of", slow)
    served = serve(handler=slow if part == "handler" else None, limits={"seconds": 0.05})
    answer = served.detect(png)
    go.set()
    assert answer.status_code == 503
    assert "within 0.05 s" in answer.json()["error"]


def test_a_handlers_own_time_limit_is_its_error(serve: Serve, png: bytes) -> None:
    def late(*_: object) -> object:
        raise TimeoutError

    assert serve(handler=late).detect(png).status_code == 500


def test_answers_that_are_not_read(monkeypatch: pytest.MonkeyPatch, serve: Serve, png: bytes) -> None:
    """Requests whose bodies wait behind an unread answer hold no memory, and the connection ends."""
    large = cv2.imencode(".png", np.random.default_rng(1).integers(0, 256, (600, 600), np.uint8))[1]
    body, accept = large.tobytes(), b"Host: localhost\r\nAccept: image/jpeg\r\nContent-Length: %d\r\n\r\n"
    monkeypatch.setattr(protocol, "SEND_SECONDS", 0.5)
    monkeypatch.setattr(protocol, "SEND_RATE", 1 << 30)
    served = serve(limits={"memory": 3 * len(body) + 600 * 600 * 3})
    served.server._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # of its connections
    request = b"POST /invocations HTTP/1.1\r\n" + accept % len(body) + body
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(served.address)
            stack.enter_context(connection)
            connection.settimeout(20)
            with contextlib.suppress(ConnectionError):  # the server ends it
                while True:
                    connection.sendall(request)
        assert served.detect(body).status_code == 200
    assert len(served.detect(png).json()) == 2


def test_a_client_that_reads_slowly_has_its_answer(
    monkeypatch: pytest.MonkeyPatch, serve: Serve, png: bytes
) -> None:
    """The limit of silence begins when the answer is sent, not when it is ready."""
    noise = np.random.default_rng(1).integers(0, 256, (600, 600), np.uint8)
    body = cv2.imencode(".png", noise)[1].tobytes()
    monkeypatch.setattr(protocol, "IDLE_SECONDS", 0.2)
    served = serve()
    served.server._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # of its connections
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(20)
        connection.connect(served.address)
        head = "POST /invocations HTTP/1.1\r\nHost: localhost\r\nAccept: image/jpeg\r\nContent-Length: "
        connection.sendall(f"{head}{len(body)}\r\n\r\n".encode() + body)
        received = connection.recv(1000)
        time.sleep(0.6)
        received += answer_of(connection)
    head, _, image = received.partition(b"\r\n\r\n")
    assert int(head.lower().partition(b"content-length: ")[2].split()[0]) == len(image)


@pytest.mark.parametrize("origin", ["http://[", "http://other", "null", "http://[::1"])
def test_origins_of_others(served: Served, origin: str) -> None:
    answer = served.client.get("/ping", headers={"origin": origin})
    assert answer.status_code == 403
    assert "other sites" in answer.json()["error"]


def test_an_image_of_16_bits_takes_twice_the_memory(serve: Serve, png: bytes) -> None:
    served = serve(limits={"memory": 10**6})
    for dtype, status in ((np.uint8, 200), (np.uint16, 503)):
        image = cv2.imencode(".png", np.zeros((400, 500), dtype))[1].tobytes()  # 600 kB in three channels
        assert served.detect(image).status_code == status


def test_bodies_share_their_memory(serve: Serve, png: bytes) -> None:
    served = serve(limits={"memory": 5000})
    with connected(served) as connection:
        connection.sendall(b"POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n")
        connection.sendall(bytes(4900))
        wait(lambda: isinstance(served.detect(png), httpx.Response) and served.detect(png).status_code == 503)
    wait(lambda: served.detect(png).status_code == 200)


def test_a_request_that_has_ended_takes_no_memory() -> None:
    """Its thread may still decode when the client has its 503."""
    budget = Budget(100)
    with budget.share() as share:
        share.take(60)
        with pytest.raises(Refused, match="too many large requests"):
            share.take(60)
        share.take(40)
    with pytest.raises(Refused, match="has ended"):
        share.take(1)
    budget.take(100)


def test_limits_have_defaults_that_hold() -> None:
    """The bodies of all connections at once would be more than the memory that they share."""
    assert limits.CONNECTIONS * Limits().body > Limits().memory
    assert Limits().pixels * 3 < Limits().memory
