# SPDX-License-Identifier: Apache-2.0
"""How a training can end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydarknet.errors import DataError, NonFinite

if TYPE_CHECKING:
    from pydarknet.training.run_summary import Summary

#: Why a training ended, with the exit code of ``pydarknet train``.
EXIT_CODES = {
    "finished": 0,
    "nothing-to-do": 0,
    "failed": 1,
    "data-error": 3,
    "disk-error": 4,
    "non-finite": 5,
    "time-limit": 6,
    "early-stop": 7,
    "overfit-stop": 8,
    "signal": 130,
}


@dataclass(frozen=True)
class Outcome:
    """What came of a training.

    Attributes:
        reason: a key of :data:`EXIT_CODES`.
        folder: of the run.
        iteration: where it stands.
        best: best mAP@0.5 so far, 0..1; None if nothing was evaluated.
        weights: the Darknet weights files, by what they are: ``last``, ``best``, ``final``, ``ema``.
        summary: the facts, as in ``summary.json``; None if there was nothing to do.
    """

    reason: str
    folder: Path
    iteration: int
    best: float | None
    weights: dict[str, Path]
    summary: Summary | None = None


def reason_of(error: BaseException) -> str:
    """The key of :data:`EXIT_CODES` for an exception that ended a training."""
    kinds: list[tuple[type[BaseException], str]] = [
        (NonFinite, "non-finite"),
        (DataError, "data-error"),
        (OSError, "disk-error"),
        (KeyboardInterrupt, "signal"),
    ]
    return next((reason for kind, reason in kinds if isinstance(error, kind)), "failed")
