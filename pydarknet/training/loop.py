# SPDX-License-Identifier: Apache-2.0
"""Training loop: iterations, and the calls of the hooks."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydarknet.cfg import CfgFile
from pydarknet.engine.trainer import Trainer
from pydarknet.errors import ArgumentError, HookError, NonFinite
from pydarknet.runs.config import TrainConfig
from pydarknet.runs.folder import RunFolder
from pydarknet.runs.outcome import EXIT_CODES, reason_of
from pydarknet.training.hooks import Hook, IsolatedHook, Step
from pydarknet.training.loader import Batch, Loader, accumulate
from pydarknet.training.signals import stopped_by_signals
from pydarknet.training.workers import Leader, Part


@dataclass(frozen=True)
class LoopConfig:
    """Facts about a training that do not change while it runs.

    Attributes:
        settings: the settings of the user.
        cfg: the effective cfg: the network as it is trained.
        run: the folder of the run.
        base: first part of the names of its weights.
        images: number of training images.
    """

    settings: TrainConfig
    cfg: CfgFile
    run: RunFolder
    base: str
    images: int

    @cached_property
    def max_batches(self) -> int:
        """Number of the last iteration."""
        return self.cfg.net.integer("max_batches")

    @cached_property
    def head_layers(self) -> frozenset[int]:
        """Numbers of the layers that are detection heads."""
        return frozenset(i for i, section in enumerate(self.cfg.layers) if section in self.cfg.heads)


class TrainingLoop:
    """A training in progress.

    Attributes:
        trainer: of the network that is trained.
        iteration: number of updates done.
        step: the present iteration; between iterations the last one.
        config: facts that do not change.
        stop_reason: set by a hook to end the training after this iteration; a key of ``EXIT_CODES``.
    """

    def __init__(
        self,
        trainer: Trainer,
        config: LoopConfig,
        loader: Loader,
        hooks: Sequence[Hook],
        leader: Leader | None = None,
    ) -> None:
        self.trainer, self.config = trainer, config
        self.iteration, self.stop_reason = trainer.iteration, ""
        self.step = Step(self.iteration, avg_loss=math.nan)
        self._loader, self._hooks, self._leader = loader, list(hooks), leader
        self._started: list[Hook] = []
        net = config.cfg.net
        self._size = (net.integer("width"), net.integer("height"))
        self._rate_factor, self._rollbacks = 1.0, 0
        self._doubt: NonFinite | None = None  # of a mini-batch whose update may yet be skipped
        self._counted, self._late = time.perf_counter(), 0.0

    @property
    def stop_reason(self) -> str:
        """Reason to end the training after this iteration; "" to continue."""
        return self._stop_reason

    @stop_reason.setter
    def stop_reason(self, reason: str) -> None:
        if reason and reason not in EXIT_CODES:
            raise ArgumentError(f"found stop_reason {reason!r}, expected one of {', '.join(EXIT_CODES)}")
        self._stop_reason = reason

    def dispatch(self, event: str, *arguments: Any) -> None:
        """Call one method of every hook, in their order.

        ``end`` reaches every hook that was started, whichever fails; ``evaluated`` and ``after_step`` reach
        all others if a hook of the caller fails.
        """
        failed: Exception | None = None
        for hook in tuple(self._started if event == "end" else self._hooks):
            try:
                getattr(hook, event)(self, *arguments)
                if event == "start":
                    self._started.append(hook)
            except Exception as error:
                isolated = event in ("evaluated", "after_step") and isinstance(hook, IsolatedHook)
                if event != "end" and not isolated:
                    raise
                failed = failed or error
        if failed:
            raise failed

    def run(self) -> str:
        """Train until the schedule ends or a hook sets ``stop_reason``; returns the reason.

        Raises:
            NonFinite: a loss, gradient or weight is nan or infinite; the saved states are from before.
            DataError: too many images cannot be read.
            FileError: something cannot be saved.
            HookError: a hook of the caller failed.
        """
        reason = "failed"
        try:
            self.dispatch("start")
            with stopped_by_signals(self):
                reason = self._iterations()
        except BaseException as error:
            reason = reason_of(error)
            self.step.broken = not isinstance(error, HookError)
            raise
        finally:
            self.dispatch("end", reason)
        return reason

    def _iterations(self) -> str:
        end = self.config.max_batches
        batches = self._loader.batches(self.iteration, end)
        self._counted = time.perf_counter()
        while not self.stop_reason and self.iteration < end:
            self._iterate(batches)
            if self._leader:
                self._leader.proceed(stop=bool(self.stop_reason))
        return "finished" if self.iteration >= end else self.stop_reason

    def _iterate(self, batches: Iterator[Batch]) -> None:
        step = self.step = self._next_step()
        self.dispatch("before_step")
        parts = []
        for _ in range(self._loader.own):
            with step.timed("load"):
                batch = next(batches)
            step.paths += batch.paths
            with step.timed("compute"):
                parts.append(self._accumulate(step, batch))
            if not self._leader:
                self._add(step, parts[-1])
        if self._leader:
            with step.timed("exchange"):
                self._exchange(step, parts, self._leader)
        step.loss /= self._loader.parts * self._loader.mini
        if layer := self.trainer.non_finite():
            raise NonFinite(f"iteration {step.iteration}: {layer} is not finite")
        with step.timed("update"):
            step.skipped = not self.trainer.update()
            step.loss_scale = self.trainer.loss_scale
        if self._doubt and not step.skipped:
            raise self._doubt
        self.iteration, step.rate, step.images = self.trainer.iteration, self.trainer.rate, self.trainer.seen
        begun = math.isfinite(step.avg_loss) and step.avg_loss >= 0
        if not self._doubt:
            step.avg_loss = 0.9 * step.avg_loss + 0.1 * step.loss if begun else step.loss
        self._account(step)
        before = step.seconds
        self.dispatch("after_step", step)
        self._late = step.seconds - before

    def _next_step(self) -> Step:
        self._doubt = None
        return Step(
            self.iteration + 1,
            avg_loss=self.step.avg_loss,
            mini=self._loader.mini,
            boxes=self.step.boxes,
            rewritten=self.step.rewritten,
        )

    def _exchange(self, step: Step, parts: list[Part], leader: Leader) -> None:
        """Join the mini-batches of all workers."""
        ordered, stopped = leader.gather(step, parts, self._loader.images.bad)
        step.paths = [path for part in ordered for path in part.paths]
        for part in ordered:
            self._add(step, part)
        leader.reduce()
        if stopped and not self.stop_reason:
            self.stop_reason = "signal"

    def _accumulate(self, step: Step, batch: Batch) -> Part:
        step.size = batch.size
        if step.size != self._size:
            self.trainer.resize(*step.size)
            self._size = step.size
        cost = accumulate(self.trainer, batch, self._loader.ready())
        return Part(cost, self.trainer.losses(), batch.paths)

    def _add(self, step: Step, part: Part) -> None:
        """Add the losses of a mini-batch."""
        cost, reports, _ = part
        step.heads.append(reports)
        step.boxes += sum(report.count for report in reports)
        step.rewritten += sum(report.rewritten for report in reports)
        step.loss += cost
        if not math.isfinite(cost):
            heads = [report.layer for report in reports if not math.isfinite(report.cost)]
            self._doubt = self._doubt or NonFinite(
                f"iteration {step.iteration}: the loss is {cost} at layer {heads[0] if heads else '?'}"
            )
            if self.trainer.loss_scale <= 1:  # no overflow of fp16, which is skipped
                raise self._doubt

    def _account(self, step: Step) -> None:
        """Add the time that nothing else counts; evaluating and saving come later and are in ``_late``."""
        now = time.perf_counter()
        step.times["other"] = max(now - self._counted - self._late - step.seconds, 0.0)
        self._counted, self._late = now, 0.0

    def state(self) -> dict[str, Any]:
        """State of the loop itself, as JSON values."""
        return {
            "avg_loss": self.step.avg_loss,
            "boxes": self.step.boxes,
            "rewritten": self.step.rewritten,
            "rate_factor": self._rate_factor,
            "rollbacks": self._rollbacks,
        }

    def meta(self) -> dict[str, Any]:
        """JSON values of a checkpoint: everything besides the state of the network."""
        hooks = {hook.name: hook.state() for hook in self._hooks if hook.name}
        return {"training": self.state(), "hooks": hooks}

    def load_meta(self, meta: dict[str, Any]) -> None:
        """Restore what :meth:`meta` returned; hooks without a state there keep their own."""
        own = meta["training"]
        self.iteration = self.trainer.iteration
        counts = {name: own[name] for name in ("avg_loss", "boxes", "rewritten")}
        self.step = Step(self.iteration, **counts)
        self._rate_factor, self._rollbacks = own["rate_factor"], own["rollbacks"]
        for hook in self._hooks:
            if hook.name in meta["hooks"]:
                hook.load_state(meta["hooks"][hook.name])
        if self._rate_factor != 1:
            rate = self.config.cfg.net.number("learning_rate")
            self.trainer.set_learning_rate(rate * self._rate_factor)
