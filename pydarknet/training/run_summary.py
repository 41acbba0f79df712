# SPDX-License-Identifier: Apache-2.0
"""What a training came to, when it ends: ``summary.json``, and the same for people."""

from __future__ import annotations

import contextlib
import csv
import json
import math
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydarknet.system.atomic import finite, write_text
from pydarknet.weights.file import read_header

if TYPE_CHECKING:
    from pydarknet.runs.folder import RunFolder
    from pydarknet.training.checkpoint import Shelf
    from pydarknet.training.loop import Training
    from pydarknet.training.monitor import Monitor

_TIME = "%Y-%m-%dT%H:%M:%S%z"


@dataclass(frozen=True)
class Saved:
    """A weights file.

    Attributes:
        kind: ``last``, ``best``, ``final``, ``ema``, or an iteration.
        path: of the file, relative to the run.
        iteration: of its weights; None if unknown.
        map50: mAP@0.5 measured at that iteration, 0..1; None if it was not measured there.
    """

    kind: str
    path: str
    iteration: int | None
    map50: float | None


@dataclass(frozen=True)
class Summary:
    """Facts about a run; all its sessions together.

    Attributes:
        stop_reason: a key of ``EXIT_CODES``.
        stop_rule: the rule that fired, with its numbers; "" if none did.
        trend: verdict of ``pydarknet log advise``: ``falling``, ``plateau``, ``overfit``, ``diverged`` or
            ``unclear``; ``trend_reason`` has the numbers behind it.
        iterations: done; ``epochs_done`` is the same in passes over the training images.
        metric: what the best was chosen by, ``best_value`` what it reached, at ``best_iteration``,
            ``best_epoch``; None without an evaluation.
        mean_epoch_s: seconds of one pass, evaluations and savings included.
        wall_s: seconds from start to end of all sessions.
        cost: ``wall_s`` at ``--price-per-hour``; None without a price.
        files: the weights.
    """

    stop_reason: str
    stop_rule: str
    trend: str
    trend_reason: str
    iterations: int
    epochs_done: float
    metric: str
    best_value: float | None
    best_iteration: int | None
    best_epoch: float | None
    mean_epoch_s: float | None
    wall_s: float
    cost: float | None
    files: list[Saved] = field(default_factory=list)

    def to_json(self) -> str:
        """The content of ``summary.json``."""
        values = {key: finite(value) for key, value in asdict(self).items()}
        return json.dumps(values, indent=1, ensure_ascii=False) + "\n"

    def to_text(self, folder: Path) -> str:
        """For people; paths begin with ``folder``."""
        lines = [
            f"{self.stop_reason} at iteration {self.iterations} ({self.epochs_done:.1f} epochs): {folder}"
        ]
        if self.stop_rule:
            lines.append(f"  stopped by {self.stop_rule}")
        if self.best_value is not None:
            lines.append(
                f"  best {self.metric} {self.best_value:.4f} at iteration {self.best_iteration}, epoch "
                f"{self.best_epoch:.1f}"
            )
        lines.append(f"  trend: {self.trend}: {self.trend_reason}")
        times = [f"{_duration(self.wall_s)} in all"]
        if self.mean_epoch_s is not None:
            times.append(f"{_duration(self.mean_epoch_s)} an epoch")
        if self.cost is not None:
            times.append(f"cost {self.cost:.2f}")
        lines.append(f"  time: {', '.join(times)}")
        width = max((len(file.kind) for file in self.files), default=0)
        for file in self.files:
            measured = "" if file.map50 is None else f"mAP@0.5 {file.map50:.2%}"
            lines.append(f"  {file.kind:{width}}  {measured:15}  {folder / file.path}")
        return "\n".join(lines)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds) // 60} min {int(seconds) % 60} s"
    hours, minutes = divmod(int(seconds) // 60, 60)
    return f"{hours} h {minutes} min"


def summarise(
    training: Training, monitor: Monitor, shelf: Shelf, reason: str, price: float | None
) -> Summary:
    """Write ``summary.json`` and return what stands there.

    Args:
        training: that has ended.
        monitor: its judge.
        shelf: where its weights are.
        reason: why it ended.
        price: of an hour.

    Raises:
        FileError: it cannot be written.
    """
    from pydarknet.logs.advice import advise
    from pydarknet.logs.load import load

    best = monitor.best
    batch = training.cfg.net.integer("batch")
    epochs = training.iteration * batch / monitor.images
    rows = _rows(training.run.file("results.csv"))
    measured = {row["iteration"]: _number(row["seconds"]) for row in rows}  # none before given weights
    wall = _wall(training.run, rows)
    advice = advise(load(training.run.file("train.log")))
    found = Summary(
        reason,
        monitor.rule,
        advice.verdict,
        advice.reason,
        training.iteration,
        epochs,
        monitor.metric,
        best.value if best else None,
        best.iteration if best else None,
        best.epoch if best else None,
        math.fsum(measured.values()) / (len(measured) * batch / monitor.images) if measured else None,
        wall,
        None if price is None else wall / 3600 * price,
        _files(training, monitor, shelf, batch),
    )
    write_text(training.run.file("summary.json"), found.to_json())
    return found


def _files(training: Training, monitor: Monitor, shelf: Shelf, batch: int) -> list[Saved]:
    maps = {point.iteration: point.map50 for point in monitor.points}
    numbers = [path.stem.rpartition("_")[2] for path in shelf.numbered_files()]
    found = []
    for kind in ["best", "last", "final", "ema", *numbers]:
        path = shelf.weights(kind)
        if path.is_file():
            iteration = read_header(path).iterations(batch)
            measured = maps.get(iteration) if kind != "ema" else None
            if kind == "best" and (best := monitor.best) and best.iteration == iteration:
                measured = best.map50  # it may be of a way that was left
            found.append(Saved(kind, str(path.relative_to(training.run.path)), iteration, measured))
    return found


def _rows(path: Path) -> list[dict[str, str]]:
    """Of ``results.csv``; of iterations that a resume did again, all."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _number(text: str | None) -> float:
    with contextlib.suppress(TypeError, ValueError):
        if math.isfinite(number := float(text)):  # type: ignore[arg-type]
            return number
    return 0.0


def _wall(run: RunFolder, rows: list[dict[str, str]]) -> float:
    """From start to end of every session; of one that was killed, its iterations."""
    total = 0.0
    for number, session in enumerate(run.read()["sessions"]):
        if "ended" in session:
            begun, ended = (datetime.strptime(session[key], _TIME) for key in ("started", "ended"))
            total += (ended - begun).total_seconds()
        else:
            total += math.fsum(_number(row["seconds"]) for row in rows if row["session"] == str(number))
    return total
