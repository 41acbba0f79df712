# SPDX-License-Identifier: Apache-2.0
"""The folder of a run: its number, its lock, and ``run.json``."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import platform
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydarknet import __version__
from pydarknet.engine.handle import NetworkInfo
from pydarknet.engine.info import engine_libraries, info
from pydarknet.errors import FileError
from pydarknet.runs.config import TrainConfig, changed
from pydarknet.runs.lock import FolderLock, acquire, owner
from pydarknet.runs.record import read_record, state_of, way_on
from pydarknet.system.atomic import persistently, write_text
from pydarknet.system.notify import Notify

_log = logging.getLogger("pydarknet")


class RunFolder:
    """The files of a run.

    Attributes:
        path: the folder; may be a link, on a slow drive, and have spaces in its name.
        weights: folder of the saved weights and states.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.weights = path, path / "weights"
        self._lock: FolderLock | None = None

    def file(self, name: str) -> Path:
        """Path of a file in the folder."""
        return self.path / name

    @property
    def exists(self) -> bool:
        """Whether the folder holds a run."""
        return self.file("run.json").is_file()

    @property
    def is_finished(self) -> bool:
        """Whether the last session came to the end of the training."""
        with contextlib.suppress(FileError, AttributeError):
            return self.read().get("result", {}).get("reason") in ("finished", "early-stop", "overfit-stop")
        return False

    @property
    def is_starting(self) -> bool:
        """Whether another process has taken the folder for a run that it has not yet begun."""
        return bool(self.owner()) or not any(path.is_file() for path in self.path.rglob("*"))

    def read(self) -> dict[str, Any]:
        """Read ``run.json``.

        Raises:
            FileError: it is missing or damaged.
        """
        path = self.file("run.json")
        try:
            table = json.loads(path.read_text("utf-8"))
            if not isinstance(table["config"], dict):
                raise ValueError("config is not a JSON object")
            if not all(isinstance(session, dict) for session in table["sessions"]):
                raise ValueError("sessions is not a list of JSON objects")
        except FileNotFoundError:
            raise FileError(f"{self.path}: is not a run folder: it has no run.json") from None
        except OSError as error:
            raise FileError(f"{path}: cannot be read: {error.strerror}") from None
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise FileError(f"{path}: is damaged: {type(error).__name__}: {error}") from None
        return table  # type: ignore[no-any-return]

    def config(self) -> TrainConfig:
        """Settings that the run was last started with.

        Raises:
            FileError: ``run.json`` is missing or damaged.
        """
        return self._settings(self.read()["config"], self.file("run.json"))

    def previous(self, base: str, notify: Notify) -> TrainConfig | None:
        """Settings of the run in the folder: of ``run.json``, or else of the saved state.

        Args:
            base: first part of the name of its state, if there are several.
            notify: receives a notice if ``run.json`` is missing or damaged.

        Returns:
            None if there is no run.

        Raises:
            FileError: there is a saved state, but its settings cannot be read; the message has the way on.
        """
        try:
            return self.config()
        except FileError as error:
            reason, state = error, state_of(self.weights, base)
        if state is None:
            if self.exists:
                notify(f"{reason}; nothing was saved, so the training begins from scratch")
            return None
        record = read_record(state)
        if record is None:
            raise FileError(f"{reason}, and {state.name} is of an earlier version; {way_on(state)}")
        notify(f"{reason}; the settings are read from {state.name}, the list of sessions begins again")
        return self._settings(record.config, state)

    def _settings(self, values: dict[str, Any], path: Path) -> TrainConfig:
        try:
            return TrainConfig.from_json(values)
        except (TypeError, ValueError, AttributeError) as error:  # ArgumentError is a ValueError
            raise FileError(f"{path}: is damaged: its settings are not valid: {error}") from None

    def begin(
        self,
        config: TrainConfig,
        network: NetworkInfo,
        notify: Notify,
        inputs: dict[str, Any] | None = None,
        workers: int = 1,
    ) -> None:
        """Enter a session into ``run.json``; report what makes its results differ from those of the last one.

        Args:
            config: the settings, their precision settled.
            network: facts about the network to be trained.
            notify: receives a line for each difference.
            inputs: identity of the inputs of the session, and how they differ from those of the last.
            workers: processes that share the mini-batches.
        """
        table: dict[str, Any] = {"sessions": []}
        with contextlib.suppress(FileError):
            table = self.read()
        libraries = engine_libraries(network.backend)
        now: dict[str, Any] = {
            "threads": network.threads,
            "backend": network.backend,
            "device": network.device,
            "precision": network.precision,
            "libraries": libraries,
        }
        if workers > 1:
            now["workers"] = workers
        _report_rounding((table["sessions"] or [{}])[-1], now, notify)
        table.pop("result", None)  # that of the session before; this one may be killed
        table["config"] = config.to_json()
        table["versions"] = {"pydarknet": __version__, "python": platform.python_version(), **libraries}
        machine = info()
        table["machine"] = {name: machine[name] for name in ("platform", "cpu", "threads", "ram", "gpu")}
        table["machine"]["computes_on"] = network.place
        table["sessions"].append(
            {"command": sys.argv, "host": socket.gethostname(), "started": _now(), "pid": os.getpid()}
            | now
            | ({"inputs": inputs} if inputs else {})
        )
        self.write(table)

    def finish(self, reason: str, iteration: int, best_map: float | None, notices: Sequence[str]) -> None:
        """Enter the end of the session into ``run.json``.

        Args:
            reason: a key of :data:`pydarknet.runs.outcome.EXIT_CODES`.
            iteration: number of updates done.
            best_map: highest mAP@0.5, 0..1; None if nothing was evaluated.
            notices: of the session.
        """
        result = {"reason": reason, "iteration": iteration, "best_map": best_map, "notes": list(notices)}
        table = self.read()
        table["sessions"][-1] |= {"ended": _now(), **result}
        table["result"] = result
        self.write(table)

    def write(self, table: dict[str, Any]) -> None:
        """Replace ``run.json``."""
        self.require_lock()
        text = json.dumps(table, indent=1, ensure_ascii=False) + "\n"
        persistently(lambda: write_text(self.file("run.json"), text))

    # -- the lock

    @contextlib.contextmanager
    def locked(self, notify: Notify = _log.info) -> Iterator[None]:
        """Lock the folder against other processes, see :mod:`pydarknet.runs.lock`.

        Args:
            notify: receives a notice if that takes long, or the lock of a process that is gone is taken over.

        Raises:
            FileError: another process writes into the folder, or it cannot be created.
        """
        try:
            self.weights.mkdir(parents=True, exist_ok=True)
            lock = self._lock = acquire(self.file("lock"), notify)
        except OSError as error:
            if isinstance(error, FileError):
                raise
            raise FileError(f"{self.path}: cannot be created: {error.strerror}") from None
        try:
            yield
        finally:
            lock.release()

    @property
    def is_lost(self) -> bool:
        """Whether another process has taken the lock over, because this one gave no sign of life."""
        return bool(self._lock and self._lock.usurper)

    def require_lock(self) -> None:
        """Check that the lock is still ours.

        Raises:
            FileError: it :attr:`is_lost`.
        """
        if self._lock and (usurper := self._lock.usurper):
            raise FileError(
                f"{self.path}: {usurper} has taken over this folder, since this process was suspended or cut "
                "off from the drive; nothing more is written here"
            )

    def owner(self) -> str:
        """Description of the process that writes into the folder; "" if there is none."""
        return owner(self.file("lock"))


