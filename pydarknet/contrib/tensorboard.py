# SPDX-License-Identifier: Apache-2.0
"""Hook for TensorBoard: event files in the folder of the run.

>>> pydarknet.train(config, hooks=[TensorBoard()])  # or --tensorboard; then: tensorboard --logdir runs
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydarknet.errors import MissingExtra
from pydarknet.training.hooks import Hook, Step

try:
    from tensorboardX import SummaryWriter
except ImportError:
    raise MissingExtra("tensorboardX", "tensorboard") from None

if TYPE_CHECKING:
    from pydarknet.evaluation.evaluation import Evaluation
    from pydarknet.training.loop import TrainingLoop


class TensorBoard(Hook):
    """Writes losses, rate and speed of every iteration, and the results of evaluations.

    Args:
        folder: of the event files; by default ``tensorboard`` in the folder of the run.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._writer: Any = None

    def start(self, training: TrainingLoop) -> None:
        """Create an event file; points of an earlier session beyond this iteration are hidden."""
        folder = self._folder or training.config.run.file("tensorboard")
        begin = training.iteration + 1
        # File names have a resolution of one second, and a session may be shorter.
        self._writer = SummaryWriter(str(folder), purge_step=begin, filename_suffix=f".{begin}")

    def _scalars(self, step: int, **values: float) -> None:
        for name, value in values.items():
            if not math.isfinite(value):  # e.g. precision without detections
                continue
            self._writer.add_scalar(name.replace("__", "/"), value, step)

    def after_step(self, training: TrainingLoop, step: Step) -> None:  # noqa: ARG002
        """Add a point to each training curve."""
        self._scalars(
            step.iteration,
            loss__train=step.loss,
            loss__average=step.avg_loss,
            schedule__rate=step.rate,
            speed__images_per_second=len(step.paths) / step.seconds,
        )

    def evaluated(self, training: TrainingLoop, report: Evaluation) -> None:
        """Add a point to each validation curve."""
        darknet = report.darknet
        self._scalars(
            training.iteration,
            mAP__50=report.map50,
            mAP__50_95=report.map5095,
            validation__precision=darknet.precision,
            validation__recall=darknet.recall,
            validation__f1=darknet.f1,
        )
        if training.step.val_loss:
            self._scalars(training.iteration, loss__validation=training.step.val_loss.loss)
        self._writer.flush()

    def end(self, training: TrainingLoop, reason: str) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.add_text("stop reason", reason, training.iteration)
            self._writer.close()
