# SPDX-License-Identifier: Apache-2.0
"""Shared HTTP server for the project's pages: address, guards, threads, answers.

A page that other machines can reach needs a token, which its address contains. On a page of this machine
alone the Host header must name the machine: the name of another site may resolve to it, so that the scripts
of that site could read the page.
"""

from __future__ import annotations

import contextlib
import hmac
import ipaddress
import os
import re
import secrets
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from pydarknet.errors import ArgumentError, FileError

#: Connections at once: in all, of one address, and those of one address that stay open.
MOST_CLIENTS, MOST_PER_ADDRESS, MOST_STREAMS = 128, 32, 16
_PATIENCE = 10.0  # seconds until a client that sends or receives nothing is dropped

#: Environment variable with the token of pages; by default each server has its own, random one.
TOKEN = "PYDARKNET_HTTP_TOKEN"


def parse_address(text: str) -> tuple[str, int]:
    """``"8090"`` (this machine only), ``"0.0.0.0:8090"`` (all machines) or ``"[::1]:8090"`` as host and port.

    Raises:
        ArgumentError: the text has another form.
    """
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]:|([^\[\]:]+):)?(\d{1,5})", text)
    if not match or int(match[3]) > 65535:
        raise ArgumentError(
            f"found address {text!r}, expected a port (8090) or host:port (0.0.0.0:8090, [::1]:8090)"
        )
    return match[1] or match[2] or "127.0.0.1", int(match[3])


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own: ``localhost``, 127.0.0.0/8 or ``::1``."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class Server(ThreadingHTTPServer):
    """A web server that runs in daemon threads until it is closed.

    Args:
        host: address to listen on; ``127.0.0.1`` is this machine only.
        port: 0 chooses a free one.
        handler: class that answers requests.

    Attributes:
        url: address of the first page, with the token if it needs one.
        warning: to be shown to the user if other machines can connect, else empty.

    Raises:
        FileError: the port is taken or may not be used.
    """

    daemon_threads = True
    request_queue_size = 128
    block_on_close = False

    def __init__(self, host: str, port: int, handler: type[Handler]) -> None:
        self.clients, self.streams = (
            _Slots(MOST_CLIENTS, MOST_PER_ADDRESS),
            _Slots(MOST_CLIENTS, MOST_STREAMS),
        )
        self.private = is_loopback(host)
        self.token = "" if self.private else os.environ.get(TOKEN) or secrets.token_urlsafe(12)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise FileError(f"cannot listen on {host}:{port}: {reason}") from None
        shown = socket.gethostname() if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
        query = f"?token={self.token}" if self.token else ""
        self.url = f"http://{shown}:{self.server_address[1]}/{query}"
        self.warning = "" if self.private else _WARNING
        self._thread = threading.Thread(
            target=self.serve_forever, args=(0.1,), name="pydarknet-web", daemon=True
        )
        self._thread.start()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, unless there are too many connections, also of this address alone."""
        if self.clients.enter(client_address[0]):
            super().process_request(request, client_address)
            return
        with contextlib.suppress(OSError):
            request.setblocking(False)
            request.sendall(b"HTTP/1.0 503 too many clients\r\nContent-Length: 0\r\n\r\n")
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, then free the place of the connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.clients.leave(client_address[0])

    def close(self) -> None:
        """Stop the server; open connections end with their next answer."""
        self.shutdown()
        self.server_close()
        self._thread.join()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore the error: a client that disconnects is normal."""


_WARNING = "other machines can open this page by its address with the token; the connection is not encrypted"


class _Slots:
    """Places for connections, in all and for each address."""

    def __init__(self, most: int, per_address: int) -> None:
        self._most, self._per_address = most, per_address
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def taken(self) -> int:
        """Connections that have a place."""
        with self._lock:
            return self._taken.total()

    def enter(self, address: str) -> bool:
        with self._lock:
            free = self._taken.total() < self._most and self._taken[address] < self._per_address
            self._taken[address] += free
            return free

    def leave(self, address: str) -> None:
        with self._lock:
            self._taken[address] -= 1
            self._taken += Counter()  # forgets addresses without a connection


class Handler(BaseHTTPRequestHandler):
    """Handler of a :class:`Server`; requests other than GET and HEAD are refused."""

    server: Server
    timeout = _PATIENCE
    #: Content-Security-Policy of all answers.
    policy = "default-src 'self'; base-uri 'none'; form-action 'none'"

    def answer(self, path: str) -> None:
        """Answer a request for a path, without its query."""
        raise NotImplementedError

    def do_GET(self) -> None:
        """Check who asks, and answer."""
        with contextlib.suppress(ConnectionError, TimeoutError):  # the client has disconnected
            if self.server.private and not is_loopback(_name(self.headers.get("Host", "localhost"))):
                reason = "the Host header does not name this machine; --http 0.0.0.0:PORT allows others"
                self.send_error(403, reason)
            elif not self._has_token():
                self.send_error(401, "open the address with the token that the program printed")
            else:
                self.answer(self.path.partition("?")[0])

    do_HEAD = do_GET  # noqa: N815  names required by the standard library

    def _has_token(self) -> bool:
        own = self.server.token
        if not own:
            return True
        given = parse_qs(self.path.partition("?")[2]).get("token", [""])[0]
        self._remember = hmac.compare_digest(given.encode(), own.encode())
        bearer = self.headers.get("Authorization", "").removeprefix("Bearer ")
        return self._remember or any(
            hmac.compare_digest(text.encode("utf-8", "replace"), own.encode())
            for text in (bearer, self._cookie())
        )

    _remember = False

    def _cookie(self) -> str:
        try:
            found = SimpleCookie(self.headers.get("Cookie", "")).get(self._cookie_name)
        except CookieError:
            return ""
        return found.value if found else ""

    @property
    def _cookie_name(self) -> str:
        return f"pydarknet-{self.server.server_address[1]}"  # browsers share cookies between ports

    @contextlib.contextmanager
    def lasting(self) -> Iterator[bool]:
        """A place for a connection that stays open; False, and answered, if the address has too many."""
        address = self.client_address[0]
        if not self.server.streams.enter(address):
            self.send_error(503, "too many clients")
            yield False
            return
        try:
            yield True
        finally:
            self.server.streams.leave(address)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Do nothing: the library does not print."""

    def end_headers(self) -> None:
        """Add the headers that every answer has, also an error."""
        self.send_header("Content-Security-Policy", self.policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        if self._remember:
            cookie = f"{self._cookie_name}={self.server.token}; Path=/; HttpOnly; SameSite=Strict"
            self.send_header("Set-Cookie", cookie)
        super().end_headers()

    def head(self, kind: str, length: int | None = None, **more: str) -> None:
        """Send the head of an answer with a media type."""
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "no-store")
        for name, value in more.items():
            self.send_header(name.replace("_", "-"), value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def send(self, body: bytes, kind: str, **more: str) -> None:
        """Send a complete answer; without the body for HEAD."""
        self.head(kind, len(body), **more)
        if self.command != "HEAD":
            self.wfile.write(body)

    def _refuse(self) -> None:
        self.send_response(405)
        self.send_header("Allow", "GET, HEAD")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _refuse  # noqa: N815


def _name(host: str) -> str:
    """The name in a Host header, without the port."""
    return re.sub(r":\d*$", "", host)
