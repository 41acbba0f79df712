# SPDX-License-Identifier: Apache-2.0
"""Third part of a training: running the loop, and its outcome; :func:`train` is all three parts."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydarknet.engine.devices import require_available
from pydarknet.errors import ArgumentError, FileError, NonFinite
from pydarknet.runs.config import TrainConfig
from pydarknet.runs.folder import RunFolder, choose
from pydarknet.runs.outcome import Outcome, reason_of
from pydarknet.runs.record import STATE
from pydarknet.system.atomic import write_text
from pydarknet.system.notify import Notify
from pydarknet.training import darknet_log, plots, progress
from pydarknet.training.communicator import Communicator, connect
from pydarknet.training.crash_report import reporting_crashes, write_crash_report
from pydarknet.training.follower import follow
from pydarknet.training.hooks import Hook
from pydarknet.training.prepare import Prepared, base_of, prepare
from pydarknet.training.rollback import roll_back
from pydarknet.training.run_summary import summarise
from pydarknet.training.start import Started, start

_log = logging.getLogger("pydarknet")


class RolledBack(Exception):
    """The loop met a value that is not finite, and an earlier state was made the last one."""


def train(
    config: TrainConfig,
    hooks: Sequence[Hook] = (),
    *,
    verbose: bool = True,
    echo: bool = False,
    notify: Notify | None = None,
) -> Outcome:
    """Train a detector, or resume the training in the same folder.

    Args:
        config: the settings.
        hooks: called in every step, before it is saved and reported.
        verbose: print notices and evaluations, and show a progress bar on a terminal or in a notebook.
        echo: print the log in Darknet's format to standard output, instead of the bar.
        notify: receives the decisions and findings that the user should know, one line each; by default they
            are printed if ``verbose``, else logged at level INFO by the logger ``pydarknet``.

    Returns:
        The outcome, for every end that is not an error: the schedule is finished, there is nothing to do, the
        time is over, mAP stopped improving, or a signal arrived.

    Raises:
        DataError: the data cannot be used, or the preflight found an error (``force`` ignores it).
        FileError: the folder is in use by another process, or something cannot be written.
        NonFinite: a loss or weight is nan or infinite; the saved states are from before.
        HookError: one of ``hooks`` failed; the state was saved.
        CfgError: the cfg does not describe a network that can be trained.
        WeightsError: the weights belong to another network.
        ArgumentError: the settings contradict the run in the folder, or are not a :class:`TrainConfig`.
        BackendError: this machine cannot compute on the device, or in the precision.
        WorkerLost: one of several workers is silent; the saved state is from before.
    """
    if not isinstance(config, TrainConfig):
        raise ArgumentError(f"found {config!r}, expected settings: train(TrainConfig(cfg=..., data=...))")
    communicator = connect(config.worker_timeout)
    if communicator and communicator.rank:
        result: Outcome = follow(communicator)
        return result

    def work() -> Outcome:
        return _train_in_folder(config, hooks, verbose, echo, notify, communicator)

    return communicator.lead(work) if communicator else work()


def _train_in_folder(
    config: TrainConfig,
    hooks: Sequence[Hook],
    verbose: bool,
    echo: bool,
    notify: Notify | None,
    communicator: Communicator | None,
) -> Outcome:
    if notify is None:
        notify = progress.notify if verbose else _log.info
    if verbose and not echo:
        hooks = [*hooks, progress.Bar()]
    require_available(config.engine_backend)
    folder, before = choose(config, base_of(config), notify)
    with folder.locked(notify), plots.page(folder, config, notify):
        reason = "failed"
        try:
            with reporting_crashes(folder.path):
                prepared = prepare(config, folder, before, notify=notify)
            outcome = _train(prepared, hooks, echo, communicator)
            reason = outcome.reason
        except BaseException as error:
            reason = reason_of(error)
            raise
        finally:
            _run_command(config.on_end, folder, reason)
        return outcome


def _train(
    prepared: Prepared, hooks: Sequence[Hook], echo: bool, communicator: Communicator | None
) -> Outcome:
    while True:
        with reporting_crashes(prepared.folder.path):
            started = start(prepared, hooks, echo, communicator)
        with started:
            try:
                return run(started)
            except RolledBack:
                prepared = replace(prepared, resumed=True)


def run(started: Started) -> Outcome:
    """Run the loop to its end, and write the outcome into the folder of the run.

    Raises:
        RolledBack: the training is to be started again, from its last state.
        DarknetError: of any kind that :func:`train` lists.
    """
    prepared, loop = started.prepared, started.loop
    if loop.iteration >= loop.config.max_batches:
        return _nothing_to_do(started)
    if prepared.resumed:
        prepared.notices(f"resuming at iteration {loop.iteration} of {loop.config.max_batches}")
    _begin(started)
    names = "".join(f"{name}\n" for name in prepared.splits.names)
    write_text(prepared.folder.file(f"{loop.config.base}.names"), names)
    try:
        reason = loop.run()
    except BaseException as error:
        if isinstance(error, NonFinite) and _rolled_back(started, error):
            raise RolledBack from error
        if prepared.folder.is_lost:
            raise
        write_crash_report(prepared.folder.path, error, loop)
        outcome = _conclude(started, reason_of(error))
        if outcome.epochs_done is not None:  # the caller gets the exception, not the outcome
            prepared.notices.show(outcome.to_text())
        raise
    return _conclude(started, reason)


def _begin(started: Started) -> None:
    """Enter the session into ``run.json``; the crash report of an earlier one is out of date now."""
    prepared = started.prepared
    record, changes = prepared.checkpoints.run, prepared.notices.changes
    inputs = {**record.inputs(), "changes": changes} if record else None
    info = started.trainer.network.info
    prepared.folder.begin(prepared.config, info, prepared.notices, inputs, started.workers)
    with contextlib.suppress(OSError):
        prepared.folder.file("crash.json").unlink()


def _nothing_to_do(started: Started) -> Outcome:
    prepared, loop = started.prepared, started.loop
    how = "--max-batches N extends it, --restart starts over" if prepared.resumed else "--clear counts from 0"
    prepared.notices(
        f"nothing to do: iteration {loop.iteration} of {loop.config.max_batches} is reached; {how}"
    )
    if prepared.resumed and prepared.checkpoints.complete(started.trainer):
        prepared.notices(f"{prepared.checkpoints.weights('final')} was missing, and is written now")
    return _outcome(started, "nothing-to-do")


def _rolled_back(started: Started, error: NonFinite) -> bool:
    """With ``on_nan=rollback``: make an earlier state, with a lower rate, the last one."""
    prepared = started.prepared
    if prepared.config.rollback is None:
        return False
    judges = (started.evaluator, started.monitor)
    done = roll_back(prepared.checkpoints, started.loop, judges, prepared.config.rollback)
    if done:
        _finish(started, "non-finite")
        prepared.notices(f"{error}: {done}")
        with darknet_log.open_to_append(prepared.folder.file("train.log")) as log:
            log.write(f"{error}: {done}\n")
    return bool(done)


def _conclude(started: Started, reason: str) -> Outcome:
    """Write what stays of the session: ``run.json``, ``summary.json``, the report."""
    prepared = started.prepared
    if bad := started.loader.images.bad:
        prepared.notices(f"{len(bad)} images could not be read: {', '.join(sorted(bad)[:5])}")
    with contextlib.suppress(FileError):
        _finish(started, reason)
    outcome = _outcome(started, reason)
    if prepared.folder.file("results.csv").is_file():
        try:
            outcome = summarise(outcome, started.loop, started.monitor, prepared.checkpoints)
        except Exception as error:  # a missing summary does not change how the training ended
            prepared.notices.show(f"summary.json cannot be written: {type(error).__name__}: {error}")
    plots.final_report(prepared.folder, prepared.config, prepared.notices.show)
    return outcome


def _finish(started: Started, reason: str) -> None:
    notices = started.prepared.notices.kept
    started.prepared.folder.finish(reason, started.loop.iteration, started.evaluator.best_map, notices)


def _outcome(started: Started, reason: str) -> Outcome:
    checkpoints = started.prepared.checkpoints
    found = {kind: checkpoints.weights(kind) for kind in ("last", "best", "final", "ema")}
    files = {kind: path for kind, path in found.items() if path.is_file()}
    folder, best = started.prepared.folder.path, started.evaluator.best_map
    return Outcome(reason, folder, started.loop.iteration, best, files)


def _run_command(command: str | None, folder: RunFolder, reason: str) -> None:
    """Run the command of ``--on-end``."""
    if not command:
        return
    facts = {"PYDARKNET_REASON": reason, "PYDARKNET_RUN": str(folder.path.absolute())}
    code = subprocess.run(command, shell=True, check=False, env={**os.environ, **facts}).returncode
    if code:
        _log.warning("the command of --on-end ended with exit code %d", code)


def resume(folder: Path, **changes: Any) -> TrainConfig:
    """Settings of an existing run, to be passed to :func:`train`.

    Args:
        folder: of the run, or one of its weights or states, or a folder of runs, whose newest is meant.
        changes: fields to replace, for example ``max_batches``.

    Raises:
        FileError: there is no run, or its settings cannot be read.
        ArgumentError: invalid values.  Values of another training are rejected by :func:`train`.
    """
    folder = _run_meant_by(Path(folder))
    before = RunFolder(folder).previous("", _ignore)  # `train` reports what is missing
    if before is None:
        raise FileError(f"{folder}: is not a run folder: it has neither run.json nor a saved state")
    return before.with_changes(out=folder, restart=False, **changes)


def _run_meant_by(place: Path) -> Path:
    if place.is_file() and place.parent.name == "weights":
        return place.parent.parent
    if RunFolder(place).exists or any(place.glob(f"weights/*{STATE}")):
        return place
    below = sorted(place.glob(f"*/weights/*{STATE}"), key=lambda state: state.stat().st_mtime_ns)
    return below[-1].parent.parent if below else place


def _ignore(text: str) -> None:
    """Ignore a notice."""
