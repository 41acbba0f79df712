# SPDX-License-Identifier: Apache-2.0
"""One start of a training, from the settings to the end of the process's part in it."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import shutil
import signal
import subprocess
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from pydarknet.cfg import CfgFile
from pydarknet.check import PlannedRun, preflight
from pydarknet.data import Dataset, read
from pydarknet.errors import ArgumentError, DataError, FileError, NonFinite
from pydarknet.files import write_text
from pydarknet.machine import info, resident_memory, usable_cores
from pydarknet.metrics.evaluation import Evaluation
from pydarknet.network import Network
from pydarknet.training import checkpoint, evaluate, prepare, report
from pydarknet.training.augment import Recipe
from pydarknet.training.checkpoint import Shelf
from pydarknet.training.config import TrainConfig
from pydarknet.training.hooks import Hook
from pydarknet.training.loader import Images, Loader, Sets, network_size
from pydarknet.training.loop import Training
from pydarknet.training.outcome import Outcome, reason_of
from pydarknet.training.pictures import Pictures
from pydarknet.training.prepare import Say
from pydarknet.training.run import RunFolder, choose
from pydarknet.training.saving import Limits, Saver

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
        CfgError: the cfg does not describe a network that can be trained.
        WeightsError: the weights belong to another network.
        ArgumentError: the settings contradict the run in the folder.
    """
    base = Path(config.cfg).name.partition(".")[0]
    run, before = choose(config, base)
    with run.locked(), _page(run, config, say):
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
        self.gradient_norm: float | None = None

    def say(self, text: str) -> None:
        """A decision that the user should know of, told and kept in ``run.json``."""
        self.notes.append(text)
        self._say(text)

    def run(self) -> Outcome:
        reason = "failed"
        try:
            self.shelf.clean()
            reason = self._train()
        except BaseException as error:
            reason = reason_of(error)
            self._last_words(error, reason)
            raise
        finally:
            if self.begun:
                with contextlib.suppress(FileError):
                    self.folder.finish(self._result(reason))
                self._write_report()
            self._on_end(reason)
        found = {kind: self.shelf.weights(kind) for kind in ("last", "best", "final", "ema")}
        files = {kind: path for kind, path in found.items() if path.is_file()}
        best = self.training.best if self.training else None
        return Outcome(reason, self.folder.path, self.iteration, best, files)

    def _train(self) -> str:
        config = self.config
        resumed = self.shelf.last if self.before and self.shelf.last.is_file() else None
        dataset = read(Path(config.data))
        sets = Sets.of(dataset)
        if sets.unlabelled:
            first = sets.unlabelled[0].image
            self.say(f"{len(sets.unlabelled)} images without a label file are left out, the first: {first}")
        cfg = self._cfg(sets, resumed)
        network = self._network(cfg, resumed)
        try:
            return self._with_network(cfg, dataset, sets, network, resumed)
        finally:
            network.close()

    def _with_network(
        self, cfg: CfgFile, dataset: Dataset, sets: Sets, network: Network, resumed: Path | None
    ) -> str:
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
            return "nothing-to-do"
        self.folder.begin(config)
        self.begun = True
        write_text(self.folder.file(f"{self.base}.names"), "".join(f"{name}\n" for name in sets.names))

        recipe = Recipe.of(cfg)
        cache = self.folder.file("cache")
        images = Images(sets.train, recipe.channels, config.cache, cache / "train", config.max_bad)
        random = cfg.heads[-1].number("random", 0.0)
        step = max(net.integer("resize_step"), 1)
        size = network_size((recipe.width, recipe.height), random, step, end, config.seed)
        batch, parts = net.integer("batch"), net.integer("subdivisions")
        workers = config.workers or usable_cores()
        loader = Loader(images, recipe, batch, parts, config.seed, workers, size)
        try:
            clock = report.Clock()
            log = report.Log(clock, self.echo)
            number = len(self.folder.read()["sessions"]) - 1
            saver = Saver(self.shelf, config, log)
            reports: list[Hook] = [clock, log, report.Tables(clock, number)]
            if config.plots:
                reports.append(Pictures(dataset, config.dump_batches, self.say))
            limits = Limits(config)
            training = Training(network, cfg, self.folder, loader, [limits, *self.hooks, saver, *reports])
            self.training = training
            self._schedule(training, sets, cache)
            if saved:
                training.load_meta(saved.meta)
                # Evaluating more often from now on is no reason to wait for what was planned before.
                training.next_map = min(training.next_map, training.iteration + training.map_every)
            return self._loop(training, images)
        finally:
            loader.close()

    def _loop(self, training: Training, images: Images) -> str:
        training.tell("start")
        reason = "failed"
        try:
            with _signals(training):
                reason = training.run_to_end()
        except BaseException as error:
            reason = reason_of(error)
            if isinstance(error, NonFinite):
                self.gradient_norm = _gradient_norm(training)
            raise
        finally:
            if images.bad:
                self.say(f"{len(images.bad)} images could not be read: {', '.join(sorted(images.bad)[:5])}")
            self.iteration = training.iteration
            training.tell("end", reason)
        return reason

    # -- parts

    def _cfg(self, sets: Sets, resumed: Path | None) -> CfgFile:
        """The effective cfg, checked, written into the folder."""
        path = self.folder.file(f"{self.base}.cfg")
        if resumed:
            cfg = CfgFile.load(path)
            length = self.config.max_batches
            if self.config.epochs is not None:
                length = max(1, round(self.config.epochs * len(sets.train) / cfg.net.integer("batch")))
            if length is not None:
                prepare.stretch(cfg, length, self.say)
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
            self._preflight(cfg)
        return cfg

    def _preflight(self, cfg: CfgFile) -> None:
        """Errors stop the run, unless ``force``; everything is kept in ``preflight.json``."""
        plan = PlannedRun(folder=self.folder.path, clear=self.config.clear)
        found = preflight(cfg, Path(self.config.data), run=plan)
        write_text(self.folder.file("preflight.json"), found.to_json())
        for finding in found.findings:
            self._say(f"{finding.severity.value} {finding.rule}: {finding.message}")
        if found.errors and not self.config.force:
            raise DataError(f"the preflight found errors (--force trains all the same):\n{found.to_text()}")

    def _network(self, cfg: CfgFile, resumed: Path | None) -> Network:
        config = self.config
        backend = {"backend": config.backend, "precision": config.precision, "threads": config.threads}
        given = None if resumed or config.weights is None else Path(config.weights)
        if given is not None:
            with Network(cfg.path, backend="ref", strict=False) as blank:
                given = prepare.starting_weights(given, cfg, blank, self.folder.path, self.say)
        network = Network(cfg.path, given, strict=False, training=True, **backend)  # type: ignore[arg-type]
        if given is not None and config.clear:
            network.load_state({**network.state(), "iteration": 0, "seen": 0})
        elif network.iteration:
            self.say(
                f"{given}: goes on at iteration {network.iteration} by its image counter; momentum, best mAP "
                "and the state of the augmentation are not in a weights file and start anew (--clear begins "
                "at 0)"
            )
        return network

    def _schedule(self, training: Training, sets: Sets, cache: Path) -> None:
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
        valid = Images(sets.valid, net.integer("channels"), config.cache, cache / "valid", config.max_bad)

        def measure() -> Evaluation:
            return evaluate.evaluate(training.network, valid, sets.names)

        training.evaluate = measure

    # -- the end

    def _write_report(self) -> None:
        """``report.html``; whatever is wrong with it does not change how the training ended."""
        if self.config.plots:
            try:
                from pydarknet.watch import write_report

                write_report(self.folder.path)
            except Exception as error:
                self._say(f"report.html cannot be written: {type(error).__name__}: {error}")

    def _result(self, reason: str) -> dict[str, Any]:
        training = self.training
        best = training.best if training else None
        iteration = training.iteration if training else None
        return {"reason": reason, "iteration": iteration, "best_map": best, "notes": self.notes}

    def _last_words(self, error: BaseException, reason: str) -> None:
        """``crash.json``: what somebody needs to find out why."""
        training = self.training
        step = training.step if training else None
        words: dict[str, Any] = {
            "reason": reason,
            "error": f"{type(error).__name__}: {error}",
            "traceback": traceback.format_exc(),
            "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "iteration": training.iteration if training else None,
            "batch": [list(paths) for paths in step.paths] if step else [],
            "avg_loss": repr(training.avg_loss) if training else None,
            "losses": [[repr(h) for h in mini] for mini in step.heads] if step else [],
            "gradient_norm": repr(self.gradient_norm),
            "memory_bytes": resident_memory(),
            "machine": info(),
        }
        with contextlib.suppress(OSError):
            words["disk_free_bytes"] = shutil.disk_usage(self.folder.path).free
        with contextlib.suppress(FileError):
            write_text(self.folder.file("crash.json"), json.dumps(words, indent=1, default=str))

    def _on_end(self, reason: str) -> None:
        if not self.config.on_end:
            return
        told = {"PYDARKNET_REASON": reason, "PYDARKNET_RUN": str(self.folder.path.absolute())}
        code = subprocess.run(
            self.config.on_end, shell=True, check=False, env={**os.environ, **told}
        ).returncode
        if code:
            _log.warning("the command of --on-end ended with exit code %d", code)


