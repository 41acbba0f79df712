# SPDX-License-Identifier: Apache-2.0
"""Outcome of a training: stop reason, best evaluation, weights, time; the content of ``summary.json``."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pydarknet.errors import DataError, NonFinite
from pydarknet.system import html
from pydarknet.system.atomic import finite

#: Stop reasons of a training, with the exit code of ``pydarknet train``.
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
class SavedWeights:
    """A weights file of a run.

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
class Outcome:
    """Outcome of a training; all its sessions together.

    Attributes:
        reason: a key of :data:`EXIT_CODES`.
        folder: of the run.
        iteration: number of updates done.
        best: highest mAP@0.5, 0..1; None if nothing was evaluated.
        weights: the Darknet weights files by kind: ``last``, ``best``, ``final``, ``ema``.
        stop_rule: description of the rule that ended the training; "" if none did.
        trend: verdict of ``pydarknet log advise``: ``falling``, ``plateau``, ``overfit``, ``diverged`` or
            ``unclear``; "" if nothing was trained.
        trend_reason: the numbers behind the trend.
        epochs_done: passes over the training images; None if nothing was trained.
        metric: the metric by which the best was chosen.
        best_value: highest value of the metric (lowest of ``val_loss``); None without an evaluation.
        best_iteration: iteration of the best value.
        best_epoch: the same in epochs.
        mean_epoch_s: seconds of one epoch, evaluating and saving included.
        wall_s: seconds from start to end of all sessions.
        cost: of ``wall_s`` at ``--price-per-hour``; None without a price.
        files: all weights files.
    """

    reason: str
    folder: Path
    iteration: int
    best: float | None
    weights: dict[str, Path]
    stop_rule: str = ""
    trend: str = ""
    trend_reason: str = ""
    epochs_done: float | None = None
    metric: str = ""
    best_value: float | None = None
    best_iteration: int | None = None
    best_epoch: float | None = None
    mean_epoch_s: float | None = None
    wall_s: float = 0.0
    cost: float | None = None
    files: tuple[SavedWeights, ...] = ()

    def to_json(self) -> str:
        """Content of ``summary.json``."""
        values = {key: finite(value) for key, value in asdict(self).items()}
        for key in ("folder", "best", "weights"):
            del values[key]
        named = {"stop_reason": values.pop("reason"), "iterations": values.pop("iteration"), **values}
        return json.dumps(named, indent=1, ensure_ascii=False) + "\n"

    def _repr_html_(self) -> str:
        """The outcome and the chart of the run, for notebooks."""
        return html.titled(f"training: {self.reason}", html.lines(self.to_text()), _chart(self.folder))

    def to_text(self) -> str:
        """Format for people."""
        if self.epochs_done is None:
            return f"{self.reason} at iteration {self.iteration}: {self.folder}"
        lines = [
            f"{self.reason} at iteration {self.iteration} ({self.epochs_done:.1f} epochs): {self.folder}"
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
            lines.append(f"  {file.kind:{width}}  {measured:15}  {self.folder / file.path}")
        return "\n".join(lines)


def _chart(folder: Path) -> str:
    """The plot of the run as an image of a page; empty if there is none."""
    try:
        return html.png((folder / "chart.png").read_bytes(), "loss and mAP of the run")
    except OSError:
        return ""


def reason_of(error: BaseException) -> str:
    """Map an exception that ended a training to a key of :data:`EXIT_CODES`."""
    kinds: list[tuple[type[BaseException], str]] = [
        (NonFinite, "non-finite"),
        (DataError, "data-error"),
        (OSError, "disk-error"),
        (KeyboardInterrupt, "signal"),
    ]
    return next((reason for kind, reason in kinds if isinstance(error, kind)), "failed")


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds) // 60} min {int(seconds) % 60} s"
    hours, minutes = divmod(int(seconds) // 60, 60)
    return f"{hours} h {minutes} min"
