# SPDX-License-Identifier: Apache-2.0
"""``summary.json``: the outcome of a run, computed from its folder at the end of a session."""

from __future__ import annotations

import contextlib
import csv
import math
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from pydarknet.logs.advice import advise
from pydarknet.logs.load import load
from pydarknet.runs.folder import RunFolder
from pydarknet.runs.outcome import Outcome, SavedWeights
from pydarknet.system.atomic import write_text
from pydarknet.training.checkpoint import CheckpointDir
from pydarknet.training.loop import LoopConfig, TrainingLoop
from pydarknet.training.monitor import Monitor
from pydarknet.weights.file import read_header

_TIME = "%Y-%m-%dT%H:%M:%S%z"


def summarise(
    outcome: Outcome, training: TrainingLoop, monitor: Monitor, checkpoints: CheckpointDir
) -> Outcome:
    """Complete an outcome, and write ``summary.json``.

    Args:
        outcome: stop reason, iteration and weights.
        training: the loop, ended.
        monitor: its choice of the best.
        checkpoints: its weights.

    Raises:
        FileError: the file cannot be written.
    """
    config, best = training.config, monitor.best
    epoch = config.images / config.cfg.net.integer("batch")  # iterations
    rows = _rows(config.run.file("results.csv"))
    measured = {row["iteration"]: _number(row["seconds"]) for row in rows}
    wall, price = _wall(config.run, rows), config.settings.price_per_hour
    advice = advise(load(config.run.file("train.log")))
    whole = replace(
        outcome,
        stop_rule=monitor.rule,
        trend=advice.verdict,
        trend_reason=advice.reason,
        epochs_done=outcome.iteration / epoch,
        metric=monitor.metric,
        best_value=best.value if best else None,
        best_iteration=best.iteration if best else None,
        best_epoch=best.epoch if best else None,
        mean_epoch_s=math.fsum(measured.values()) / (len(measured) / epoch) if measured else None,
        wall_s=wall,
        cost=None if price is None else wall / 3600 * price,
        files=tuple(_files(config, monitor, checkpoints)),
    )
    write_text(config.run.file("summary.json"), whole.to_json())
    return whole


def _files(config: LoopConfig, monitor: Monitor, checkpoints: CheckpointDir) -> list[SavedWeights]:
    maps = {point.iteration: point.map50 for point in monitor.points}
    numbers = [path.stem.rpartition("_")[2] for path in checkpoints.numbered_files()]
    found = []
    for kind in ["best", "last", "final", "ema", *numbers]:
        path = checkpoints.weights(kind)
        if path.is_file():
            iteration = read_header(path).iterations(config.cfg.net.integer("batch"))
            measured = maps.get(iteration) if kind != "ema" else None
            if kind == "best" and (best := monitor.best) and best.iteration == iteration:
                measured = best.map50  # after a rollback, the best may not be among the points
            found.append(SavedWeights(kind, str(path.relative_to(config.run.path)), iteration, measured))
    return found


def _rows(path: Path) -> list[dict[str, str]]:
    """Read ``results.csv``, with all rows of iterations that a resumed run repeated."""
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        return list(csv.DictReader(file))


def _number(text: str | None) -> float:
    with contextlib.suppress(TypeError, ValueError):
        if math.isfinite(number := float(text)):  # type: ignore[arg-type]
            return number
    return 0.0


def _wall(run: RunFolder, rows: list[dict[str, str]]) -> float:
    """Sum the time of all sessions; of a session that was killed, that of its iterations."""
    total = 0.0
    for number, session in enumerate(run.read()["sessions"]):
        if "ended" in session:
            begun, ended = (datetime.strptime(session[key], _TIME) for key in ("started", "ended"))
            total += (ended - begun).total_seconds()
        else:
            total += math.fsum(_number(row["seconds"]) for row in rows if row["session"] == str(number))
    return total
