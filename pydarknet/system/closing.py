# SPDX-License-Identifier: Apache-2.0
"""Objects that are closed at the end of a ``with`` block."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NoReturn, SupportsIndex, TypeVar

from pydarknet.errors import ArgumentError

Self = TypeVar("Self", bound="Closing")


class Closing(ABC):
    """Base of what is a context manager and is closed at its end."""

    @abstractmethod
    def close(self) -> None:
        """Free what this holds; calling it again changes nothing."""

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    #: Way to another such object, for the message of an attempt to copy one.
    _instead = ""

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        """Refuse copies and pickles: both would free, or use without it, what this holds."""
        raise ArgumentError(f"a {type(self).__name__} cannot be copied or pickled{self._instead}")
