# SPDX-License-Identifier: Apache-2.0
"""What a run leaves to read: ``train.log`` in Darknet's grammar, tables, and the chart made of them.

All are appended to, so that history survives whatever happens; lines that were written after the last
saved state are told apart by their session.
"""

from __future__ import annotations

import csv
import json
import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from pydarknet.machine import resident_memory
from pydarknet.training.hooks import Hook, Step

if TYPE_CHECKING:
    from pydarknet.metrics.evaluation import Evaluation
    from pydarknet.training.loop import Training

HEAD_TYPES = {"yolo": 28, "region": 27, "Gaussian_yolo": 29}
CHART_EVERY = 60.0  # seconds between drawings of the chart, at least
CHART_SHARE = 50  # drawing takes at most 1/50 of the time

COLUMNS = (
    "session",
    "iteration",
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
    "load",
    "compute",
    "update",
    "eval",
    "save",
    "rss_mb",
    "hours_left",
    "map",
    "best_map",
)


def open_to_append(path: Path) -> TextIO:
    """Open a text to add lines; one that a crash cut short is ended first."""
    file = path.open("a+b")
    with file:
        size = file.seek(0, 2)
        if size and (file.seek(-1, 2), file.read(1))[1] != b"\n":
            file.write(b"\n")
    return path.open("a", encoding="utf-8", newline="")


class Clock(Hook):
    """How long the training will still take: from the mean time of this session's iterations.

    Evaluations and savings are in that mean, which keeps it honest; after the last iteration it is 0.
    """

    def __init__(self) -> None:
        self.hours_left = -1.0
        self._spent, self._steps = 0.0, 0

    def after_step(self, training: Training, step: Step) -> None:
        """Measure."""
        self._spent += step.seconds
        self._steps += 1
        self.hours_left = self._spent / self._steps * (training.max_batches - step.iteration) / 3600


class Log(Hook):
    """``train.log``, and the same on standard output if ``echo`` is set.

    Args:
        clock: the estimate of the remaining time.
        echo: print what is written.
    """

    def __init__(self, clock: Clock, echo: bool = False) -> None:
        self.clock, self.echo = clock, echo
        self._maps: tuple[float | None, float | None] = None, None
        self._waiting: list[str] = []  # what belongs below the line of an iteration

    def start(self, training: Training) -> None:
        """Write what Darknet writes at its start, which also marks a new session."""
        self._file = open_to_append(training.run.file("train.log"))
        net = training.cfg.net
        mini = net.integer("batch") // net.integer("subdivisions")
        self.write(
            f"mini_batch = {mini}, batch = {net.integer('batch')}, time_steps = 1, train = 1 \n"
            f"{training.base}\n"
            f"Weights are saved after: {training.save_every} iterations. "
            f"Last weights (*_last.weight) are stored every {training.last_every} iterations. \n"
            f"Learning Rate: {net.number('learning_rate'):g}, Momentum: {net.number('momentum'):g}, "
            f"Decay: {net.number('decay'):g}\n"
        )
        for index, section in enumerate(training.cfg.layers):
            if section.type in HEAD_TYPES:
                self.write(f" Detection layer: {index} - type = {HEAD_TYPES[section.type]} \n")

    def write(self, text: str) -> None:
        """Add text."""
        self._file.write(text)
        self._file.flush()
        if self.echo:
            sys.stdout.write(text)
            sys.stdout.flush()

    def before_step(self, training: Training) -> None:
        """Keep the mAP known now: a new one is printed below the line of its iteration."""
        self._maps = training.last_map, training.best

    def after_step(self, training: Training, step: Step) -> None:
        """Darknet's lines of one iteration."""
        lines = [f"Loaded: {step.times.get('load', 0.0):f} seconds\n"]
        for mini in step.heads:
            lines += [self._head(training, report) for report in mini if report.layer in training.detecting]
            share = 100 * training.rewritten / training.boxes if training.boxes else 0.0
            lines.append(f" total_bbox = {training.boxes}, rewritten_bbox = {share:f} % \n")
        end, hours = training.max_batches, self.clock.hours_left
        last, best = self._maps
        maps = ""
        if best is not None and last is not None:
            maps = f" map={last:0.2f} best={best:0.2f}"
        if training.map_every:
            lines.append(f"\n (next mAP calculation at {training.next_map} iterations) \n")
        if best is not None and last is not None:
            lines.append(f" Last accuracy mAP@0.50 = {100 * last:2.2f} %, best = {100 * best:2.2f} % \n")
        lines.append(f"{step.iteration}/{end}: loss={step.loss:0.1f}{maps} hours left={hours:0.1f}\n")
        lines.append(
            f" {step.iteration}: {step.loss:f}, {step.avg_loss:f} avg loss, {_rate(step.rate)} rate, "
            f"{step.seconds:f} seconds, {step.images} images, {hours:f} hours left\n"
        )
        self.write("".join([*lines, *self._waiting]))
        self._waiting.clear()

    def _head(self, training: Training, report: Any) -> str:
        section = training.cfg.layers[report.layer]
        iou = report.iou_sum / report.count if report.count else 0.0
        if section.type == "region":
            return f"Region {report.layer} Avg IOU: {iou:f}, count: {report.count}\n"
        kind = section.text("iou_loss")
        return (
            f"v3 ({kind} loss, Normalizer: (iou: {section.number('iou_normalizer'):.2f}, "
            f"obj: {section.number('obj_normalizer'):.2f}, cls: {section.number('cls_normalizer'):.2f}) "
            f"Region {report.layer} Avg (IOU: {iou:f}), count: {report.count}, "
            f"class_loss = {report.class_loss:f}, iou_loss = {report.iou_loss:f}, "
            f"total_loss = {report.total_loss:f} \n"
        )

    def evaluated(self, training: Training, report: Evaluation) -> None:
        """The block of ``detector map``."""
        new = "New best mAP!\n" if training.best is None or report.map50 >= training.best else ""
        self._waiting.append(
            f"{report.darknet.text()}\n\n mean_average_precision (mAP@0.50) = {report.map50:f} \n{new}"
        )

    def saved(self, path: Path) -> None:
        """A weights file was written."""
        self._waiting.append(f"Saving weights to {path}\n")

    def end(self, training: Training, reason: str) -> None:
        """Say why."""
        self.write("".join(self._waiting))
        self.write(f"Training ended at iteration {training.iteration}: {reason}\n")
        self._file.close()


