# SPDX-License-Identifier: Apache-2.0
"""Results for browsers and programs: ``/`` is a page, ``/stream.mjpg`` the annotated images as MJPEG,
``/events`` the detections as server-sent events, ``/frame.jpg`` and ``/frame.json`` the newest of each.

Each client gets the newest frame; a slow client misses frames and does not delay others. Images are encoded
only while a client is connected.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable
from typing import Any

from pydarknet.engine.images import Pixels
from pydarknet.streaming.outputs import Drawn
from pydarknet.streaming.outputs.text import event
from pydarknet.streaming.result import Result
from pydarknet.system.http_server import Handler, Server

FIRST_SECONDS = 10.0  # that a request for the newest frame waits for the first
_STYLE = "body{margin:0;background:#111;color:#ddd;font:14px sans-serif}img{max-width:100%;display:block}"
_SCRIPT = """new EventSource("events").onmessage=e=>{const f=JSON.parse(e.data);
document.getElementById("text").textContent=
f.objects.map(o=>o.name+" "+Math.round(100*o.confidence)+"%").join("\\n")}"""
_PAGE = f"""<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>pydarknet</title>
<style>{_STYLE}</style>
<img src="stream.mjpg" alt="annotated stream"><pre id="text"></pre><script>{_SCRIPT}</script>
"""


def _digest(code: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'"


class Web:
    """A small web server that runs in its own threads until it is closed.

    Args:
        host: address to listen on; ``127.0.0.1`` is this machine only.
        port: 0 chooses a free one.

    Attributes:
        url: of the page, with the token if other machines can connect.
        warning: for the user if other machines can connect, else empty.

    Raises:
        FileError: the port is in use or not permitted.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 8090) -> None:
        self._hub = _Hub()
        self._server = _Server(host, port, self._hub)
        self.url, self.warning = self._server.url, self._server.warning

    def write(self, result: Result, drawn: Drawn) -> None:
        """Make this the newest frame."""
        self._hub.publish(json.dumps(event(result)).encode(), drawn() if self._hub.watched else None, drawn)

    def close(self) -> str:
        """Close the connections and the server."""
        self._hub.close()
        self._server.close()
        return ""


class _Hub:
    """The newest frame, and the clients that wait for the next."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._number = 0
        self._event = b""
        self._image: Any = None
        self._drawn: Drawn | None = None
        self._jpeg: tuple[int, bytes] = (0, b"")
        self.watched = 0
        self.closed = False

    def publish(self, text: bytes, image: Pixels | None, drawn: Drawn) -> None:
        with self._changed:
            self._number += 1
            self._event, self._image, self._drawn = text, image, drawn
            self._changed.notify_all()

    def after(self, number: int, seconds: float | None = None) -> tuple[int, bytes]:
        """Number and event of a frame newer than the given one; the same number if none comes."""
        with self._changed:
            self._changed.wait_for(lambda: self._number > number or self.closed, seconds)
            return (number, b"") if self.closed else (self._number, self._event)

    def jpeg(self) -> bytes:
        """The newest image, encoded once for all clients."""
        import cv2

        with self._changed:
            number, image = self._number, self._image
            if self._jpeg[0] == number:
                return self._jpeg[1]
            if image is None and self._drawn is not None:
                image = self._drawn()
        data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()
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


class _Server(Server):
    def __init__(self, host: str, port: int, hub: _Hub) -> None:
        self.hub = hub
        super().__init__(host, port, _Handler)


class _Handler(Handler):
    server: _Server
    policy = (
        f"default-src 'none'; img-src 'self' data:; connect-src 'self'; style-src {_digest(_STYLE)}; "
        f"script-src {_digest(_SCRIPT)}; base-uri 'none'; form-action 'none'"
    )

    def answer(self, path: str) -> None:
        """Answer with a page, the newest frame, or all frames to come."""
        if path == "/":
            self.send(_PAGE.encode(), "text/html; charset=utf-8")
        elif path == "/stream.mjpg":
            self._last(self._stream, "multipart/x-mixed-replace; boundary=frame")
        elif path == "/events":
            self._last(self._events, "text/event-stream")
        elif path == "/frame.jpg":
            self._newest(lambda _: self.server.hub.jpeg(), "image/jpeg")
        elif path == "/frame.json":
            self._newest(lambda text: text, "application/json")
        else:
            self.send_error(404)

    def _last(self, send: Callable[[], None], kind: str) -> None:
        with self.lasting() as admitted:
            if admitted:
                self.head(kind)
                if self.command != "HEAD":
                    send()

    def _newest(self, body: Any, kind: str) -> None:
        number, text = self.server.hub.after(0, FIRST_SECONDS)
        if number:
            self.send(body(text), kind)
        else:
            self.send_error(503, "the stream has ended" if self.server.hub.closed else "no frame yet")

    def _events(self) -> None:
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
