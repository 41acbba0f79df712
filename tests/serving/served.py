# SPDX-License-Identifier: Apache-2.0
"""A server that runs in this process, as tests see it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx

from pydarknet.serving.server import InferenceServer
from pydarknet.serving.service import Settings


@dataclass(frozen=True)
class Served:
    """A running server and a client of it."""

    server: InferenceServer
    client: httpx.Client

    @property
    def address(self) -> tuple[str, int]:
        url = self.client.base_url
        return url.host, int(url.port or 0)

    def detect(self, image: bytes, **more: Any) -> httpx.Response:
        return self.client.post("/invocations", content=image, **more)


Serve = Callable[..., Served]


def start(stack: ExitStack, settings: Settings, token: str = "", *, loading: bool = True) -> Served:
    """Start a server that ends with the stack; ``loading`` waits for its network."""
    loaded = threading.Event()
    server = InferenceServer(settings, port=0, token=token, ready=lambda _: loaded.set())
    thread = threading.Thread(target=server.run)
    thread.start()
    stack.callback(thread.join)
    stack.callback(server.stop)
    url = server.url.partition("?")[0]
    client = stack.enter_context(httpx.Client(base_url=url, timeout=20, trust_env=False))
    assert not loading or loaded.wait(20)
    return Served(server, client)


def wait(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds; fails after a minute, also on a machine that is busy."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "never happened"
        time.sleep(0.01)
