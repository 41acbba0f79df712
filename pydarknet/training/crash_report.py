# SPDX-License-Identifier: Apache-2.0
"""``crash.json``: facts for finding out why a training ended."""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydarknet.engine.info import info
from pydarknet.errors import FileError, NonFinite
from pydarknet.runs.outcome import reason_of
from pydarknet.system.atomic import write_text
from pydarknet.system.memory import resident_memory

if TYPE_CHECKING:
    from pydarknet.training.loop import TrainingLoop


def write_crash_report(folder: Path, error: BaseException, training: TrainingLoop | None = None) -> None:
    """Write ``crash.json``, if anything can be written at all.

    Args:
        folder: of the run.
        error: the exception that ended the training, being handled now.
        training: the loop; None if it had not been made.
    """
    step = training.step if training else None
    norm = gradient_norm(training) if training and isinstance(error, NonFinite) else None
    facts: dict[str, Any] = {
        "reason": reason_of(error),
        "error": f"{type(error).__name__}: {error}",
        "traceback": traceback.format_exc(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "iteration": training.iteration if training else None,
        "batch": [list(paths) for paths in step.paths] if step else [],
        "avg_loss": repr(step.avg_loss) if step else None,
        "losses": [[repr(h) for h in mini] for mini in step.heads] if step else [],
        "gradient_norm": repr(norm),
        "memory_bytes": resident_memory(),
        "machine": info(),
    }
    with contextlib.suppress(OSError):
        facts["disk_free_bytes"] = shutil.disk_usage(folder).free
    with contextlib.suppress(FileError):
        write_text(folder / "crash.json", json.dumps(facts, indent=1, default=str))


@contextlib.contextmanager
def reporting_crashes(folder: Path) -> Iterator[None]:
    """Write ``crash.json`` if the block, which comes before the loop, raises."""
    try:
        yield
    except BaseException as error:
        write_crash_report(folder, error)
        raise


def gradient_norm(training: TrainingLoop) -> float:
    """Euclidean norm of all gradients."""
    layers = (training.trainer.gradients(layer) for layer in range(len(training.config.cfg.layers)))
    squares = (float((a.astype(float) ** 2).sum()) for arrays in layers for a in arrays.values())
    return math.sqrt(sum(squares))
