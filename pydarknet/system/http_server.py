# SPDX-License-Identifier: Apache-2.0
"""Shared HTTP server for the project's pages: threads, places for connections, answers."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pydarknet.system.web_access import HEADERS, Access, listen

#: Connections at once: in all, of one address, and those of one address that stay open.
MOST_CLIENTS, MOST_PER_ADDRESS, MOST_STREAMS = 128, 32, 16
_PATIENCE = 10.0  # seconds until a client that sends or receives nothing is dropped


class Server(ThreadingHTTPServer):
    """A web server that runs in daemon threads until it is closed.

    Args:
        host: address to listen on; ``127.0.0.1`` is this machine only.
        port: 0 chooses a free one.
        handler: class that answers requests.

    Attributes:
        access: whom it answers.
        url: address of the first page, with the token if it needs one.
        warning: to be shown to the user if other machines can connect, else empty.

    Raises:
        FileError: the port is taken or may not be used.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str, port: int, handler: type[Handler]) -> None:
        self.clients, self.streams = (
            _Slots(MOST_CLIENTS, MOST_PER_ADDRESS),
            _Slots(MOST_CLIENTS, MOST_STREAMS),
        )
        super().__init__((host, port), handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listen(host, port)
        self.server_address = self.socket.getsockname()
        self.access = Access.of(host, self.socket)
        self.url, self.warning = self.access.url, self.access.warning
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
        path, _, query = self.path.partition("?")
        get, access = self.headers.get, self.server.access
        with contextlib.suppress(ConnectionError, TimeoutError):  # the client has disconnected
            refused = access.refusal(get("Host"), query, get("Authorization", ""), get("Cookie", ""))
            if refused is not None:
                self.send_error(refused.status, refused.reason)
            else:
                self._cookie = access.cookie(query)
                self.answer(path)

    do_HEAD = do_GET  # noqa: N815  names required by the standard library

    _cookie: str | None = None

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
        for name, value in HEADERS.items():
            self.send_header(name, value)
        if self._cookie is not None:
            self.send_header("Set-Cookie", self._cookie)
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
