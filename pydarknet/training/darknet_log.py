# SPDX-License-Identifier: Apache-2.0
"""``train.log`` of a run, in Darknet's grammar.

The log is only appended to, so it keeps the iterations that a resumed run repeats; every session begins with
a header.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from pydarknet.engine.darknet_files import head_line
from pydarknet.runs.folder import set_aside
from pydarknet.system.text import open_text
from pydarknet.training.hooks import Hook, Step

if TYPE_CHECKING:
    from pydarknet.engine._trainer import LossReport
    from pydarknet.evaluation.evaluation import Evaluation
    from pydarknet.training.evaluator import Evaluator
    from pydarknet.training.loop import TrainingLoop


def open_to_append(path: Path) -> TextIO:
    """Open a text file to add lines, after ending a line that a crash cut short."""
    if path.is_dir():
        set_aside(path)
    file = path.open("a+b")
    with file:
        size = file.seek(0, 2)
        if size and (file.seek(-1, 2), file.read(1))[1] != b"\n":
            file.write(b"\n")
    return open_text(path, "a")


class Clock(Hook):
    """Estimates the remaining time from the mean time of this session's iterations.

    The mean includes evaluating and saving; after the last iteration the estimate is 0.

    Attributes:
        hours_left: the estimate; -1 before the first iteration.
    """

    def __init__(self) -> None:
        self.hours_left = -1.0
        self._spent, self._steps = 0.0, 0

    def after_step(self, training: TrainingLoop, step: Step) -> None:
        """Measure."""
        self._spent += step.seconds
        self._steps += 1
        self.hours_left = self._spent / self._steps * (training.config.max_batches - step.iteration) / 3600


class DarknetLog(Hook):
    """Writes ``train.log``.

    Args:
        clock: estimate of the remaining time.
        evaluator: knows the iteration of the next evaluation, and the schedule.
        echo: also print the log to standard output.
    """

    def __init__(self, clock: Clock, evaluator: Evaluator, echo: bool = False) -> None:
        self.clock, self.evaluator, self.echo = clock, evaluator, echo
        self._maps: tuple[float | None, float | None] = None, None
        self._waiting: list[str] = []  # lines that belong below that of the iteration

    def start(self, training: TrainingLoop) -> None:
        """Write the header of a session."""
        config, schedule = training.config, self.evaluator.schedule
        self._file = open_to_append(config.run.file("train.log"))
        net = config.cfg.net
        mini = net.integer("batch") // net.integer("subdivisions")
        self.write(
            f"mini_batch = {mini}, batch = {net.integer('batch')}, time_steps = 1, train = 1 \n"
            f"{config.base}\n"
            f"Weights are saved after: {schedule.save_every} iterations. "
            f"Last weights (*_last.weight) are stored every {schedule.last_every} iterations. \n"
            f"Learning Rate: {net.number('learning_rate'):g}, Momentum: {net.number('momentum'):g}, "
            f"Decay: {net.number('decay'):g}\n"
        )
        for index, section in enumerate(config.cfg.layers):
            if line := head_line(index, section.type):
                self.write(line + "\n")

    def write(self, text: str) -> None:
        """Append text."""
        self._file.write(text)
        self._file.flush()
        if self.echo:
            sys.stdout.write(text)
            sys.stdout.flush()

    def before_step(self, training: TrainingLoop) -> None:
        """Keep the mAP known now: a new one is printed below the line of its iteration."""
        self._maps = training.step.last_map, training.step.best_map

    def after_step(self, training: TrainingLoop, step: Step) -> None:
        """Append Darknet's lines of one iteration."""
        config = training.config
        lines = [f"Loaded: {step.times.get('load', 0.0):f} seconds\n"]
        for mini in step.heads:
            detecting = (report for report in mini if report.layer in config.head_layers)
            lines += [self._head(training, report, step.mini) for report in detecting]
            share = 100 * step.rewritten / step.boxes if step.boxes else 0.0
            lines.append(f" total_bbox = {step.boxes}, rewritten_bbox = {share:f} % \n")
        end, hours = config.max_batches, self.clock.hours_left
        last, best = self._maps
        maps = ""
        if best is not None and last is not None:
            maps = f" map={last:0.2f} best={best:0.2f}"
        if self.evaluator.schedule.map_every:
            lines.append(f"\n (next mAP calculation at {self.evaluator.next_map} iterations) \n")
        if best is not None and last is not None:
            lines.append(f" Last accuracy mAP@0.50 = {100 * last:2.2f} %, best = {100 * best:2.2f} % \n")
        lines.append(f"{step.iteration}/{end}: loss={step.loss:0.1f}{maps} hours left={hours:0.1f}\n")
        lines.append(
            f" {step.iteration}: {step.loss:f}, {step.avg_loss:f} avg loss, {_rate(step.rate)} rate, "
            f"{step.seconds:f} seconds, {step.images} images, {hours:f} hours left\n"
        )
        if step.skipped:
            scale = f"{step.loss_scale:g}"
            lines.append(f"Gradients overflowed in fp16: update skipped, loss scale {scale} now\n")
        self.write("".join([*lines, *self._waiting]))
        self._waiting.clear()

    def _head(self, training: TrainingLoop, report: LossReport, images: int) -> str:
        section = training.config.cfg.layers[report.layer]
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

    def evaluated(self, training: TrainingLoop, report: Evaluation) -> None:  # noqa: ARG002
        """Append the block of ``detector map``."""
        new = "New best mAP!\n" if self.evaluator.is_best(report) else ""
        self._waiting.append(
            f"{report.darknet.text()}\n\n mean_average_precision (mAP@0.50) = {report.map50:f} \n{new}"
        )

    def note(self, text: str) -> None:
        """Append a line below that of the iteration."""
        self._waiting.append(f"{text}\n")

    def saved(self, path: Path) -> None:
        """Append the path of a weights file that was written."""
        self._waiting.append(f"Saving weights to {path}\n")

    def end(self, training: TrainingLoop, reason: str) -> None:
        """Append the stop reason."""
        self.write("".join(self._waiting))
        self.write(f"Training ended at iteration {training.iteration}: {reason}\n")
        self._file.close()


def _rate(rate: float) -> str:
    """Format a rate with Darknet's six decimals, or with an exponent where these would show 0."""
    return f"{rate:f}" if rate >= 1e-4 or rate == 0 else f"{rate:.4e}"
