# SPDX-License-Identifier: Apache-2.0
"""Hooks that write weights and states, and that end a training when its time is over."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydarknet.errors import NonFinite
from pydarknet.system.atomic import finite, write_text
from pydarknet.system.notify import Notify
from pydarknet.training.hooks import Hook, Step

if TYPE_CHECKING:
    from pydarknet.evaluation.evaluation import Evaluation
    from pydarknet.training.checkpoint import CheckpointDir
    from pydarknet.training.darknet_log import DarknetLog
    from pydarknet.training.evaluator import Schedule
    from pydarknet.training.loop import TrainingLoop
    from pydarknet.training.monitor import Monitor


class CheckpointHook(Hook):
    """Writes weights and states when Darknet does, and once more at the end.

    Args:
        checkpoints: where they are written.
        schedule: when they are written.
        log: receives the paths of weights that were written.
        monitor: knows the best evaluation.
        protocol: of evaluations; saved beside the best.
        notify: receives a notice if the validation images have changed.
    """

    def __init__(
        self,
        checkpoints: CheckpointDir,
        schedule: Schedule,
        log: DarknetLog,
        monitor: Monitor,
        protocol: dict[str, Any],
        notify: Notify,
    ) -> None:
        self.checkpoints, self.schedule, self.log = checkpoints, schedule, log
        self.monitor, self.protocol, self._notify = monitor, protocol, notify
        self._saved = -1

    @property
    def _about_best(self) -> Path:
        return self.checkpoints.weights("best").with_suffix(".json")

    def start(self, training: TrainingLoop) -> None:  # noqa: ARG002
        """Report if the best was measured on other images than the next evaluations will be."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            before = json.loads(self._about_best.read_text("utf-8"))["valid"]
            if self.monitor.best and before != self.protocol["valid"]:
                self._notify(
                    f"the validation images or their labels have changed since the best was measured at "
                    f"iteration {self.monitor.best.iteration}: later results are not comparable with it"
                )

    def evaluated(self, training: TrainingLoop, report: Evaluation) -> None:  # noqa: ARG002
        """Save the best, the later of equal ones, and beside it the protocol of its evaluation."""
        if self.checkpoints.keep_best and self.monitor.is_best and (best := self.monitor.best):
            self._weights(training, "best")
            values = {"metric": self.monitor.metric, **asdict(best), "seen": training.trainer.seen}
            values = {key: finite(value) for key, value in values.items() if key != "saturated"}
            text = json.dumps({**values, **self.protocol}, indent=1) + "\n"
            write_text(self._about_best, text)

    def after_step(self, training: TrainingLoop, step: Step) -> None:
        """Save what is due."""
        training.config.run.require_lock()
        with step.timed("save"):
            if self.checkpoints.numbered and step.iteration % self.schedule.save_every == 0:
                self._weights(training, str(step.iteration))
            if step.iteration % self.schedule.last_every == 0 or step.times.get("eval"):
                self._state(training)

    def end(self, training: TrainingLoop, reason: str) -> None:
        """Save the state unless an iteration was broken off, and ``_final`` when the schedule is done."""
        if not training.step.broken and training.iteration > self._saved:
            self._state(training)
        if reason == "finished":
            self._weights(training, "final")

    def _weights(self, training: TrainingLoop, kind: str) -> None:
        training.config.run.require_lock()
        self.log.saved(self.checkpoints.save_weights(training.trainer.network, kind))

    def _state(self, training: TrainingLoop) -> None:
        training.config.run.require_lock()
        if layer := training.trainer.non_finite():
            raise NonFinite(f"iteration {training.iteration}: {layer} is not finite; nothing was saved")
        self.checkpoints.save_state(training.trainer, training.meta())
        self.log.saved(self.checkpoints.weights("last"))
        cfg = training.config.cfg
        if cfg.net.number("ema_alpha") and (ema := self.checkpoints.save_ema(training.trainer, cfg)):
            self.log.saved(ema)
        self._saved = training.iteration


class TimeLimitHook(Hook):
    """Ends a training when its time is over.

    Args:
        hours: length of this session; None for no limit.
        begun: ``time.monotonic()`` at its start.
    """

    def __init__(self, hours: float | None, begun: float) -> None:
        self._hours, self._begun = hours, begun

    def after_step(self, training: TrainingLoop, step: Step) -> None:
        """Stop if the next iteration, taking as long as this one, would end too late."""
        if self._hours is not None:
            spent = time.monotonic() - self._begun + step.seconds
            if spent >= self._hours * 3600 and training.iteration < training.config.max_batches:
                training.stop_reason = training.stop_reason or "time-limit"
