# SPDX-License-Identifier: Apache-2.0
"""The hooks that write weights and states, and that end a training in time."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydarknet.errors import NonFinite
from pydarknet.system.atomic import finite, write_text
from pydarknet.training.hooks import Hook, Step

if TYPE_CHECKING:
    from pydarknet.evaluation.evaluation import Evaluation
    from pydarknet.runs.config import TrainConfig
    from pydarknet.training.checkpoint import Shelf
    from pydarknet.training.darknet_log import Log
    from pydarknet.training.loop import Training
    from pydarknet.training.monitor import Monitor
    from pydarknet.training.prepare import Say


class Saver(Hook):
    """Writes weights and states at the times that Darknet does, and once more at the end."""

    def __init__(self, shelf: Shelf, log: Log, monitor: Monitor, protocol: dict[str, Any], say: Say) -> None:
        self.shelf, self.log, self.monitor, self.protocol = shelf, log, monitor, protocol
        self._say = say
        self._saved = -1

    @property
    def _about_best(self) -> Path:
        return self.shelf.weights("best").with_suffix(".json")

    def start(self, training: Training) -> None:  # noqa: ARG002
        """Say if the best was measured on other images than the next evaluations will be."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            before = json.loads(self._about_best.read_text("utf-8"))["valid"]
            if self.monitor.best and before != self.protocol["valid"]:
                self._say(
                    f"the validation images or their labels have changed since the best was measured at "
                    f"iteration {self.monitor.best.iteration}: what comes cannot be compared with it"
                )

    def evaluated(self, training: Training, report: Evaluation) -> None:  # noqa: ARG002
        """Keep the best; of equal ones the later.  What it is the best of stands beside it."""
        if self.shelf.keep_best and self.monitor.is_best and (best := self.monitor.best):
            self._weights(training, "best")
            told = {"metric": self.monitor.metric, **asdict(best), "seen": training.network.seen}
            told = {key: finite(value) for key, value in told.items() if key != "saturated"}
            text = json.dumps({**told, **self.protocol}, indent=1) + "\n"
            write_text(self._about_best, text)

    def after_step(self, training: Training, step: Step) -> None:
        """Save what is due."""
        with training.timed("save"):
            if self.shelf.numbered and step.iteration % training.save_every == 0:
                self._weights(training, str(step.iteration))
            if step.iteration % training.last_every == 0 or step.times.get("eval"):
                self._state(training)

    def end(self, training: Training, reason: str) -> None:
        """Save the state unless an iteration was broken off, and ``_final`` when the schedule is done."""
        if training.sound and training.iteration > self._saved:
            self._state(training)
        if reason == "finished":
            self._weights(training, "final")

    def _weights(self, training: Training, kind: str) -> None:
        self.log.saved(self.shelf.save_weights(training.network, kind))

    def _state(self, training: Training) -> None:
        if layer := training.network.non_finite():
            raise NonFinite(f"iteration {training.iteration}: {layer} is not finite; nothing was saved")
        self.shelf.save_state(training.network, training.meta())
        self.log.saved(self.shelf.weights("last"))
        if training.cfg.net.number("ema_alpha") and (
            ema := self.shelf.save_ema(training.network, training.cfg)
        ):
            self.log.saved(ema)
        self._saved = training.iteration


class Limits(Hook):
    """Ends a training when its time is over.

    Args:
        config: the settings.
        begun: ``time.monotonic()`` of the start of this session.
    """

    def __init__(self, config: TrainConfig, begun: float) -> None:
        self.config, self._begun = config, begun

    def after_step(self, training: Training, step: Step) -> None:
        """Stop before the time is over, if the next iteration would take as long as this one."""
        if self.config.max_hours is not None:
            spent = time.monotonic() - self._begun + step.seconds
            if spent >= self.config.max_hours * 3600 and training.iteration < training.max_batches:
                training.stop_reason = training.stop_reason or "time-limit"
