# SPDX-License-Identifier: Apache-2.0
"""Shared HTTP server for the project's pages: address, threads, answers."""

from __future__ import annotations

import contextlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pydarknet.errors import ArgumentError, FileError

_MOST_CLIENTS = 32
_PATIENCE = 10.0  # seconds until a client that receives nothing is dropped


def parse_address(text: str) -> tuple[str, int]:
    """``"8090"`` (this machine only) or ``"0.0.0.0:8090"`` (all machines) as host and port.

    Raises:
        ArgumentError: the text has another form.
    """
    match = re.fullmatch(r"(?:(.+):)?(\d{1,5})", text)
    if not match or int(match[2]) > 65535:
        raise ArgumentError(f"found address {text!r}, expected a port (8090) or host:port (0.0.0.0:8090)")
    return match[1] or "127.0.0.1", int(match[2])


class Server(ThreadingHTTPServer):
    """A web server that runs in daemon threads until it is closed.

    Args:
        host: address to listen on; ``127.0.0.1`` is this machine only.
        port: 0 chooses a free one.
        handler: class that answers requests.

    Attributes:
        url: address of the first page.

    Raises:
        FileError: the port is taken or may not be used.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str, port: int, handler: type[Handler]) -> None:
        self.clients = threading.BoundedSemaphore(_MOST_CLIENTS)
        try:
            super().__init__((host, port), handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise FileError(f"cannot listen on {host}:{port}: {reason}") from None
        self.url = f"http://{host}:{self.server_address[1]}/"
        self._thread = threading.Thread(
            target=self.serve_forever, args=(0.1,), name="pydarknet-web", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop the server; open connections end with their next answer."""
        self.shutdown()
        self.server_close()
        self._thread.join()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore the error: a client that disconnects is normal."""


class Handler(BaseHTTPRequestHandler):
    """Handler of a :class:`Server`; requests other than GET and HEAD are refused."""

    server: Server
    timeout = _PATIENCE

    def answer(self, path: str) -> None:
        """Answer a request for a path, without its query."""
        raise NotImplementedError

    def do_GET(self) -> None:
        """Answer."""
        if not self.server.clients.acquire(blocking=False):
            self.send_error(503, "too many clients")
            return
        try:
            with contextlib.suppress(ConnectionError, TimeoutError):  # the client has disconnected
                self.answer(self.path.partition("?")[0])
        finally:
            self.server.clients.release()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Do nothing: the library does not print."""

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
