# SPDX-License-Identifier: Apache-2.0
"""Tables of a run: a row for each iteration, and the results of evaluations.

Rows are only appended, so the tables keep the iterations that a resumed run repeats; the column ``session``
distinguishes them.
"""

from __future__ import annotations

import csv
import json
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydarknet.runs.folder import set_aside
from pydarknet.system import usage
from pydarknet.system.atomic import finite, replacing, write_text
from pydarknet.system.notify import Notify
from pydarknet.system.text import open_text
from pydarknet.training.darknet_log import open_to_append
from pydarknet.training.hooks import Hook, Step

if TYPE_CHECKING:
    from pydarknet.evaluation.evaluation import Evaluation
    from pydarknet.training.darknet_log import Clock
    from pydarknet.training.loop import TrainingLoop
    from pydarknet.training.monitor import Monitor

#: Of an iteration; their sum is ``seconds``.
TIMES = ("load", "compute", "exchange", "update", "eval", "save", "other")
MEASURED = ("map", "map5095", "fitness", "precision", "recall", "f1")
LOSSES = ("val_loss", "val_class_loss", "val_iou_loss")

COLUMNS = (
    "session",
    "iteration",
    "epoch",
    "loss",
    "avg_loss",
    "class_loss",
    "iou_loss",
    "rate",
    "iou",
    "count",
    "images",
    "images_per_second",
    "width",
    "height",
    "seconds",
    *TIMES,
    "stall",
    *usage.COLUMNS,
    "hours_left",
    *MEASURED,
    *LOSSES,
    "best_map",
)


class Stall:
    """Share of the time of the last iterations that the network waited for images."""

    def __init__(self, window: int = 100) -> None:
        self._times: deque[tuple[float, float]] = deque(maxlen=window)

    def add(self, step: Step) -> float:
        """Add an iteration, without its evaluation and saving; returns the share, 0..1."""
        waited = step.times.get("load", 0.0)
        self._times.append((waited, waited + step.times.get("compute", 0.0) + step.times.get("update", 0.0)))
        whole = sum(times[1] for times in self._times)
        return sum(times[0] for times in self._times) / whole if whole else 0.0

    def __len__(self) -> int:
        return len(self._times)


class Tables(Hook):
    """``results.csv`` and ``results.jsonl``: one row for each iteration.

    Args:
        clock: estimate of the remaining time.
        gpu: number of the GPU whose use is recorded.
    """

    def __init__(self, clock: Clock, gpu: int = 0) -> None:
        self.clock = clock
        self._stall, self._resources = Stall(), usage.Resources(gpu)
        self._measured: dict[str, float | None] = {}

    def start(self, training: TrainingLoop) -> None:
        """Open both, and write a header where there is none."""
        run = training.config.run
        self._session, path = len(run.read()["sessions"]) - 1, run.file("results.csv")
        fresh = _ready(path)
        self._csv, self._json = open_to_append(path), open_to_append(run.file("results.jsonl"))
        self._writer = csv.DictWriter(self._csv, COLUMNS, extrasaction="ignore", lineterminator="\n")
        if fresh:
            self._writer.writeheader()

    def evaluated(self, training: TrainingLoop, report: Evaluation) -> None:
        """Keep the results for the row of this iteration."""
        darknet, loss = report.darknet, training.step.val_loss
        numbers = (
            report.map50,
            report.map5095,
            report.fitness,
            darknet.precision,
            darknet.recall,
            darknet.f1,
        )
        self._measured = dict(zip(MEASURED, numbers, strict=True))
        if loss:
            losses = (loss.loss, loss.class_loss, loss.iou_loss)
            self._measured |= dict(zip(LOSSES, losses, strict=True))

    def after_step(self, training: TrainingLoop, step: Step) -> None:
        """Append the row."""
        row = self._row(training, step)
        self._measured = {}
        self._writer.writerow({k: "" if v is None else v for k, v in row.items()})
        self._json.write(json.dumps({k: finite(v) for k, v in row.items()}) + "\n")
        self._csv.flush()
        self._json.flush()

    def _row(self, training: TrainingLoop, step: Step) -> dict[str, Any]:
        reports = [report for mini in step.heads for report in mini]
        images = max(len(step.heads), 1) * step.mini
        count = sum(report.count for report in reports)
        row: dict[str, Any] = {
            "session": self._session,
            "iteration": step.iteration,
            "epoch": step.images / training.config.images,
            "loss": step.loss,
            "avg_loss": step.avg_loss,
            "class_loss": sum(r.class_loss for r in reports) / images,
            "iou_loss": sum(r.iou_loss for r in reports) / images,
            "rate": step.rate,
            "iou": sum(r.iou_sum for r in reports) / count if count else None,
            "count": count,
            "images": step.images,
            "images_per_second": len(step.paths) / step.seconds if step.seconds else None,
            "width": step.size[0],
            "height": step.size[1],
            "seconds": step.seconds,
            **{name: step.times.get(name, 0.0) for name in TIMES},
            "stall": self._stall.add(step),
            **self._resources.sample(),
            "hours_left": self.clock.hours_left,
            **{name: self._measured.get(name) for name in (*MEASURED, *LOSSES)},
            "best_map": step.best_map,
            "heads": {},
        }
        if step.loss_scale:
            row |= {"loss_scale": step.loss_scale, "skipped": step.skipped}
        if step.workers:
            row["workers"] = step.workers
        for layer in sorted({report.layer for report in reports}):
            mine = [report for report in reports if report.layer == layer]
            row["heads"][str(layer)] = {
                key: sum(getattr(r, key) for r in mine) / (1 if key == "count" else images)
                for key in ("cost", "class_loss", "iou_loss", "total_loss", "count")
            }
        return row

    def end(self, training: TrainingLoop, reason: str) -> None:  # noqa: ARG002
        """Close both."""
        self._csv.close()
        self._json.close()


