# SPDX-License-Identifier: Apache-2.0
"""Results for browsers and programs: ``/`` is a page, ``/stream.mjpg`` the annotated pictures as MJPEG,
``/events`` the detections as server-sent events, ``/frame.jpg`` and ``/frame.json`` the newest of each.

Everybody gets the newest frame; whoever reads slowly misses some, and slows nobody down. Pictures are encoded
only while somebody looks.
"""

from __future__ import annotations

import json
import threading
from typing import Any

from pydarknet.streaming.outputs import Drawn, Picture
from pydarknet.streaming.outputs.text import event
from pydarknet.streaming.result import Result
from pydarknet.system.http_server import Handler, Server

_PAGE = b"""<!doctype html><meta charset="utf-8"><title>pydarknet</title>
<style>body{margin:0;background:#111;color:#ddd;font:14px sans-serif}img{max-width:100%;display:block}</style>
<img src="stream.mjpg" alt="annotated stream"><pre id="text"></pre>
<script>new EventSource("events").onmessage=e=>{const f=JSON.parse(e.data);document.getElementById("text")
.textContent=f.objects.map(o=>o.name+" "+Math.round(100*o.confidence)+"%").join("\\n")}</script>
"""


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
        self._server = _Server(host, port, self._hub)
        self.url = self._server.url

    def write(self, result: Result, drawn: Drawn) -> None:
        """Make this the newest frame."""
        self._hub.publish(json.dumps(event(result)).encode(), drawn() if self._hub.watched else None, drawn)

    def close(self) -> str:
        """End the connections and the server."""
        self._hub.close()
        self._server.close()
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


class _Server(Server):
    def __init__(self, host: str, port: int, hub: _Hub) -> None:
        self.hub = hub
        super().__init__(host, port, _Handler)


class _Handler(Handler):
    server: _Server

    def answer(self, path: str) -> None:
        """Answer with a page, the newest frame, or all frames to come."""
        if path == "/":
            self.send(_PAGE, "text/html; charset=utf-8")
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

    def _newest(self, body: Any, kind: str) -> None:
        number, text = self.server.hub.after(0)
        if number:
            self.send(body(text), kind)
        else:
            self.send_error(503, "the stream has ended")

    def _events(self) -> None:
        self.head("text/event-stream")
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
            self.head("multipart/x-mixed-replace; boundary=frame")
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
