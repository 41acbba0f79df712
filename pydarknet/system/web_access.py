# SPDX-License-Identifier: Apache-2.0
"""Who may ask a web server of the project: addresses, sockets, tokens, names of this machine.

A server that other machines can reach needs a token, which its address contains. On a server of this machine
alone the Host header must name the machine: the name of another site may resolve to it, so that the scripts
of that site could read the page.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
import re
import secrets
import socket
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from pydarknet.errors import ArgumentError, FileError

#: Environment variable with the token of servers; by default each has its own, random one.
TOKEN = "PYDARKNET_HTTP_TOKEN"

#: Headers of every answer.
HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}

_BACKLOG = 128
_UNKNOWN = "send the token that the program printed: ?token=TOKEN, or the header Authorization: Bearer TOKEN"
_WARNING = "other machines can connect with the token; the connection is not encrypted"


def parse_address(text: str) -> tuple[str, int]:
    """``"8090"`` (this machine only), ``"0.0.0.0:8090"`` (all machines) or ``"[::1]:8090"`` as host and port.

    Raises:
        ArgumentError: the text has another form.
    """
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]:|([^\[\]:]+):)?(\d{1,5})", text)
    if not match or int(match[3]) > 65535:
        raise ArgumentError(
            f"found address {text!r}, expected a port (8090) or host:port (0.0.0.0:8090, [::1]:8090)"
        )
    return match[1] or match[2] or "127.0.0.1", int(match[3])


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own: ``localhost``, 127.0.0.0/8 or ``::1``."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on an address; port 0 chooses a free one.

    Raises:
        FileError: the port is taken or may not be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Only with the protocol named does asyncio set TCP_NODELAY, without which answers take 40 ms more.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or error
        raise FileError(f"cannot listen on {host}:{port}: {reason} (choose another with --http)") from None
    return listener


@dataclass(frozen=True)
class Refusal:
    """Why a client may not ask: HTTP status code and text."""

    status: int
    reason: str


@dataclass(frozen=True)
class Access:
    """Whom a server answers.

    Attributes:
        host: address it listens on.
        port: of the socket.
        token: that clients must know; "" for none.
    """

    host: str
    port: int
    token: str

    @classmethod
    def of(cls, host: str, listener: socket.socket, token: str | None = None) -> Access:
        """That of a socket; without a token, other machines need that of the environment or a random one."""
        if token is None:
            token = "" if is_loopback(host) else os.environ.get(TOKEN) or secrets.token_urlsafe(12)
        return cls(host, listener.getsockname()[1], token)

    @property
    def url(self) -> str:
        """Address of the first page, with the token if it needs one."""
        host = self.host
        shown = socket.gethostname() if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
        query = f"?token={self.token}" if self.token else ""
        return f"http://{shown}:{self.port}/{query}"

    @property
    def warning(self) -> str:
        """Text for the user if other machines need the token, else empty."""
        return _WARNING if self.token else ""

    def refusal(self, host: str | None, query: str, authorization: str, cookie: str) -> Refusal | None:
        """Why a request is refused; None if it is admitted.

        Args:
            host: its Host header; None if it has none.
            query: of its address.
            authorization: its Authorization header.
            cookie: its Cookie header.
        """
        if host is not None and is_loopback(self.host) and not is_loopback(re.sub(r":\d*$", "", host)):
            reason = "the Host header does not name this machine; --http 0.0.0.0:PORT allows others"
            return Refusal(403, reason)
        bearer = authorization.removeprefix("Bearer ")
        if not self.token or any(map(self._is_token, (_token_of(query), bearer, self._kept(cookie)))):
            return None
        return Refusal(401, _UNKNOWN)

    def cookie(self, query: str) -> str | None:
        """The Set-Cookie header of the answer to a request whose address has the token, else None."""
        if not self.token or not self._is_token(_token_of(query)):
            return None
        return f"{self.cookie_name}={self.token}; Path=/; HttpOnly; SameSite=Strict"

    @property
    def cookie_name(self) -> str:
        """Name of the cookie that keeps the token; browsers share cookies between ports."""
        return f"pydarknet-{self.port}"

    def _kept(self, cookie: str) -> str:
        try:
            found = SimpleCookie(cookie).get(self.cookie_name)
        except CookieError:
            return ""
        return found.value if found else ""

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode("utf-8", "replace"), self.token.encode())


def _token_of(query: str) -> str:
    return parse_qs(query).get("token", [""])[0]
