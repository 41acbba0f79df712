# SPDX-License-Identifier: Apache-2.0
"""The server as a process: its socket, its signals, its start and its end."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn

from pydarknet.serving.app import facts, make_app
from pydarknet.serving.protocol import Connections
from pydarknet.serving.service import Service, Settings
from pydarknet.system.web_access import Access, listen

DRAIN_SECONDS = 25  # for requests that run at SIGTERM; SageMaker kills after 30


class InferenceServer:
    """A server with one network.

    Args:
        settings: of the server.
        host: address to listen on; ``127.0.0.1`` is this machine only.
        port: 0 chooses a free one.
        token: that clients must know; by default a random one if other machines can connect, or that of the
            environment variable ``PYDARKNET_HTTP_TOKEN``; "" for none.
        ready: called with the server when the network is loaded.

    Attributes:
        url: of the page, with the token if there is one.
        token: that clients must know; "" for none.
        warning: for the user if other machines can connect, else empty.

    Raises:
        FileError: the port is in use or not permitted.
    """

    def __init__(
        self,
        settings: Settings,
        host: str = "127.0.0.1",
        port: int = 8080,
        *,
        token: str | None = None,
        ready: Callable[[InferenceServer], None] = lambda _: None,
    ) -> None:
        self._socket = listen(host, port)
        access = Access.of(host, self._socket, token)
        self.url, self.token, self.warning = access.url, access.token, access.warning
        self._service, self._ready = Service(settings, self._on_loaded), ready
        self._failure: BaseException | None = None
        connections = Connections(settings.limits.body)
        config = uvicorn.Config(
            make_app(self._service, access),
            http=connections.protocol,  # type: ignore[arg-type]
            ws="none",
            loop="asyncio",
            lifespan="on",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
        self._server = uvicorn.Server(config)

    def run(self) -> None:
        """Serve until SIGTERM, Ctrl-C or :meth:`stop`; requests that run then are answered.

        Raises:
            KeyboardInterrupt: it was Ctrl-C.
            DarknetError: the network cannot be loaded.
        """
        try:
            with _quiet_sigterm():
                self._server.run(sockets=[self._socket])
        finally:
            self._socket.close()
            self._service.close()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """End :meth:`run`; may be called from any thread."""
        self._server.should_exit = True

    def to_json(self) -> dict[str, Any]:
        """Address, token and facts about the network."""
        return {"url": self.url, "token": self.token, "model": facts(self._service)}

    def _on_loaded(self, error: BaseException | None) -> None:
        if error is None:
            self._ready(self)
        else:
            self._failure = error
            self.stop()


@contextlib.contextmanager
def _quiet_sigterm() -> Iterator[None]:
    """SIGTERM, which uvicorn sends again after its end, does not kill the process: the work is done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
