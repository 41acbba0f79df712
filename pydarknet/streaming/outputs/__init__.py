# SPDX-License-Identifier: Apache-2.0
"""Where results go: files of records, pictures, films, a window, a web page.

An :class:`Output` is given every result in turn and is closed at the end, also after Ctrl-C or an error: what
was found until then is worth keeping. Files appear complete at the close, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import numpy.typing as npt

from pydarknet.streaming.result import Result

Picture: TypeAlias = npt.NDArray[Any]
#: Gives the annotated picture of a result; drawn when first asked for.
Drawn: TypeAlias = Callable[[], Any]


class Output(Protocol):
    """Takes results."""

    def write(self, result: Result, drawn: Drawn) -> None:
        """Take one result; ``drawn()`` is its picture with the boxes in it, (h, w, 3) uint8."""

    def close(self) -> str:
        """Finish; returns a line that says what was written where, or ``""``."""
