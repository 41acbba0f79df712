# SPDX-License-Identifier: Apache-2.0
"""Results for browsers and programs: ``/`` is a page, ``/stream.mjpg`` the annotated pictures as MJPEG,
``/events`` the detections as server-sent events, ``/frame.jpg`` and ``/frame.json`` the newest of each.

Everybody gets the newest frame; whoever reads slowly misses some, and slows nobody down. Pictures are encoded
only while somebody looks.
"""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pydarknet.errors import ArgumentError, FileError
from pydarknet.outputs import Drawn, Picture
from pydarknet.outputs.records import event
from pydarknet.streaming import Result

_MOST_CLIENTS = 32
_PATIENCE = 10.0  # seconds for which a client may not take anything
_PAGE = b"""<!doctype html><meta charset="utf-8"><title>pydarknet</title>
<style>body{margin:0;background:#111;color:#ddd;font:14px sans-serif}img{max-width:100%;display:block}</style>
<img src="stream.mjpg" alt="annotated stream"><pre id="text"></pre>
<script>new EventSource("events").onmessage=e=>{const f=JSON.parse(e.data);document.getElementById("text")
.textContent=f.objects.map(o=>o.name+" "+Math.round(100*o.confidence)+"%").join("\\n")}</script>
"""


def parse_address(text: str) -> tuple[str, int]:
    """``"8090"`` (this machine only) or ``"0.0.0.0:8090"`` (everybody who can reach it) as host and port.

    Raises:
        ArgumentError: it is neither.
    """
    match = re.fullmatch(r"(?:(.+):)?(\d{1,5})", text)
    if not match or int(match[2]) > 65535:
        raise ArgumentError(f"found address {text!r}, expected a port (8090) or host:port (0.0.0.0:8090)")
    return match[1] or "127.0.0.1", int(match[2])


class Web:
    """A small web server; it runs in its own threads until it is closed.

    Args:
        host: address to listen on; ``127.0.0.1`` is this machine only.
        port: 0 takes a free one.

    Attributes:
        url: of the page.

    Raises:
        FileError: the port is taken or may not be used.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 8090) -> None:
        self._hub = _Hub()
        try:
            self._server = _Server((host, port), _Handler)
        except (OSError, OverflowError) as error:
            raise FileError(f"cannot listen on {host}:{port}: {error}") from None
        self._server.hub = self._hub
        self.url = f"http://{host}:{self._server.server_address[1]}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)
        self._thread.start()

    def write(self, result: Result, drawn: Drawn) -> None:
        """Make this the newest frame."""
        self._hub.publish(json.dumps(event(result)).encode(), drawn() if self._hub.watched else None, drawn)

    def close(self) -> str:
        """End the connections and the server."""
        self._hub.close()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        return ""


class _Hub:
    """The newest frame, and those who wait for the next."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._number = 0
        self._event = b""
        self._picture: Any = None
        self._drawn: Drawn | None = None
        self._jpeg: tuple[int, bytes] = (0, b"")
        self.clients = threading.BoundedSemaphore(_MOST_CLIENTS)
        self.watched = 0
        self.closed = False

    def publish(self, text: bytes, picture: Picture | None, drawn: Drawn) -> None:
        with self._changed:
            self._number += 1
            self._event, self._picture, self._drawn = text, picture, drawn
            self._changed.notify_all()

    def after(self, number: int) -> tuple[int, bytes]:
        """Number and event of a frame newer than the given; the same number when there is none any more."""
        with self._changed:
            while self._number <= number and not self.closed:
                self._changed.wait()
            return (number, b"") if self.closed else (self._number, self._event)

    def jpeg(self) -> bytes:
        """The newest picture, encoded once for all."""
        import cv2

        with self._changed:
            number, picture = self._number, self._picture
            if self._jpeg[0] == number:
                return self._jpeg[1]
            if picture is None and self._drawn is not None:
                picture = self._drawn()
        data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()
        with self._changed:
            if number == self._number:
                self._jpeg = (number, data)
        return data

    def watch(self, change: int) -> None:
        with self._changed:
            self.watched += change

    def close(self) -> None:
        with self._changed:
            self.closed = True
            self._changed.notify_all()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    hub: _Hub

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is nobody's error; the library prints nothing."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _PATIENCE

    def do_GET(self) -> None:
        """Answer with a page, the newest frame, or all frames to come."""
        path = self.path.partition("?")[0]
        if not self.server.hub.clients.acquire(blocking=False):
            self.send_error(503, "too many clients")
            return
        try:
            if path == "/":
                self._send(_PAGE, "text/html; charset=utf-8")
            elif path == "/stream.mjpg":
                self._stream()
            elif path == "/events":
                self._events()
            elif path == "/frame.jpg":
                self._newest(lambda _: self.server.hub.jpeg(), "image/jpeg")
            elif path == "/frame.json":
                self._newest(lambda text: text, "application/json")
            else:
                self.send_error(404)
        except (ConnectionError, TimeoutError):
            pass  # the client is gone
        finally:
            self.server.hub.clients.release()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing: the library prints nothing."""

    def _head(self, kind: str, length: int | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Cache-Control", "no-store")
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def _send(self, body: bytes, kind: str) -> None:
        self._head(kind, len(body))
        self.wfile.write(body)

    def _newest(self, body: Any, kind: str) -> None:
        number, text = self.server.hub.after(0)
        if number:
            self._send(body(text), kind)
        else:
            self.send_error(503, "the stream has ended")

    def _events(self) -> None:
        self._head("text/event-stream")
        number = 0
        while True:
            newest, text = self.server.hub.after(number)
            if newest == number:
                return
            self.wfile.write(b"data: " + text + b"\n\n")
            number = newest

    def _stream(self) -> None:
        hub = self.server.hub
        hub.watch(1)
        try:
            self._head("multipart/x-mixed-replace; boundary=frame")
            number = 0
            while True:
                newest, _ = hub.after(number)
                if newest == number:
                    return
                jpeg = hub.jpeg()
                part = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
                self.wfile.write(part + jpeg + b"\r\n")
                number = newest
        finally:
            hub.watch(-1)