def _ready(path: Path) -> bool:
    """Whether the table needs a header; a table of another version gets today's columns."""
    if not path.exists() or not path.stat().st_size:
        return True
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) == COLUMNS:
                return False
            if "iteration" not in (reader.fieldnames or ()):
                raise ValueError("has no column of iterations")
            rows = list(reader)
    except (IsADirectoryError, ValueError, csv.Error):
        set_aside(path)
        return True
    with replacing(path) as temporary, open_text(temporary) as file:
        writer = csv.DictWriter(file, COLUMNS, restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return False


HEADER = (
    f"{'iteration':>9} {'epoch':>7} {'loss':>9} {'val loss':>9} {'mAP50':>7} {'mAP50-95':>8} "
    f"{'precision':>9} {'recall':>7} {'F1':>6} {'seconds':>8}"
)
HEADER_EVERY = 20  # lines


class Evaluations(Hook):
    """Writes ``evaluation.json`` and ``evaluation_best.json``; shows each evaluation as a line of a table.

    Args:
        monitor: knows the best evaluation.
        show: receives the lines.
    """

    def __init__(self, monitor: Monitor, show: Notify) -> None:
        self.monitor, self._show = monitor, show
        self._rows = 0
        self._report: Evaluation | None = None

    def evaluated(self, training: TrainingLoop, report: Evaluation) -> None:
        """Write the newest evaluation, and the best if it is that."""
        self._report = report
        newest = self.monitor.points[-1]
        loss = training.step.val_loss
        values: dict[str, Any] = {
            "iteration": newest.iteration,
            "epoch": newest.epoch,
            "metric": self.monitor.metric,
            "value": finite(newest.value),
            "best": self.monitor.is_best,
            "saturated": newest.saturated,
            "train_loss": finite(newest.train_loss),
            **dict.fromkeys(LOSSES),
        }
        if loss:
            values |= dict(zip(LOSSES, (loss.loss, loss.class_loss, loss.iou_loss), strict=True))
        text = (
            json.dumps({**values, **report.to_dict()}, indent=1) + "\n"
        )  # ASCII: a class name may be invalid Unicode
        write_text(training.config.run.file("evaluation.json"), text)
        if self.monitor.is_best:
            write_text(training.config.run.file("evaluation_best.json"), text)

    def after_step(self, training: TrainingLoop, step: Step) -> None:  # noqa: ARG002
        """Show the line; the time of the evaluation is known now."""
        if self._report is None:
            return
        report, newest = self._report.darknet, self.monitor.points[-1]
        if self._rows % HEADER_EVERY == 0:
            self._show(HEADER)
        self._rows += 1
        mark = "  best" if self.monitor.is_best else "  saturated" if newest.saturated else ""
        self._show(
            f"{newest.iteration:9} {newest.epoch:7.1f} {newest.train_loss:9.4g} {newest.val_loss:9.4g} "
            f"{newest.map50:7.2%} {newest.map5095:8.2%} {report.precision:9.3f} {report.recall:7.3f} "
            f"{report.f1:6.3f} {step.times.get('eval', 0.0):8.1f}{mark}"
        )
        self._report = None
