# SPDX-License-Identifier: Apache-2.0
"""Files of web addresses, read into memory."""

from __future__ import annotations

import http.client
import urllib.request
from urllib.parse import urlsplit, urlunsplit

from pydarknet.errors import DataError

LARGEST_FILE = 1 << 30  # bytes of an image that is read into memory
TIMEOUT = 20.0  # seconds without a byte


def fetch(url: str) -> bytes:
    """The bytes of an http or https address.

    Raises:
        DataError: the server, the connection or the address failed, or the file is incomplete or
            larger than 1 GiB.
    """
    name = without_password(url)
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            data: bytes = answer.read(LARGEST_FILE + 1)
            announced = answer.headers.get("Content-Length")
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise DataError(f"{name}: cannot be fetched: {error}") from None
    if len(data) > LARGEST_FILE:
        raise DataError(f"{name}: is larger than {LARGEST_FILE >> 20} MiB")
    if announced is not None and announced.isdecimal() and len(data) < int(announced):
        raise DataError(f"{name}: only {len(data)} of {announced} bytes arrived; try again")
    return data


def is_address(text: object) -> bool:
    """Whether it is text that begins with http:// or https://."""
    return isinstance(text, str) and text.lower().startswith(("http://", "https://"))


def without_password(url: str) -> str:
    """A URL for messages: without the name and password of a user."""
    if "://" not in url or "@" not in url:
        return url
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
