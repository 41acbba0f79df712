# SPDX-License-Identifier: Apache-2.0
"""One start of a training, from the settings to the end of the process's part in it."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from pydarknet.cfg import CfgFile
from pydarknet.data import read
from pydarknet.data.album import ImageCache
from pydarknet.data.splits import Splits
from pydarknet.engine.network import Network
from pydarknet.errors import DataError, FileError, HookError, NonFinite
from pydarknet.evaluation.collect import collect
from pydarknet.evaluation.evaluation import Evaluation
from pydarknet.runs.config import TrainConfig
from pydarknet.runs.folder import RunFolder, choose
from pydarknet.runs.outcome import Outcome, reason_of
from pydarknet.system.atomic import write_text
from pydarknet.system.machine import usable_cores
from pydarknet.training import checkpoint, darknet_log, diagnostics, plots, prepare, startup_checks, tables
from pydarknet.training.augment import Recipe
from pydarknet.training.checkpoint import Shelf
from pydarknet.training.checkpoint_hook import Limits, Saver
from pydarknet.training.crash_report import gradient_norm, last_words
from pydarknet.training.eta import forecast
from pydarknet.training.hooks import Guest, Hook
from pydarknet.training.loader import Loader, network_size
from pydarknet.training.loop import Training
from pydarknet.training.monitor import Monitor
from pydarknet.training.prepare import Say
from pydarknet.training.rollback import Anchors, go_back
from pydarknet.training.run_summary import Summary, summarise
from pydarknet.training.validation_loss import LossMeter, ValidationLoss, protocol

_log = logging.getLogger("pydarknet")


def train(
    config: TrainConfig, hooks: Sequence[Hook] = (), *, echo: bool = False, say: Say = _log.info
) -> Outcome:
    """Train a detector, or go on with a training that was begun in the same folder.

    Args:
        config: the settings.
        hooks: told about every step, before it is saved and reported.
        echo: print the log to standard output.
        say: takes a line for every decision that the user should know of.

    Returns:
        What came of it, for every end that is not an error: the schedule is done, there is nothing to do, the
        time is over, mAP stopped improving, or a signal came.

    Raises:
        DataError: the data cannot be used, or the preflight found an error (``force`` goes on).
        FileError: the folder is in use by another process, or something cannot be written.
        NonFinite: a loss or weight is nan or infinite; the saved states are from before.
        HookError: one of ``hooks`` failed; the state was saved.
        CfgError: the cfg does not describe a network that can be trained.
        WeightsError: the weights belong to another network.
        ArgumentError: the settings contradict the run in the folder.
    """
    base = Path(config.cfg).name.partition(".")[0]
    run, before = choose(config, base)
    with run.locked(), plots.page(run, config, say):
        session = _Session(config, run, base, before, hooks, echo, say)
        return session.run()


class _Session:
    """Everything of one start; :meth:`run` reads top to bottom."""

    def __init__(
        self,
        config: TrainConfig,
        run: RunFolder,
        base: str,
        before: TrainConfig | None,
        hooks: Sequence[Hook],
        echo: bool,
        say: Say,
    ) -> None:
        self.config, self.folder, self.base, self.before = config, run, base, before
        self.hooks, self.echo, self._say = hooks, echo, say
        self.iteration = 0
        self.training: Training | None = None
        self.shelf = Shelf(run.weights, base, *config.kept)
        self.notes: list[str] = []
        self.begun = False
        self.started = time.monotonic()
        self.gradient_norm: float | None = None
        self.monitor: Monitor | None = None
        self.summary: Summary | None = None

    def say(self, text: str) -> None:
        """A decision that the user should know of, told and kept in ``run.json``."""
        self.notes.append(text)
        self._say(text)

    def run(self) -> Outcome:
        reason, failed = "failed", False
        try:
            self.shelf.clean()
            reason = self._train()
        except BaseException as error:
            reason, failed = reason_of(error), True
            last_words(self.folder.path, error, reason, self.training, self.gradient_norm)
            raise
        finally:
            try:
                if self.begun:
                    with contextlib.suppress(FileError):
                        self.folder.finish(self._result(reason))
                    self._summarise(reason, failed)
                    plots.final_report(self.folder, self.config, self._say)
            finally:
                self._on_end(reason)
        found = {kind: self.shelf.weights(kind) for kind in ("last", "best", "final", "ema")}
        files = {kind: path for kind, path in found.items() if path.is_file()}
        best = self.training.best if self.training else None
        return Outcome(reason, self.folder.path, self.iteration, best, files, self.summary)

    def _train(self) -> str:
        config = self.config
        resumed = self.shelf.last if self.before and self.shelf.last.is_file() else None
        self.dataset = read(Path(config.data))
        sets = Splits.of(self.dataset, config.val_fraction, config.seed)
        if sets.unlabelled:
            first = sets.unlabelled[0].image
            self.say(f"{len(sets.unlabelled)} images without a label file are left out, the first: {first}")
        config = self.config = replace(
            config, precision=startup_checks.settle_precision(config, self.before, self.say)
        )
        cfg = self._cfg(sets, resumed)
        while True:
            network = startup_checks.open_network(
                config, cfg, sets.names, self.folder.path, resumed is not None, self.say
            )
            try:
                return self._with_network(cfg, sets, network, resumed)
            except NonFinite as error:
                if not self._went_back(error):
                    raise
                resumed = self.shelf.last
            finally:
                network.close()

    def _with_network(self, cfg: CfgFile, sets: Splits, network: Network, resumed: Path | None) -> str:
        config, net = self.config, cfg.net
        end = net.integer("max_batches")
        saved = checkpoint.load(resumed) if resumed else None
        if saved:
            network.load_state(saved.network)
            self.say(f"going on at iteration {network.iteration} of {end}")
        self.iteration = network.iteration
        if network.iteration >= end:
            how = "--max-batches N extends it, --restart begins anew" if saved else "--clear counts from 0"
            self.say(f"nothing to do: iteration {network.iteration} of {end} is reached; {how}")
            if saved and self.shelf.complete(network):
                self.say(f"{self.shelf.weights('final')} was missing, and is written now")
            return "nothing-to-do"
        self.folder.begin(config, network.info, self.say)
        self.begun = True
        write_text(self.folder.file(f"{self.base}.names"), "".join(f"{name}\n" for name in sets.names))

        recipe = Recipe.of(cfg)
        cache = self.folder.file("cache")
        images = ImageCache(sets.train, recipe.channels, config.cache, cache / "train", config.max_bad)
        startup_checks.check_cache(config.cache, sets, recipe.channels, self.folder.path, self._say)
        random = cfg.heads[-1].number("random", 0.0)
        step = max(net.integer("resize_step"), 1)
        size = network_size((recipe.width, recipe.height), random, step, end, config.seed)
        batch, parts = net.integer("batch"), net.integer("subdivisions")
        workers = config.workers or usable_cores()
        loader = Loader(images, recipe, batch, parts, config.seed, workers, size)
        try:
            training = Training(network, cfg, self.folder, loader, self._hooks(network, sets))
            self.training = training
            self._schedule(training, sets, cache)
            if saved:
                planned = training.next_map
                training.load_meta(saved.meta)
                # Evaluating more often is no reason to wait for what was planned before, if anything was.
                training.next_map = min(training.next_map or planned, planned)
            return self._loop(training, images)
        finally:
            loader.close()

    def _hooks(self, network: Network, sets: Splits) -> list[Hook]:
        """In the order in which they are told: who judges, who saves, who reports."""
        config, clock = self.config, darknet_log.Clock()
        log = darknet_log.Log(clock, self.echo)
        number = len(self.folder.read()["sessions"]) - 1
        self.monitor = monitor = Monitor(config, len(sets.train), self._say)
        judging: list[Hook] = [diagnostics.Trouble(sets.train, _began(config), log, self._say)]
        saving: list[Hook] = [Saver(self.shelf, log, monitor, protocol(network, sets), self.say)]
        if config.rollback is not None:
            saving.append(Anchors(self.shelf))
        reports: list[Hook] = [clock, tables.Evaluations(monitor, self._say), log]
        reports.append(tables.Tables(clock, number, len(sets.train)))
        if config.plots:
            reports.append(plots.Pictures(self.dataset, config.dump_batches, self.say))
        reports.append(forecast(self._say, config.max_hours))
        guests = map(Guest, self._guests())
        return [Limits(config, self.started), monitor, *guests, *judging, *saving, *reports]

    def _loop(self, training: Training, images: ImageCache) -> str:
        training.tell("start")
        reason = "failed"
        try:
            with _signals(training):
                reason = training.run_to_end()
        except BaseException as error:
            reason, training.sound = reason_of(error), isinstance(error, HookError)
            if isinstance(error, NonFinite):
                self.gradient_norm = gradient_norm(training)
            raise
        finally:
            if images.bad:
                self.say(f"{len(images.bad)} images could not be read: {', '.join(sorted(images.bad)[:5])}")
            self.iteration = training.iteration
            training.tell("end", reason)
        return reason

    # -- parts

    def _cfg(self, sets: Splits, resumed: Path | None) -> CfgFile:
        """The effective cfg, checked, written into the folder."""
        path = self.folder.file(f"{self.base}.cfg")
        if resumed:
            cfg = CfgFile.load(path)
            prepare.set_length(cfg, self.config, len(sets.train), self.say)
        else:
            cfg = prepare.effective_cfg(self.config, len(sets.train), self.say)
        prepare.require_network(cfg)
        Recipe.of(cfg)
        if len(sets.names) != (classes := cfg.heads[0].integer("classes")):
            raise DataError(
                f"{self.config.data}: has {len(sets.names)} class names, {cfg.path} has classes={classes}"
            )
        cfg.save(path)
        cfg.path = str(path)
        if not resumed:
            startup_checks.check(self.config, cfg, self.folder.path, self._say)
        startup_checks.tell_memory(self.config, cfg, self._say)
        return cfg

    def _went_back(self, error: NonFinite) -> bool:
        """With ``on_nan=rollback``: make an earlier state, with a lower rate, the one to go on from."""
        if self.config.rollback is None or self.training is None:
            return False
        done = go_back(self.shelf, self.training, self.config.rollback)
        if done:
            self.folder.finish(self._result("non-finite"))
            self.say(f"{error}: {done}")
            with darknet_log.open_to_append(self.folder.file("train.log")) as log:
                log.write(f"{error}: {done}\n")
        return bool(done)

    def _schedule(self, training: Training, sets: Splits, cache: Path) -> None:
        """When to save and when to evaluate."""
        config, net = self.config, training.cfg.net
        end, batch = training.max_batches, net.integer("batch")
        training.base = self.base
        training.save_every = config.save_every or (1000 if end < 10_000 else 10_000)
        training.last_every = config.last_every or min(100, training.save_every)
        if not sets.valid or config.map_every == 0:
            if not sets.valid:
                self.say("there are no validation images, so mAP is not measured")
            return
        training.map_every = config.map_every or max(100, 4 * len(sets.train) // batch)
        training.next_map = max(net.integer("burn_in"), training.iteration + training.map_every)
        if config.map_every:
            training.next_map = training.iteration + config.map_every
        valid = ImageCache(sets.valid, net.integer("channels"), config.cache, cache / "valid", config.max_bad)

        def measure() -> tuple[Evaluation, ValidationLoss | None]:
            meter = LossMeter(training.cfg, training.loader.mini)
            found = collect(training.network, valid, detect=meter.detect)
            return Evaluation(found, sets.names), meter.result()

        training.evaluate, training.valid = measure, valid

    def _guests(self) -> list[Hook]:
        """Hooks that are not the training's own: those of the caller, and those of optional libraries."""
        found = list(self.hooks)
        if self.config.tensorboard:
            from pydarknet.contrib.tensorboard import TensorBoard

            found.append(TensorBoard())
        if self.config.mlflow:
            from pydarknet.contrib.mlflow import Mlflow

            found.append(Mlflow())
        return found

    # -- the end

    def _summarise(self, reason: str, failed: bool) -> None:
        if not (self.training and self.monitor and self.folder.file("results.csv").is_file()):
            return
        price = self.config.price_per_hour
        try:
            self.summary = summarise(self.training, self.monitor, self.shelf, reason, price)
        except Exception as error:  # whatever is wrong with it changes no outcome
            self._say(f"summary.json cannot be written: {type(error).__name__}: {error}")
            return
        if failed:  # nobody will be handed an outcome
            self._say(self.summary.to_text(self.folder.path))

    def _result(self, reason: str) -> dict[str, Any]:
        training = self.training
        best = training.best if training else None
        iteration = training.iteration if training else None
        return {"reason": reason, "iteration": iteration, "best_map": best, "notes": self.notes}

    def _on_end(self, reason: str) -> None:
        if not self.config.on_end:
            return
        told = {"PYDARKNET_REASON": reason, "PYDARKNET_RUN": str(self.folder.path.absolute())}
        code = subprocess.run(
            self.config.on_end, shell=True, check=False, env={**os.environ, **told}
        ).returncode
        if code:
            _log.warning("the command of --on-end ended with exit code %d", code)


def _began(config: TrainConfig) -> str:
    return "none, the training began with random ones" if config.weights is None else f"from {config.weights}"


@contextlib.contextmanager
def _signals(training: Training) -> Iterator[None]:
    """SIGTERM and Ctrl-C end the training after the iteration; a second Ctrl-C at once."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        if training.stop_reason == "signal" and number == signal.SIGINT:
            raise KeyboardInterrupt
        training.stop_reason = "signal"

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def resume(folder: Path, **changes: Any) -> TrainConfig:
    """The settings of a run that was begun, to be passed to :func:`train`.

    Args:
        folder: of the run.
        changes: fields to replace, for example ``max_batches``.

    Raises:
        FileError: there is no run.
        ArgumentError: values that cannot be.  Those of another training are refused by :func:`train`.
    """
    before = RunFolder(folder).config()
    if changes.get("epochs") is not None:
        changes.setdefault("max_batches", None)
    if changes.get("max_batches") is not None:
        changes.setdefault("epochs", None)
    return replace(before, out=folder, restart=False, **changes)
