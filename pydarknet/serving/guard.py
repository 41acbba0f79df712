# SPDX-License-Identifier: Apache-2.0
"""Outer layer of the application: who may ask, size and speed of bodies, headers of all answers."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from pydarknet.serving.limits import BODY_RATE, BODY_SECONDS, Budget, Limits, Refused
from pydarknet.system.web_access import HEADERS, Access

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"cache-control", b"no-store"),
    *((name.lower().encode(), value.encode()) for name, value in HEADERS.items()),
]
_OPEN = ("/ping",)  # without a token: the health check of a load balancer has none


class Guard:
    """ASGI application around another.

    Args:
        app: the inner application.
        limits: of bodies.
        budget: of the bytes of all bodies.
        access: whom the server answers.
        count: called with path, status code and seconds of each answer.
    """

    def __init__(
        self,
        app: App,
        limits: Limits,
        budget: Budget,
        *,
        access: Access,
        count: Callable[[str, int, float], None],
    ) -> None:
        self._app, self._limits, self._budget, self._count = app, limits, budget, count
        self._access = access

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.monotonic()
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        extra: list[tuple[bytes, bytes]] = []

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                body.release()
                message["headers"] = [*message.get("headers", []), *_HEADERS, *extra]
                self._count(scope["path"], message["status"], time.monotonic() - start)
            await send(message)

        body = _Body(receive, self._limits.body, self._budget)
        try:
            extra += self._admit(scope, headers)
            declared = headers.get("content-length", "0")
            if not declared.isdecimal() or int(declared) > self._limits.body:
                raise _too_large(self._limits.body)
            await self._app(scope, body, dressed)
        except Refused as error:
            await refuse(error, dressed)
        finally:
            body.release()

    def _admit(self, scope: Message, headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
        """Headers for the answer to a client that may ask; raises Refused for others."""
        origin, query = headers.get("origin"), scope["query_string"].decode("latin-1")
        if origin is not None and _place_of(origin) != headers.get("host", ""):
            raise Refused(403, "requests from pages of other sites are refused")
        cookie, authorization = headers.get("cookie", ""), headers.get("authorization", "")
        refused = self._access.refusal(headers.get("host"), query, authorization, cookie)
        if refused is not None and (refused.status != 401 or scope["path"] not in _OPEN):
            raise Refused(refused.status, refused.reason)
        kept = self._access.cookie(query)
        return [] if kept is None else [(b"set-cookie", kept.encode())]


class _Body:
    """Receives a body within its limits.

    Attributes:
        taken: bytes that came.
    """

    def __init__(self, receive: Receive, most: int, budget: Budget) -> None:
        self._receive, self._most, self._budget = receive, most, budget
        self._start, self._ended = time.monotonic(), False
        self.taken = self._held = 0

    async def __call__(self) -> Message:
        """The next message of the client."""
        if self._ended:
            return await self._receive()
        allowed = self._start + BODY_SECONDS + self.taken / BODY_RATE - time.monotonic()
        try:
            message = await asyncio.wait_for(self._receive(), max(allowed, 0))
        except asyncio.TimeoutError:
            raise Refused(408, "the body came too slowly", close=True) from None
        if message["type"] == "http.request":
            self._ended = not message.get("more_body", False)
            count = len(message.get("body", b""))
            if self.taken + count > self._most:
                raise _too_large(self._most)
            self._budget.take(count)
            self.taken += count
            self._held += count
        return message

    def release(self) -> None:
        """Return its bytes to the budget: the answer begins, and needs the body no more."""
        self._budget.give(self._held)
        self._held = 0


def _too_large(most: int) -> Refused:
    return Refused(413, f"the body is too large; expected at most {most / (1 << 20):g} MiB")


def _place_of(origin: str) -> str | None:
    """Host and port of an origin; None if it is not valid."""
    try:
        return urlsplit(origin).netloc
    except ValueError:  # such as http://[
        return None


async def refuse(error: Refused, send: Send) -> None:
    """Answer with an error as JSON."""
    body = json.dumps({"error": str(error)}).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body)), **error.headers}
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