def set_aside(path: Path) -> None:
    """Give a damaged file, or a folder in place of a file, another name, so that a new file can be begun."""
    number = 1
    while (place := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    path.rename(place)
    _log.warning("%s: is damaged; it is called %s now, and a new file begins", path, place.name)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def choose(
    config: TrainConfig, base: str, notify: Notify = _log.info
) -> tuple[RunFolder, TrainConfig | None]:
    """Choose the folder of a training; returns the settings of the run to resume there, too.

    A run in ``config.out`` is resumed, or without ``out`` the newest numbered one if it is the same training
    and not finished. Trainings that start at once get numbers of their own: a new folder is created here.

    Args:
        config: the settings.
        base: name of numbered runs.
        notify: receives the decisions made.

    Raises:
        FileError: the settings of the run cannot be read.
    """
    if config.out is not None:
        run = RunFolder(Path(config.out))
        if config.restart and (run.exists or any(run.weights.glob("*"))):
            _move_aside(run.path, notify)
            return run, None
        return run, run.previous(base, notify)
    numbers = _numbers(base)
    if numbers and not config.restart:
        run = RunFolder(Path("runs", f"{base}-{numbers[-1]}"))
        before = run.previous(base, notify)
        if before is None:
            return (_next_folder(base) if run.is_starting else run), None
        if different := changed(before, config):
            notify(
                f"{run.path}: is another training ({', '.join(different)}), so a new one begins; to continue "
                f"that one: pydarknet train --resume {run.path}"
            )
        else:
            longer = (config.max_batches, config.epochs) != (before.max_batches, before.epochs)
            if longer or not run.is_finished:
                return run, before
    return _next_folder(base), None


def _next_folder(base: str) -> RunFolder:
    """A new numbered folder, created so that no other process takes it."""
    number = max(_numbers(base), default=0)
    while (made := _created(Path("runs", f"{base}-{number + 1}"))) is None:
        number += 1
    return RunFolder(made)


def _created(path: Path) -> Path | None:
    """A folder; None if something of this name exists."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir()
    except OSError as error:
        if isinstance(error, FileExistsError) and os.path.lexists(path):
            return None
        raise FileError(f"{path}: cannot be created: {error.strerror}") from None
    return path


def _numbers(base: str) -> list[int]:
    tails = (path.name.removeprefix(f"{base}-") for path in Path("runs").glob(f"{base}-*") if path.is_dir())
    return sorted(int(tail) for tail in tails if tail.isdigit())


def _move_aside(folder: Path, notify: Notify) -> None:
    number = 1
    while (place := folder.with_name(f"{folder.name}.before-{number}")).exists():
        number += 1
    with RunFolder(folder).locked(notify):
        pass  # raises if another process is writing there
    folder.rename(place)


def _place(session: dict[str, Any]) -> str:
    """Backend and device of a session: ``"cpu (avx2)"``."""
    return f"{session['backend']} ({session['device']})" if session["device"] else str(session["backend"])


def _report_rounding(before: dict[str, Any], now: dict[str, Any], notify: Notify) -> None:
    """Report differences from the session before that change the rounding of sums."""
    lost = "so results will no longer be bit-identical"
    used, uses = before.get("threads", now["threads"]), now["threads"]
    workers = [one.get("workers", 1) for one in (before or now, now)]
    if workers[0] != workers[1]:
        notify(
            f"computed by {workers[0]} workers so far, by {workers[1]} from now on: results agree to "
            "rounding, but are not bit-identical"
        )
    elif used != uses:
        notify(
            f"computed in {used} threads so far, in {uses} from now on: "
            f"rounding depends on the thread count, {lost} (--threads {used} keeps them so)"
        )
    places = [_place(one) for one in (before, now) if "device" in one]
    if len(set(places)) > 1:
        notify(f"computed on {places[0]} so far, on {places[1]} from now on: rounding depends on it, {lost}")
