# SPDX-License-Identifier: Apache-2.0
"""The folder of a run: its number, its lock, and ``run.json``."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydarknet import __version__
from pydarknet.engine.handle import NetworkInfo
from pydarknet.engine.info import info
from pydarknet.errors import ArgumentError, FileError
from pydarknet.runs.config import TrainConfig, changed
from pydarknet.system.atomic import persistently, write_text
from pydarknet.system.notify import Notify

SILENT = 900.0  # seconds without a heartbeat after which the lock of another machine counts as left behind
BEAT = 20.0  # seconds between heartbeats


class RunFolder:
    """The files of a run.

    Attributes:
        path: the folder; may be a link, on a slow drive, and have spaces in its name.
        weights: folder of the saved weights and states.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.weights = path, path / "weights"

    def file(self, name: str) -> Path:
        """Path of a file in the folder."""
        return self.path / name

    @property
    def exists(self) -> bool:
        """Whether the folder holds a run."""
        return self.file("run.json").is_file()

    def read(self) -> dict[str, Any]:
        """Read ``run.json``.

        Raises:
            FileError: it is missing or damaged.
        """
        try:
            table = json.loads(self.file("run.json").read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise FileError(f"{self.path}: is not a run folder: {error}") from None
        if not isinstance(table, dict):
            raise FileError(f"{self.path}: is not a run folder: run.json is not a JSON object")
        return table

    def config(self) -> TrainConfig:
        """Settings that the run was last started with."""
        return TrainConfig.from_json(self.read()["config"])

    def begin(self, config: TrainConfig, network: NetworkInfo, notify: Notify) -> None:
        """Enter a session into ``run.json``; report what makes its results differ from those of the last one.

        Args:
            config: the settings, their precision settled.
            network: facts about the network to be trained.
            notify: receives a line for each difference.
        """
        table = self.read() if self.exists else {"sessions": []}
        now = {"threads": network.threads, "backend": network.backend, "device": network.device}
        _report_rounding((table["sessions"] or [{}])[-1], now, notify)
        table.pop("result", None)  # that of the session before; this one may be killed
        table["config"] = config.to_json()
        table["versions"] = {"pydarknet": __version__, "python": platform.python_version()}
        machine = info()
        table["machine"] = {name: machine[name] for name in ("platform", "cpu", "threads", "ram", "gpu")}
        table["sessions"].append(
            {"command": sys.argv, "host": socket.gethostname(), "started": _now(), "pid": os.getpid()} | now
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
        text = json.dumps(table, indent=1, ensure_ascii=False) + "\n"
        persistently(lambda: write_text(self.file("run.json"), text))

    # -- the lock

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder against other processes.

        Raises:
            FileError: another process holds the lock, or the folder cannot be created.
        """
        lock = self.file("lock")
        mine = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "time": _now(),
            "birth": _birth(os.getpid()),
        }
        try:
            self.weights.mkdir(parents=True, exist_ok=True)
            self._take(lock, json.dumps(mine))
        except OSError as error:
            if isinstance(error, FileError):
                raise
            raise FileError(f"{self.path}: cannot be created: {error.strerror}") from None
        over = threading.Event()
        heart = threading.Thread(target=self._beat, args=(over,), name="pydarknet-lock", daemon=True)
        heart.start()
        try:
            yield
        finally:
            over.set()
            heart.join()
            with contextlib.suppress(OSError):
                lock.unlink()

    def _take(self, lock: Path, text: str) -> None:
        for _ in range(3):
            try:
                with lock.open("x", encoding="utf-8") as file:
                    file.write(text)
            except FileExistsError:
                owner = self._owner(lock)
                if owner:
                    raise FileError(
                        f"{self.path}: {owner} is writing into this folder; two runs in one folder destroy "
                        f"each other. Use another --out, or delete {lock} if that process is gone"
                    ) from None
                # Only one of several processes that find it abandoned can rename it.
                with contextlib.suppress(FileNotFoundError):
                    lock.rename(lock.with_name(f".lock.{os.getpid()}"))
                    lock.with_name(f".lock.{os.getpid()}").unlink()
            else:
                return
        raise FileError(f"{lock}: other processes keep taking it")

    def owner(self) -> str:
        """Description of the process that writes into the folder; "" if there is none."""
        lock = self.file("lock")
        return self._owner(lock) if lock.exists() else ""

    def _owner(self, lock: Path) -> str:
        """Description of the process that holds the lock; "" if the lock was left behind."""
        try:
            owner, beat = json.loads(lock.read_text("utf-8")), lock.stat().st_mtime
            host, pid, birth = owner["host"], int(owner["pid"]), owner["birth"]
        except (OSError, ValueError, KeyError, TypeError):
            # Just being written, or cut short by a crash: the age decides.
            with contextlib.suppress(OSError):
                return "another process" if time.time() - lock.stat().st_mtime < BEAT else ""
            return ""
        if host == socket.gethostname():
            return f"process {pid} (since {owner['time']})" if _birth(pid) == birth and birth else ""
        silent = time.time() - beat
        return f"process {pid} on {host} (last sign {silent:.0f} s ago)" if silent < SILENT else ""

    def _beat(self, over: threading.Event) -> None:
        """Touch the lock regularly, so that a long evaluation does not look like a dead process."""
        while not over.wait(BEAT):
            with contextlib.suppress(OSError):
                os.utime(self.file("lock"))


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def _birth(pid: int) -> str:
    """Start time of a process, to distinguish it from a later one with the same id; "" if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        pass
    if Path("/proc/self").exists():
        return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "alive"


def choose(config: TrainConfig, base: str) -> tuple[RunFolder, TrainConfig | None]:
    """Choose the folder of a training; returns the settings of the run to resume there, too.

    A run in ``config.out`` is resumed, or without ``out`` the newest numbered one if it is the same training
    and not finished.

    Raises:
        ArgumentError: the folder holds another training.
    """
    if config.out is not None:
        run = RunFolder(Path(config.out))
        if not run.exists:
            return run, None
        if config.restart:
            _move_aside(run.path)
            return run, None
        before = run.config()
        if different := changed(before, config):
            raise ArgumentError(
                f"{run.path}: the run there has another {', '.join(different)}; use another --out, or "
                "--restart to move it aside"
            )
        return run, before
    numbers = _numbers(base)
    if numbers and not config.restart:
        run = RunFolder(Path("runs", f"{base}-{numbers[-1]}"))
        if not run.exists:
            return run, None
        if not changed(run.config(), config):
            done = run.read().get("result", {}).get("reason") in ("finished", "early-stop", "overfit-stop")
            longer = (config.max_batches, config.epochs) != (run.config().max_batches, run.config().epochs)
            if not done or longer:
                return run, run.config()
    return RunFolder(Path("runs", f"{base}-{(numbers[-1] if numbers else 0) + 1}")), None


def _numbers(base: str) -> list[int]:
    tails = (path.name.removeprefix(f"{base}-") for path in Path("runs").glob(f"{base}-*") if path.is_dir())
    return sorted(int(tail) for tail in tails if tail.isdigit())


def _move_aside(folder: Path) -> None:
    number = 1
    while (place := folder.with_name(f"{folder.name}.before-{number}")).exists():
        number += 1
    with RunFolder(folder).locked():
        pass  # raises if another process is writing there
    folder.rename(place)


def _place(session: dict[str, Any]) -> str:
    """Backend and device of a session: ``"cpu (avx2)"``."""
    return f"{session['backend']} ({session['device']})" if session["device"] else str(session["backend"])


def _report_rounding(before: dict[str, Any], now: dict[str, Any], notify: Notify) -> None:
    """Report differences from the session before that change the rounding of sums."""
    lost = "so results will no longer be bit-identical"
    used, uses = before.get("threads", now["threads"]), now["threads"]
    if used != uses:
        notify(
            f"computed in {used} threads so far, in {uses} from now on: "
            f"rounding depends on the thread count, {lost} (--threads {used} keeps them so)"
        )
    places = [_place(one) for one in (before, now) if "device" in one]
    if len(set(places)) > 1:
        notify(f"computed on {places[0]} so far, on {places[1]} from now on: rounding depends on it, {lost}")