def _rate(rate: float) -> str:
    """Darknet's six decimals, and more where they would show 0: burn-in looks broken otherwise."""
    return f"{rate:f}" if rate >= 1e-4 or rate == 0 else f"{rate:.4e}"


class Tables(Hook):
    """``results.csv`` and ``results.jsonl``: one row for each iteration."""

    def __init__(self, clock: Clock, session: int) -> None:
        self.clock, self.session = clock, session

    def start(self, training: Training) -> None:
        """Open both, with a header where there is none."""
        path = training.run.file("results.csv")
        fresh = not path.exists() or not path.stat().st_size
        self._csv, self._json = open_to_append(path), open_to_append(training.run.file("results.jsonl"))
        self._writer = csv.DictWriter(self._csv, COLUMNS, extrasaction="ignore", lineterminator="\n")
        if fresh:
            self._writer.writeheader()

    def after_step(self, training: Training, step: Step) -> None:
        """Add the row."""
        row = self._row(training, step)
        self._writer.writerow({k: "" if v is None else v for k, v in row.items()})
        finite = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
        self._json.write(json.dumps(finite) + "\n")
        self._csv.flush()
        self._json.flush()

    def _row(self, training: Training, step: Step) -> dict[str, Any]:
        reports = [report for mini in step.heads for report in mini]
        minis = max(len(step.heads), 1)
        count = sum(report.count for report in reports)
        row: dict[str, Any] = {
            "session": self.session,
            "iteration": step.iteration,
            "loss": step.loss,
            "avg_loss": step.avg_loss,
            "class_loss": sum(r.class_loss for r in reports) / minis,
            "iou_loss": sum(r.iou_loss for r in reports) / minis,
            "rate": step.rate,
            "iou": sum(r.iou_sum for r in reports) / count if count else None,
            "count": count,
            "images": step.images,
            "images_per_second": len(step.paths) / step.seconds if step.seconds else None,
            "width": step.size[0],
            "height": step.size[1],
            "seconds": step.seconds,
            **{name: step.times.get(name, 0.0) for name in ("load", "compute", "update", "eval", "save")},
            "rss_mb": (resident_memory() or 0) / 2**20,
            "hours_left": self.clock.hours_left,
            "map": training.last_map if step.times.get("eval") else None,
            "best_map": training.best,
            "heads": {},
        }
        for layer in sorted({report.layer for report in reports}):
            mine = [report for report in reports if report.layer == layer]
            row["heads"][str(layer)] = {
                key: sum(getattr(r, key) for r in mine) / (1 if key == "count" else minis)
                for key in ("cost", "class_loss", "iou_loss", "total_loss", "count")
            }
        return row

    def end(self, training: Training, reason: str) -> None:  # noqa: ARG002
        """Close both."""
        self._csv.close()
        self._json.close()


class Chart(Hook):
    """``chart.png``, drawn anew from the table now and then."""

    def __init__(self) -> None:
        self._next, self._drawn = time.monotonic() + CHART_EVERY, -1

    def after_step(self, training: Training, step: Step) -> None:  # noqa: ARG002
        """Draw if the last drawing is long enough ago."""
        if time.monotonic() >= self._next:
            self._draw(training)

    def end(self, training: Training, reason: str) -> None:  # noqa: ARG002
        """Draw the whole."""
        if training.iteration:
            self._draw(training)

    def _draw(self, training: Training) -> None:
        from pydarknet.logs.load import load
        from pydarknet.logs.plot import chart

        begun = time.monotonic()
        log = load(training.run.file("train.log"))
        if log.iterations:
            chart(log, training.run.file("chart.png"), title=training.base)
        now = time.monotonic()
        self._next = now + max(CHART_EVERY, CHART_SHARE * (now - begun))