@contextlib.contextmanager
def _page(run: RunFolder, config: TrainConfig, say: Say) -> Iterator[None]:
    """The live page, if wanted.

    Raises:
        ArgumentError: the address cannot be listened on.
    """
    if config.http is None:
        yield
        return
    from pydarknet.watch import Page
    from pydarknet.webserver import parse_address

    try:
        page = Page(run.path, *parse_address(config.http))
    except FileError as error:
        raise ArgumentError(f"{error} (--http takes another)") from None
    with page:
        say(f"live page: {page.url}")
        yield


def _gradient_norm(training: Training) -> float:
    layers = (training.network.gradients(layer) for layer in range(len(training.cfg.layers)))
    squares = (float((a.astype(float) ** 2).sum()) for arrays in layers for a in arrays.values())
    return math.sqrt(sum(squares))


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
        ArgumentError: a change that would make it another training.
    """
    from dataclasses import replace

    before = RunFolder(folder).config()
    if changes.get("epochs") is not None:
        changes.setdefault("max_batches", None)
    if changes.get("max_batches") is not None:
        changes.setdefault("epochs", None)
    config = replace(before, out=folder, restart=False, **changes)
    if not isinstance(config, TrainConfig):  # pragma: no cover
        raise ArgumentError("no settings")
    return config
