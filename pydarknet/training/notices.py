# SPDX-License-Identifier: Apache-2.0
"""Notices of a training session."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydarknet.system.notify import Notify


@dataclass(frozen=True)
class Notices:
    """Notices of a session: passed on to the user, and kept for ``run.json``.

    Attributes:
        show: passes text on without keeping it.
        kept: the notices so far.
        changes: those about inputs that differ from the last session's.
    """

    show: Notify
    kept: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)

    def __call__(self, text: str) -> None:
        """Pass on and keep a notice."""
        self.kept.append(text)
        self.show(text)

    def changed(self, text: str) -> None:
        """Pass on and keep a notice about a changed input."""
        self.changes.append(text)
        self(text)
