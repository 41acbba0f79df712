# SPDX-License-Identifier: Apache-2.0
"""What a training tells others, and what they may do with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydarknet.errors import HookError

if TYPE_CHECKING:
    from pydarknet.engine._trainer import LossReport
    from pydarknet.evaluation.evaluation import Evaluation
    from pydarknet.training.loop import Training


@dataclass
class Step:
    """One iteration.

    Attributes:
        iteration: updates done with it.
        loss: Darknet's: the costs of the mini-batches, divided by the images.
        avg_loss: Darknet's running average.
        rate: learning rate of the update.
        images: images seen so far.
        heads: for each mini-batch the losses of each head, sums over its ``mini`` images.
        paths: for each sample the images that it was made of.
        size: (width, height) of the input.
        times: seconds for ``load``, ``compute``, ``update``, ``eval``, ``save``, and ``other``: reports and
            hooks, those of the iteration before included.
        mini: images of a mini-batch.
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
    mini: int = 1

    @property
    def seconds(self) -> float:
        """Time of the whole iteration."""
        return sum(self.times.values())


class Hook:
    """Override what is of interest; a hook may set ``training.stop_reason`` to end the training.

    The training calls, in this order::

        start
        before_step, after_step     for every iteration
        evaluated                   after each evaluation, before that iteration's after_step
        end                         whatever the end is
    """

    name = ""  #: key of the hook's state in a checkpoint; "" if it has none

    def start(self, training: Training) -> None:
        """Before the first iteration of this session."""

    def before_step(self, training: Training) -> None:
        """Before an iteration."""

    def after_step(self, training: Training, step: Step) -> None:
        """After an iteration."""

    def evaluated(self, training: Training, report: Evaluation) -> None:
        """After an evaluation on the validation images."""

    def end(self, training: Training, reason: str) -> None:
        """After the last iteration; ``reason`` is a key of ``pydarknet.training.EXIT_CODES``."""

    def state(self) -> dict[str, Any]:
        """What goes into a checkpoint: JSON values."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """The inverse of :meth:`state`."""


class Guest(Hook):
    """Somebody else's hook: what goes wrong in it is told apart, and loses nothing of the training.

    Args:
        hook: all calls go to it.
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
                return None  # the first failure is what counts
            self._failed = True
            kind = type(self._hook).__name__
            raise HookError(f"the hook {kind} failed in {method}: {type(error).__name__}: {error}") from error

    def start(self, training: Training) -> None:
        """Pass on."""
        self._call("start", training)

    def before_step(self, training: Training) -> None:
        """Pass on."""
        self._call("before_step", training)

    def after_step(self, training: Training, step: Step) -> None:
        """Pass on."""
        self._call("after_step", training, step)

    def evaluated(self, training: Training, report: Evaluation) -> None:
        """Pass on."""
        self._call("evaluated", training, report)

    def end(self, training: Training, reason: str) -> None:
        """Pass on."""
        self._call("end", training, reason)

    def state(self) -> dict[str, Any]:
        """The hook's, or its last one from before it failed."""
        if not self._failed:
            self._state = self._call("state")
        return self._state

    def load_state(self, state: dict[str, Any]) -> None:
        """Pass on."""
        self._state = state
        self._call("load_state", state)
