# SPDX-License-Identifier: Apache-2.0
"""Who may read a page, by what a client gets: the guards that all pages share."""

from __future__ import annotations

import functools
import http.client
import socket
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydarknet.system import http_server
from pydarknet.system.http_server import Handler, Server
from pydarknet.system.web_access import TOKEN, is_loopback, parse_address


class Hello(Handler):
    def answer(self, path: str) -> None:
        if path == "/":
            self.send(b"hello", "text/plain")
        elif path == "/long":
            with self.lasting() as admitted:
                if admitted:
                    self.head("text/plain")
                    self.wfile.write(b"first\n")
                    self.rfile.read(1)  # until the client ends
        else:
            self.send_error(404)


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    made = Server(getattr(request, "param", "127.0.0.1"), 0, Hello)
    yield made
    made.close()


def fetch(
    server: Server, path: str = "/", method: str = "GET", host: str = "127.0.0.1", **headers: str
) -> tuple[int, bytes, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection(host, server.server_address[1], timeout=10)
    connection.request(method, path, headers={name.replace("_", "-"): text for name, text in headers.items()})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body, answer.msg


@pytest.mark.parametrize(
    ("host", "private"),
    [
        ("127.0.0.1", True),
        ("127.0.0.2", True),
        ("127.255.0.9", True),
        ("localhost", True),
        ("LOCALHOST", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("evil.com", False),
        ("127.0.0.1.evil.com", False),
        ("localhost.evil.com", False),
        ("", False),
    ],
)
def test_loopback(host: str, private: bool) -> None:
    assert is_loopback(host) == private


def test_addresses_of_ipv6() -> None:
    assert parse_address("[::1]:8090") == ("::1", 8090)


@pytest.mark.parametrize("server", ["127.0.0.1", "127.0.0.2"], indirect=True)
@pytest.mark.parametrize("host", ["evil.com", "evil.com:80", "127.0.0.1.evil.com", "10.0.0.1", "", "[::2]:1"])
def test_a_name_of_another_machine_is_refused(server: Server, host: str) -> None:
    """Otherwise any site could point its own name here and read the page."""
    assert fetch(server, host=server.server_address[0], Host=host)[0] == 403


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.1:2", "127.3.2.1", "[::1]:5", "[::1]"])
def test_the_names_of_this_machine(server: Server, host: str) -> None:
    assert fetch(server, Host=host)[:2] == (200, b"hello")


@pytest.mark.parametrize(
    ("path", "method", "status"), [("/", "GET", 200), ("/x", "GET", 404), ("/", "POST", 405)]
)
def test_headers_of_every_answer(server: Server, path: str, method: str, status: int) -> None:
    found, _, headers = fetch(server, path, method)
    assert found == status
    assert headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


def test_head(server: Server) -> None:
    status, body, headers = fetch(server, method="HEAD")
    assert (status, body, headers["Content-Length"]) == (200, b"", "5")


@pytest.mark.parametrize("server", ["0.0.0.0"], indirect=True)
def test_other_machines_need_the_token(server: Server) -> None:
    assert "not encrypted" in server.warning
    assert server.url.endswith(f"/?token={server.access.token}")
    assert len(server.access.token) >= 16
    assert fetch(server)[0] == 401
    assert fetch(server, "/?token=wrong")[0] == 401
    assert fetch(server, Cookie="pydarknet-1=x; a")[0] == 401
    status, body, headers = fetch(server, f"/?token={server.access.token}", Host="any.example")
    assert (status, body) == (200, b"hello")
    cookie = headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert fetch(server, Cookie=cookie.partition(";")[0])[0] == 200, "the page's own requests"
    assert fetch(server, Authorization=f"Bearer {server.access.token}")[0] == 200


def test_a_token_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, "of the user")
    server = Server("0.0.0.0", 0, Hello)
    assert fetch(server, Authorization="Bearer of the user")[0] == 200
    server.close()


def test_this_machine_alone_needs_no_token(server: Server) -> None:
    assert (server.warning, server.access.token) == ("", "")
    assert "token" not in server.url


def test_ipv6() -> None:
    if not socket.has_ipv6:  # pragma: no cover  Linux has it
        return
    server = Server("::1", 0, Hello)
    assert server.url.startswith("http://[::1]:")
    assert not server.warning
    assert fetch(server, host="::1")[:2] == (200, b"hello")
    assert fetch(server, host="::1", Host="evil.com")[0] == 403
    server.close()


def test_open_connections_do_not_shut_others_out(server: Server) -> None:
    """A client may keep some connections open; pages are answered beside them."""
    port = server.server_address[1]
    held = []
    for _ in range(http_server.MOST_STREAMS):
        held.append(socket.create_connection(("127.0.0.1", port), timeout=10))
        held[-1].sendall(b"GET /long HTTP/1.0\r\n\r\n")
        assert held[-1].recv(12) == b"HTTP/1.0 200"
    assert fetch(server, "/long")[0] == 503
    assert fetch(server)[:2] == (200, b"hello")
    held.pop().close()
    for connection in held:
        connection.close()


def test_connections_that_send_nothing_do_not_shut_other_addresses_out(server: Server) -> None:
    """The places of one address are limited before it has sent a request."""
    port = server.server_address[1]
    held = [socket.create_connection(("127.0.0.1", port)) for _ in range(http_server.MOST_PER_ADDRESS)]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as one_more:
        assert one_more.recv(12) == b"HTTP/1.0 503"
    other = socket.create_connection(("127.0.0.1", port), timeout=10, source_address=("127.0.0.9", 0))
    other.sendall(b"GET / HTTP/1.0\r\n\r\n")
    assert other.recv(12) == b"HTTP/1.0 200"
    for connection in (*held, other):
        connection.close()


_PARTS = [b"GET ", b"HEAD ", b"POST ", b"/", b"/long", b"/%00%ff", b"?token=", b" HTTP/1.0", b" HTTP/9.9"]
_PARTS += [
    b"\r\n",
    b"\n",
    b"\xff",
    b'"\\',
    b"[::1",
    b"]",
    b":",
    b"127.0.0.1",
    b"evil.com",
    b"Content-Length: -1",
]
_PARTS += [
    b"Host: ",
    b"Cookie: a=",
    b"Authorization: Bearer ",
    b"Transfer-Encoding: chunked",
    b"Content-Length: -1",
]
_PARTS += [b"A" * 70_000, b"x" * 500, b"\0"]


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, len(_PARTS) - 1), max_size=12))
def test_any_bytes_get_an_answer_or_none(parts: list[int]) -> None:
    """A request of any bytes is answered or dropped, and the server answers the next one."""
    server = _shared_server()
    with socket.create_connection(("127.0.0.1", server.server_address[1]), timeout=60) as client:
        try:
            client.sendall(b"".join(_PARTS[number] for number in parts) + b"\r\n\r\n")
            client.shutdown(socket.SHUT_WR)
            while client.recv(1 << 16):
                pass
        except TimeoutError:
            pytest.fail("no answer")
        except OSError:
            pass  # the server had heard enough
    assert not server.problems
    assert fetch(server)[:2] == (200, b"hello")


class Noting(Server):
    """Keeps the exceptions of its handlers, apart from lost connections."""

    def __init__(self) -> None:
        self.problems: list[BaseException] = []
        super().__init__("127.0.0.1", 0, Hello)

    def handle_error(self, request: object, client_address: object) -> None:
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, OSError):
            self.problems.append(error)


@functools.cache
def _shared_server() -> Noting:
    return Noting()
