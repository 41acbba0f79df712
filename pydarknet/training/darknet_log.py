# SPDX-License-Identifier: Apache-2.0
"""What a run leaves to read: ``train.log`` in Darknet's grammar.

The log is appended to, so that history survives whatever happens; lines that were written after the last
saved state are told apart by their session.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from pydarknet.engine.darknet_files import head_line
from pydarknet.training.hooks import Hook, Step

if TYPE_CHECKING:
    from pydarknet.engine._trainer import LossReport
    from pydarknet.evaluation.evaluation import Evaluation
    from pydarknet.training.loop import Training


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
            if line := head_line(index, section.type):
                self.write(line + "\n")

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
            detecting = (report for report in mini if report.layer in training.detecting)
            lines += [self._head(training, report, step.mini) for report in detecting]
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

    def _head(self, training: Training, report: LossReport, images: int) -> str:
        section = training.cfg.layers[report.layer]
        iou = report.iou_sum / report.count if report.count else 0.0
        if section.type == "region":
            return f"Region {report.layer} Avg IOU: {iou:f}, count: {report.count}\n"
        kind = section.text("iou_loss")
        return (
            f"v3 ({kind} loss, Normalizer: (iou: {section.number('iou_normalizer'):.2f}, "
            f"obj: {section.number('obj_normalizer'):.2f}, cls: {section.number('cls_normalizer'):.2f}) "
            f"Region {report.layer} Avg (IOU: {iou:f}), count: {report.count}, "
            f"class_loss = {report.class_loss / images:f}, "
            f"iou_loss = {report.iou_loss / images:f}, total_loss = {report.total_loss / images:f} \n"
        )

    def evaluated(self, training: Training, report: Evaluation) -> None:
        """The block of ``detector map``."""
        better = training.best is None or report.map50 >= training.best
        new = "New best mAP!\n" if better and not training.doubtful else ""
        self._waiting.append(
            f"{report.darknet.text()}\n\n mean_average_precision (mAP@0.50) = {report.map50:f} \n{new}"
        )

    def note(self, text: str) -> None:
        """A line below that of the iteration."""
        self._waiting.append(f"{text}\n")

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
