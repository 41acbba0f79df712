# SPDX-License-Identifier: Apache-2.0
"""Server of the live page of a run: ``/`` is the page, ``/state.json`` its content, images by file name.

Requests cannot change anything, and read only the files of a fixed table. Without requests it does no work.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from pydarknet.runs.state import IMAGES, RunState
from pydarknet.system.closing import Closing
from pydarknet.system.http_server import Handler, Server

FRESH = 1.0  # seconds for which one read of the folder serves all requests

_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".jpg": "image/jpeg",
    ".png": "image/png",
}
_ASSETS = {"page.html", "page.css", "icon.svg", "chart.js", "evaluation.js", "page.js"}


@cache
def asset(name: str) -> str:
    """Read the text of a file of the page."""
    return resources.files("pydarknet.runs.page").joinpath(name).read_text("utf-8")


class Page(Closing):
    """The page of a run, served until it is closed.

    Args:
        folder: of the run; need not exist yet.
        host: address to listen on; ``127.0.0.1`` is this machine only.
        port: to listen on; 0 chooses a free one.
        others: folders of runs whose loss and mAP are drawn into the same charts.

    Attributes:
        url: of the page, with the token if other machines can connect.
        warning: for the user if other machines can connect, else empty.

    Raises:
        FileError: the port is in use or not permitted.
    """

    def __init__(
        self, folder: Path, host: str = "127.0.0.1", port: int = 8090, others: Sequence[Path] = ()
    ) -> None:
        self._server = _Server(host, port, folder, others)
        self.url, self.warning = self._server.url, self._server.warning

    def close(self) -> None:
        """Stop serving."""
        self._server.close()


class _Server(Server):
    def __init__(self, host: str, port: int, folder: Path, others: Sequence[Path]) -> None:
        self.folder = folder
        self._run, self._lock = RunState(folder), threading.Lock()
        self._others = [RunState(other) for other in others]
        self._read, self._state = -FRESH, b""
        super().__init__(host, port, _Handler)

    def state(self) -> bytes:
        """State of the run as JSON, at most a second old."""
        with self._lock:
            if time.monotonic() - self._read >= FRESH:
                others = [_curves_of(run.read()) for run in self._others]
                self._state = json.dumps({**self._run.read(), "others": others}).encode()
                self._read = time.monotonic()
            return self._state


def _curves_of(state: dict[str, Any]) -> dict[str, Any]:
    """The part of a run's state that is drawn beside another run."""
    curves = {name: state["curves"].get(name, []) for name in ("iteration", "avg_loss")}
    points = [{name: row.get(name) for name in ("iteration", "map")} for row in state["evaluations"]]
    return {"name": state["name"], "curves": curves, "evaluations": points}


class _Handler(Handler):
    server: _Server

    def answer(self, path: str) -> None:
        """Answer with the page, the state or an image."""
        name = "page.html" if path == "/" else path[1:]
        if name == "state.json":
            self._state()
        elif name in _ASSETS:
            self._send(asset(name).encode(), _KINDS[Path(name).suffix])
        elif name in IMAGES:
            self._image(name)
        else:
            self.send_error(404)

    def _state(self) -> None:
        try:
            state = self.server.state()
        except Exception as error:  # shown on the page, so that the run does not appear to have ended
            self.send_error(500, type(error).__name__)
        else:
            self._send(state, "application/json")

    def _image(self, name: str) -> None:
        try:
            body = (self.server.folder / name).read_bytes()
        except OSError:
            self.send_error(404)
        else:
            self._send(body, _KINDS[Path(name).suffix])

    def _send(self, body: bytes, kind: str) -> None:
        tag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
        if self.headers.get("If-None-Match") == tag:
            self.send_response(304)
            self.end_headers()
            return
        self.send(body, kind, ETag=tag)
