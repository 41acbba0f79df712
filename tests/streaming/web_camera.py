# SPDX-License-Identifier: Apache-2.0
"""A network camera on this machine: MJPEG over HTTP, as cheap cameras send it, with their weaknesses."""

from __future__ import annotations

import contextlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import cv2
import numpy as np


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    camera: WebCamera


class WebCamera:
    """Sends images of 160 x 120 with one white square.

    Args:
        fps: images per second.
        frames_per_connection: after so many it hangs up; None: never.
        start: answer from the beginning; otherwise from :meth:`start` on.

    Attributes:
        connections: how many there were.
        refuse: let nobody in a second time.
    """

    def __init__(self, fps: float = 30, frames_per_connection: int | None = None, start: bool = True) -> None:
        self.fps, self.limit = fps, frames_per_connection
        self.connections = 0
        self.closed = self.refuse = False
        image = np.full((120, 160, 3), 40, np.uint8)
        image[40:72, 40:72] = 255
        self.jpeg = cv2.imencode(".jpg", image)[1].tobytes()
        self._server = _Server(("127.0.0.1", 0), _Handler, bind_and_activate=False)
        self._server.camera = self
        self._server.server_bind()
        self._thread: threading.Thread | None = None
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/video"
        if start:
            self.start()

    def start(self) -> None:
        self._server.server_activate()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def __enter__(self) -> WebCamera:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True
        if self._thread:
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        camera = self.server.camera
        camera.connections += 1
        if camera.refuse and camera.connections > 1:
            self.send_error(503)
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        sent = 0
        limit = time.monotonic() + 60
        with contextlib.suppress(OSError):
            while not camera.closed and sent != camera.limit and time.monotonic() < limit:
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(camera.jpeg)}\r\n\r\n"
                self.wfile.write(head.encode() + camera.jpeg + b"\r\n")
                sent += 1
                time.sleep(1 / camera.fps)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass
