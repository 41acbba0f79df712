# SPDX-License-Identifier: Apache-2.0
"""The hooks that write weights and states, and that end a training early."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pydarknet.errors import NonFinite
from pydarknet.training.hooks import Hook, Step

if TYPE_CHECKING:
    from pydarknet.metrics.evaluation import Evaluation
    from pydarknet.training.checkpoint import Shelf
    from pydarknet.training.config import TrainConfig
    from pydarknet.training.loop import Training
    from pydarknet.training.report import Log


class Saver(Hook):
    """Writes weights and states at the times that Darknet does, and once more at the end."""

    def __init__(self, shelf: Shelf, config: TrainConfig, log: Log) -> None:
        self.shelf, self.config, self.log = shelf, config, log
        self._saved = -1

    def evaluated(self, training: Training, result: Evaluation) -> None:
        """Keep the best; of equal ones the later."""
        if self.shelf.keep_best and (training.best is None or result.map50 >= training.best):
            self._weights(training, "best")

    def after_step(self, training: Training, step: Step) -> None:
        """Save what is due."""
        with training.timed("save"):
            if self.shelf.numbered and step.iteration % training.save_every == 0:
                self._weights(training, str(step.iteration))
            if step.iteration % training.last_every == 0 or step.times.get("eval"):
                self._state(training)
        training.run.beat()

    def end(self, training: Training, reason: str) -> None:
        """Save the state if the network is as it should be, and ``_final`` when the schedule is done."""
        if reason in ("finished", "early-stop", "time-limit", "signal") and training.iteration > self._saved:
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
        if ema := self.shelf.save_ema(training.network, training.cfg):
            self.log.saved(ema)
        self._saved = training.iteration


class Limits(Hook):
    """Ends a training when its time is over or mAP stopped improving.

    Args:
        config: the settings.
        begun: ``time.monotonic()`` of the start of this session.
    """

    name = "limits"

    def __init__(self, config: TrainConfig, begun: float) -> None:
        self.config, self.waited = config, 0
        self._begun = begun

    def evaluated(self, training: Training, result: Evaluation) -> None:
        """Count evaluations without a better mAP."""
        better = training.best is None or result.map50 > training.best
        self.waited = 0 if better else self.waited + 1
        if self.config.patience and self.waited >= self.config.patience:
            training.stop_reason = training.stop_reason or "early-stop"

    def after_step(self, training: Training, step: Step) -> None:
        """Stop before the time is over, if the next iteration would take as long as this one."""
        if self.config.max_hours is not None:
            spent = time.monotonic() - self._begun + step.seconds
            if spent >= self.config.max_hours * 3600 and training.iteration < training.max_batches:
                training.stop_reason = training.stop_reason or "time-limit"

    def state(self) -> dict[str, Any]:
        """The count."""
        return {"waited": self.waited}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take it back."""
        self.waited = state["waited"]
