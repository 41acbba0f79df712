# SPDX-License-Identifier: Apache-2.0
"""The training itself: iterations, and who is told about them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pydarknet.cfg import CfgFile
from pydarknet.data.album import ImageCache
from pydarknet.engine.network import Network
from pydarknet.errors import NonFinite
from pydarknet.evaluation.evaluation import Evaluation
from pydarknet.runs.folder import RunFolder
from pydarknet.training.hooks import Guest, Hook, Step
from pydarknet.training.loader import Batch, Loader
from pydarknet.training.validation_loss import ValidationLoss

_KEPT = ("avg_loss", "best", "last_map", "next_map", "boxes", "rewritten", "rate_factor", "rollbacks")

Evaluate = Callable[[], tuple[Evaluation, ValidationLoss | None]]


class Training:
    """A training under way.

    Attributes:
        network: what learns.
        cfg: its cfg.
        run: the folder it writes to; ``base`` begins the names of its weights.
        iteration: updates done; it ends at ``max_batches``.
        avg_loss: Darknet's running average, nan before the first.
        best: best mAP@0.5 so far, 0..1; None before the first evaluation.
        last_map: the newest mAP; ``next_map`` is the iteration of the next.
        map_every, save_every, last_every: iterations between evaluations, numbered weights, saved states.
        val_loss: of the newest evaluation.
        doubtful: the detections of the newest evaluation are saturated (D-01), it is no basis for a best.
        sound: no iteration was broken off, so that the state can be saved; a hook of the caller that fails
            breaks none off.
        stop_reason: set by anybody to end the training after this iteration.
        step: the iteration that is being worked on.
        boxes: truths that were assigned to predictions so far; ``rewritten`` took another's place.
        detecting: layers that are detection heads.
        rate_factor: of the schedule's rate; less than 1 after ``rollbacks``.
        valid: the images that mAP is measured on; None if it is not.
    """

    def __init__(
        self, network: Network, cfg: CfgFile, run: RunFolder, loader: Loader, hooks: Sequence[Hook]
    ) -> None:
        self.network, self.cfg, self.run, self.loader, self.hooks = network, cfg, run, loader, list(hooks)
        self.base = ""
        self.max_batches = cfg.net.integer("max_batches")
        self.detecting = {i for i, section in enumerate(cfg.layers) if section in cfg.heads}
        self.iteration = network.iteration
        self.avg_loss = math.nan
        self.best: float | None = None
        self.last_map: float | None = None
        self.val_loss: ValidationLoss | None = None
        self.doubtful, self.sound = False, True
        self.map_every = self.next_map = 0
        self.save_every = self.last_every = 0
        self.stop_reason = ""
        self.boxes = self.rewritten = 0
        self.rate_factor, self.rollbacks = 1.0, 0
        self.step = Step(self.iteration)
        self._size = (cfg.net.integer("width"), cfg.net.integer("height"))
        self.evaluate: Evaluate | None = None
        self.valid: ImageCache | None = None
        self._counted, self._late = time.perf_counter(), 0.0

    def tell(self, event: str, *arguments: Any) -> None:
        """Call one method of every hook, in their order.

        All hear of the end, whoever fails; and of what was done, if a hook of the caller fails at it.
        """
        failed: Exception | None = None
        for hook in self.hooks:
            try:
                getattr(hook, event)(self, *arguments)
            except Exception as error:
                done = event in ("evaluated", "after_step") and isinstance(hook, Guest)
                if event != "end" and not done:
                    raise
                failed = failed or error
        if failed:
            raise failed

    def run_to_end(self) -> str:
        """Train until the schedule ends or somebody wants to stop; returns why.

        Raises:
            NonFinite: a loss, gradient or weight is nan or infinite; the saved states are from before.
            DataError: too many images cannot be read.
            FileError: something cannot be saved.
        """
        batches = self.loader.batches(self.iteration, self.max_batches)
        self._counted = time.perf_counter()
        while not self.stop_reason and self.iteration < self.max_batches:
            self._iterate(batches)
        return "finished" if self.iteration >= self.max_batches else self.stop_reason

    def _iterate(self, batches: Iterator[Batch]) -> None:
        step = self.step = Step(self.iteration + 1, mini=self.loader.mini)
        self.tell("before_step")
        for _ in range(self.loader.parts):
            with self.timed("load"):
                batch = next(batches)
            step.paths += batch.paths
            with self.timed("compute"):
                self._accumulate(step, batch)
        step.loss /= self.loader.parts * self.loader.mini
        if layer := self.network.non_finite():
            raise NonFinite(f"iteration {step.iteration}: {layer} is not finite")
        with self.timed("update"):
            self.network.update()
        self.iteration, step.rate, step.images = self.network.iteration, self.network.rate, self.network.seen
        begun = math.isfinite(self.avg_loss) and self.avg_loss >= 0
        self.avg_loss = 0.9 * self.avg_loss + 0.1 * step.loss if begun else step.loss
        step.avg_loss = self.avg_loss
        self._measure()
        self._account(step)
        before = step.seconds
        self.tell("after_step", step)
        self._late = step.seconds - before

    def _accumulate(self, step: Step, batch: Batch) -> None:
        step.size = (batch.images.shape[3], batch.images.shape[2])
        if step.size != self._size:
            self.network.resize_training(*step.size)
            self._size = step.size
        cost = self.network.accumulate(batch.images, batch.truths)
        step.heads.append(self.network.losses())
        self.boxes += sum(report.count for report in step.heads[-1])
        self.rewritten += sum(report.rewritten for report in step.heads[-1])
        step.loss += cost
        if not math.isfinite(cost):
            heads = [report.layer for report in step.heads[-1] if not math.isfinite(report.cost)]
            raise NonFinite(
                f"iteration {step.iteration}: the loss is {cost} at layer {heads[0] if heads else '?'}"
            )

    def _measure(self) -> None:
        due = self.iteration >= self.next_map or self.iteration == self.max_batches
        if self.evaluate is None or not self.map_every or not due:
            return
        with self.timed("eval"):
            report, self.val_loss = self.evaluate()
            self.last_map, self.doubtful = report.map50, bool(report.saturation.reason)
            self.next_map = self.iteration + self.map_every
            try:
                self.tell("evaluated", report)
            finally:
                if not self.doubtful and (self.best is None or report.map50 >= self.best):
                    self.best = report.map50

    def _account(self, step: Step) -> None:
        """What the clock shows beyond the times that were taken; savings come after it, in ``_late``."""
        now = time.perf_counter()
        step.times["other"] = max(now - self._counted - self._late - step.seconds, 0.0)
        self._counted, self._late = now, 0.0

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Add the time of the block to the step's times."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.step.times[what] = self.step.times.get(what, 0.0) + time.perf_counter() - begun

    def meta(self) -> dict[str, Any]:
        """All that a checkpoint holds besides the network's state."""
        own = {name: getattr(self, name) for name in _KEPT}
        return {"training": own, "hooks": {hook.name: hook.state() for hook in self.hooks if hook.name}}

    def load_meta(self, meta: dict[str, Any]) -> None:
        """The inverse of :meth:`meta`; hooks that have no state there keep their own."""
        for name, value in meta["training"].items():
            setattr(self, name, value)
        for hook in self.hooks:
            if hook.name in meta["hooks"]:
                hook.load_state(meta["hooks"][hook.name])
        self.iteration = self.network.iteration
        if self.rate_factor != 1:
            self.network.set_learning_rate(self.cfg.net.number("learning_rate") * self.rate_factor)
