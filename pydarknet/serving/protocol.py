# SPDX-License-Identifier: Apache-2.0
"""HTTP on one connection, with limits that uvicorn lacks: of silence, of headers, of pipelined requests, of
answers that are not read."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pydarknet.serving.limits import (
    CONNECTIONS,
    HEAD_BYTES,
    HEAD_SECONDS,
    IDLE_SECONDS,
    PIPELINED,
    SEND_RATE,
    SEND_SECONDS,
)

_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)
_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Connections:
    """Connections of a server. When all places are taken, the one that is silent for longest is ended.

    Args:
        body: bytes of a body; a client that sends much more is disconnected.
    """

    def __init__(self, body: int) -> None:
        self.most_bytes = 2 * body + HEAD_BYTES
        self.silent: dict[Connection, None] = {}  # in the order of their last answer
        self.open = 0

    def protocol(self, **options: Any) -> Connection:
        """The protocol of a new connection, as uvicorn asks for it."""
        return Connection(self, **options)

    def admit(self) -> bool:
        """Whether there is a place for one more, if need be that of a silent one."""
        if self.open < CONNECTIONS:
            return True
        if not self.silent:
            return False
        next(iter(self.silent)).end()
        return True


class Connection(HttpToolsProtocol):
    """One connection."""

    def __init__(self, connections: Connections, **options: Any) -> None:
        super().__init__(**options)
        self._all = connections
        self._timer: asyncio.TimerHandle | None = None
        self._received = 0  # bytes of the request, but for the part that came with its first byte
        self._in_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Admit it, or refuse."""
        admitted = self._all.admit()
        self._all.open += 1
        super().connection_made(transport)
        if admitted:
            self._expect(HEAD_SECONDS)
        else:
            transport.write(_BUSY)
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Free its place."""
        self._all.open -= 1
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, unless it is too much."""
        if self.transport.is_closing():
            return
        self._received += len(data)
        if self._received > self._all.most_bytes:
            self.end()
            return
        super().data_received(data)
        if self._in_head and self._received > HEAD_BYTES:
            self.transport.write(_LONG)
            self.end()

    def on_message_begin(self) -> None:
        """A request line begins."""
        self._in_head, self._received = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A request begins: it has its own time limits."""
        if len(self.pipeline) >= PIPELINED:
            raise ValueError("too many pipelined requests")  # answered with 400
        self._in_head = False
        if not self.flow.write_paused:
            self._stop_timer()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        if not self.flow.write_paused:
            self._await_request()

    def pause_writing(self) -> None:
        """Give the client time to read what fills the buffer."""
        super().pause_writing()
        self._expect(SEND_SECONDS + self.transport.get_write_buffer_size() / SEND_RATE)

    def resume_writing(self) -> None:
        """The client has read: its time for a request begins if all are answered."""
        super().resume_writing()
        self._await_request()

    def end(self) -> None:
        """End the connection at once, whatever the client has not read."""
        self._stop_timer()
        self.transport.abort()

    def _await_request(self) -> None:
        if self.pipeline or not (self.cycle is None or self.cycle.response_complete):
            self._stop_timer()
        else:
            self._expect(IDLE_SECONDS)

    def _expect(self, seconds: float) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, self.end)
        self._all.silent[self] = None

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._all.silent.pop(self, None)
