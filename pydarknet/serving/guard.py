# SPDX-License-Identifier: Apache-2.0
"""Outer layer of the application: who may ask, size and speed of bodies, headers of all answers."""

from __future__ import annotations

import asyncio
import hmac
import json
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydarknet.serving.limits import BODY_RATE, BODY_SECONDS, Budget, Limits, Refused
from pydarknet.system.http_server import is_loopback

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
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]
_OPEN = ("/ping",)  # without a token: the health check of a load balancer has none
_COOKIE = "pydarknet-serve"


class Guard:
    """ASGI application around another.

    Args:
        app: the inner application.
        limits: of bodies.
        budget: of the bytes of all bodies.
        token: that a client must know; "" for none.
        private: the server listens on this machine's own address only.
        count: called with path, status code and seconds of each answer.
    """

    def __init__(
        self,
        app: App,
        limits: Limits,
        budget: Budget,
        *,
        token: str,
        private: bool,
        count: Callable[[str, int, float], None],
    ) -> None:
        self._app, self._limits, self._budget, self._count = app, limits, budget, count
        self._token, self._private = token, private

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
        host = headers.get("host", "")
        if self._private and host and not is_loopback(re.sub(r":\d*$", "", host)):
            raise Refused(
                403, "the Host header does not name this machine; --http 0.0.0.0:PORT allows others"
            )
        origin = headers.get("origin")
        if origin is not None and _place_of(origin) != host:
            raise Refused(403, "requests from pages of other sites are refused")
        if not self._token or scope["path"] in _OPEN:
            return []
        query = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if self._is_token(query):
            cookie = f"{_COOKIE}={self._token}; Path=/; HttpOnly; SameSite=Strict"
            return [(b"set-cookie", cookie.encode())]
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        if not self._is_token(bearer) and not self._is_token(_cookie(headers.get("cookie", ""))):
            raise Refused(401, "send the token of the server: Authorization: Bearer TOKEN")
        return []

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode("utf-8", "replace"), self._token.encode())


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


def _cookie(text: str) -> str:
    try:
        found = SimpleCookie(text).get(_COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""


async def refuse(error: Refused, send: Send) -> None:
    """Answer with an error as JSON."""
    body = json.dumps({"error": str(error)}).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body)), **error.headers}
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
