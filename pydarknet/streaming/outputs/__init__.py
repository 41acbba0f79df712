# SPDX-License-Identifier: Apache-2.0
"""Outputs of results: text files, images, videos, a window, a web page.

An :class:`Output` receives every result in turn and is closed at the end, also after Ctrl-C or an error, so
that the results up to then are kept. Files appear complete at the close, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from pydarknet.streaming.result import Result

#: Returns the annotated image of a result; drawn at the first call.
Drawn: TypeAlias = Callable[[], Any]


class Output(Protocol):
    """Receiver of results."""

    def write(self, result: Result, drawn: Drawn) -> None:
        """Write one result; ``drawn()`` is its image with boxes, (h, w, 3) uint8, blue first."""

    def close(self) -> str:
        """Finish; returns a line that names the written files, or ``""``."""
