# SPDX-License-Identifier: Apache-2.0
"""``crash.json``: what somebody needs to find out why a training ended."""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydarknet.engine.info import info
from pydarknet.errors import FileError
from pydarknet.system.atomic import write_text
from pydarknet.system.memory import resident_memory

if TYPE_CHECKING:
    from pydarknet.training.loop import Training


def last_words(
    folder: Path, error: BaseException, reason: str, training: Training | None, gradient_norm: float | None
) -> None:
    """Write them, if anything can be written at all.

    Args:
        folder: of the run.
        error: what ended it, being handled now.
        reason: a key of ``pydarknet.training.EXIT_CODES``.
        training: as far as it came.
        gradient_norm: at the end, if it was asked for.
    """
    step = training.step if training else None
    words: dict[str, Any] = {
        "reason": reason,
        "error": f"{type(error).__name__}: {error}",
        "traceback": traceback.format_exc(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "iteration": training.iteration if training else None,
        "batch": [list(paths) for paths in step.paths] if step else [],
        "avg_loss": repr(training.avg_loss) if training else None,
        "losses": [[repr(h) for h in mini] for mini in step.heads] if step else [],
        "gradient_norm": repr(gradient_norm),
        "memory_bytes": resident_memory(),
        "machine": info(),
    }
    with contextlib.suppress(OSError):
        words["disk_free_bytes"] = shutil.disk_usage(folder).free
    with contextlib.suppress(FileError):
        write_text(folder / "crash.json", json.dumps(words, indent=1, default=str))


def gradient_norm(training: Training) -> float:
    """Of all gradients that stand now."""
    layers = (training.network.gradients(layer) for layer in range(len(training.cfg.layers)))
    squares = (float((a.astype(float) ** 2).sum()) for arrays in layers for a in arrays.values())
    return math.sqrt(sum(squares))
