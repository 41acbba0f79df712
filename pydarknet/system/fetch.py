# SPDX-License-Identifier: Apache-2.0
"""Files of web addresses, read into memory."""

from __future__ import annotations

import base64
import http.client
import re
import urllib.error
import urllib.request
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from pydarknet.errors import DarknetError, DataError

LARGEST_FILE = 1 << 30  # bytes of an image that is read into memory
TIMEOUT = 20.0  # seconds without a byte


def fetch(url: str) -> bytes:
    """The bytes of an http or https address; a name and password in it are sent as basic authentication.

    Raises:
        DataError: the server, the connection or the address failed, or the file is incomplete or
            larger than 1 GiB.
    """
    name = without_password(url)
    try:
        with open_address(_request(url), TIMEOUT, DataError) as answer:
            data: bytes = answer.read(LARGEST_FILE + 1)
            announced = answer.headers.get("Content-Length")
    except (OSError, ValueError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it holds the connection
        raise DataError(f"{name}: cannot be fetched: {error}") from None
    if len(data) > LARGEST_FILE:
        raise DataError(f"{name}: is larger than {LARGEST_FILE >> 20} MiB")
    if announced is not None and announced.isdecimal() and len(data) < int(announced):
        raise DataError(f"{name}: only {len(data)} of {announced} bytes arrived; try again")
    return data


def open_address(request: urllib.request.Request, seconds: float, error: type[DarknetError]) -> Any:
    """The response to a request; redirections are followed, but not from https to http.

    Args:
        request: the request.
        seconds: without a byte, after which it fails.
        error: raised for a redirection without encryption.
    """
    return urllib.request.build_opener(_Redirections(error)).open(request, timeout=seconds)


class _Redirections(urllib.request.HTTPRedirectHandler):
    """Redirections that keep the encryption."""

    def __init__(self, error: type[DarknetError]) -> None:
        self._error = error

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise self._error(
                f"{req.full_url}: is redirected to {without_password(newurl)}, without encryption"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _request(url: str) -> urllib.request.Request:
    request = urllib.request.Request(without_password(url))
    user, at, _ = urlsplit(url).netloc.rpartition("@")
    if at:
        name, _, password = user.partition(":")
        known = base64.b64encode(f"{unquote(name)}:{unquote(password)}".encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {known}")  # not for another server
    return request


def is_address(text: object) -> bool:
    """Whether it is text that begins with http:// or https://."""
    return isinstance(text, str) and text.lower().startswith(("http://", "https://"))


def without_password(url: str) -> str:
    """A URL for messages: without the name and password of a user."""
    return re.sub(r"(?<=://)[^/?#]*@", "", url, count=1)
