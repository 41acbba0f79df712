# SPDX-License-Identifier: Apache-2.0
"""Interface of hooks: the calls that a training makes, and the record of one iteration."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydarknet.errors import HookError

if TYPE_CHECKING:
    from pydarknet.engine._trainer import LossReport
    from pydarknet.evaluation.evaluation import Evaluation
    from pydarknet.training.loop import TrainingLoop
    from pydarknet.training.validation_loss import ValidationLoss


@dataclass
class Step:
    """One iteration.

    Attributes:
        iteration: number of updates, this one included.
        loss: Darknet's: the costs of the mini-batches, divided by the images.
        avg_loss: Darknet's running average; nan before the first iteration.
        rate: learning rate of the update.
        images: number of images processed since the start of the training.
        heads: for each mini-batch the losses of each head, sums over its ``mini`` images.
        paths: for each sample the images that it was made of.
        size: (width, height) of the input in pixels.
        times: seconds for ``load``, ``compute``, ``exchange`` (with other workers, waiting included),
            ``update``, ``eval``, ``save``, and ``other``: reports and hooks, those of the iteration before
            included.
        workers: for each of several workers its seconds for ``load`` and ``compute``, and ``wait``: how long
            it waited for the slowest; empty for one.
        mini: images of a mini-batch.
        boxes: truths assigned to predictions since the start of the training.
        rewritten: those of ``boxes`` that replaced another truth.
        last_map: newest mAP@0.5, 0..1; None before the first evaluation.
        best_map: highest mAP@0.5 so far, 0..1; saturated evaluations (D-01) do not count.
        val_loss: validation loss of the evaluation after this iteration; None without one.
        loss_scale: in fp16 the factor of the next losses' gradients; 0 in other precisions.
        skipped: the update was skipped: in fp16, gradients overflowed.
        broken: the iteration was broken off, so the state of the network must not be saved.
    """

    iteration: int
    loss: float = 0.0
    avg_loss: float = 0.0
    rate: float = 0.0
    images: int = 0
    heads: list[list[LossReport]] = field(default_factory=list)
    paths: list[tuple[str, ...]] = field(default_factory=list)
    size: tuple[int, int] = (0, 0)
    times: dict[str, float] = field(default_factory=dict)
    workers: list[dict[str, float]] = field(default_factory=list)
    mini: int = 1
    boxes: int = 0
    rewritten: int = 0
    last_map: float | None = None
    best_map: float | None = None
    val_loss: ValidationLoss | None = None
    loss_scale: float = 0.0
    skipped: bool = False
    broken: bool = False

    @property
    def seconds(self) -> float:
        """Time of the whole iteration."""
        return sum(self.times.values())

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Add the time of the block to a part of ``times``."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.times[part] = self.times.get(part, 0.0) + time.perf_counter() - begun


class Hook:
    """Base class of hooks: override the calls of interest; set ``training.stop_reason`` to end the training.

    The training calls, in this order::

        start
        before_step, after_step     for every iteration
        evaluated                   after each evaluation, before that iteration's after_step
        end                         for every stop reason, also if the start of a later hook fails
    """

    name = ""  #: key of the hook's state in a checkpoint; "" if it has none

    def start(self, training: TrainingLoop) -> None:
        """Before the first iteration of this session."""

    def before_step(self, training: TrainingLoop) -> None:
        """Before an iteration."""

    def after_step(self, training: TrainingLoop, step: Step) -> None:
        """After an iteration."""

    def evaluated(self, training: TrainingLoop, report: Evaluation) -> None:
        """After an evaluation on the validation images; its validation loss is in ``training.step``."""

    def end(self, training: TrainingLoop, reason: str) -> None:
        """After the last iteration; ``reason`` is a key of ``pydarknet.training.EXIT_CODES``."""

    def state(self) -> dict[str, Any]:
        """State of the hook for a checkpoint, as JSON values."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state` returned."""


class IsolatedHook(Hook):
    """A hook of the caller: its first failure becomes a :class:`HookError`, later ones are ignored.

    Args:
        hook: receives all calls.
    """

    def __init__(self, hook: Hook) -> None:
        self._hook, self.name = hook, hook.name
        self._failed = False
        self._state: dict[str, Any] = {}

    def _call(self, method: str, *arguments: Any) -> Any:
        try:
            return getattr(self._hook, method)(*arguments)
        except Exception as error:
            if self._failed:
                return None
            self._failed = True
            kind = type(self._hook).__name__
            raise HookError(f"the hook {kind} failed in {method}: {type(error).__name__}: {error}") from error

    def start(self, training: TrainingLoop) -> None:
        """Pass on."""
        self._call("start", training)

    def before_step(self, training: TrainingLoop) -> None:
        """Pass on."""
        self._call("before_step", training)

    def after_step(self, training: TrainingLoop, step: Step) -> None:
        """Pass on."""
        self._call("after_step", training, step)

    def evaluated(self, training: TrainingLoop, report: Evaluation) -> None:
        """Pass on."""
        self._call("evaluated", training, report)

    def end(self, training: TrainingLoop, reason: str) -> None:
        """Pass on."""
        self._call("end", training, reason)

    def state(self) -> dict[str, Any]:
        """State of the hook; after a failure the last one from before it."""
        if not self._failed:
            found = self._call("state")
            try:
                json.dumps(found)
            except (TypeError, ValueError) as error:
                self._failed = True
                kind = type(self._hook).__name__
                raise HookError(
                    f"the hook {kind} failed in state: it is not made of JSON values: {error}"
                ) from None
            self._state = found
        return self._state

    def load_state(self, state: dict[str, Any]) -> None:
        """Pass on."""
        self._state = state
        self._call("load_state", state)
