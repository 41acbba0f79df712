# SPDX-License-Identifier: Apache-2.0
"""One writer in a run folder: between processes, PID namespaces, machines, and drives without flock."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

import pydarknet
from pydarknet.errors import FileError
from pydarknet.runs import lock
from pydarknet.runs.config import TrainConfig
from pydarknet.runs.folder import RunFolder, choose

ROOT = Path(pydarknet.__file__).parents[1]
BEAT = 0.04

#: Holds the lock until its standard input is closed.
HOLD = """
import sys
from pathlib import Path
from pydarknet.runs.folder import RunFolder
with RunFolder(Path(sys.argv[1])).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A run folder, with heartbeats so fast that no test waits long."""
    monkeypatch.setattr(lock, "BEAT", BEAT)
    run = RunFolder(tmp_path / "run")
    run.weights.mkdir(parents=True)
    return run


@contextmanager
def holder(folder: RunFolder, *prefix: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of a folder."""
    words = [*prefix, sys.executable, "-c", HOLD, str(folder.path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment}
    with subprocess.Popen(words, **pipes) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def refused(folder: RunFolder) -> bool:
    with pytest.raises(FileError, match="is writing into this folder; two runs in one folder destroy"):
        folder.locked().__enter__()
    return True


def left_behind(folder: RunFolder, **facts: object) -> Path:
    """The lock of an owner that this kernel does not know."""
    text = {"token": "other", "host": "elsewhere", "pid": 1, "time": "then", "kernel": "", "beat": 3, **facts}
    folder.file("lock").write_text(json.dumps(text))
    return folder.file("lock")


def usurped(folder: RunFolder, **facts: object) -> Path:
    """The same, while this process holds the lock, and after it has noticed."""
    deadline = time.monotonic() + 30
    while not folder.is_lost and time.monotonic() < deadline:
        left_behind(folder, **facts)  # again and again: a heartbeat may be writing just now
        time.sleep(BEAT)
    return folder.file("lock")


def test_held_and_released(folder: RunFolder) -> None:
    with folder.locked():
        assert f"process {os.getpid()} on {os.uname().nodename}" in folder.owner()
        assert refused(RunFolder(folder.path))
    assert not folder.file("lock").exists()
    assert folder.owner() == ""


def test_another_process_holds_it_and_the_kernel_frees_it(folder: RunFolder) -> None:
    """Killed, its lock is free in the same instant, though the file is still there."""
    with holder(folder) as process:
        assert refused(folder)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert folder.file("lock").exists()
        assert folder.owner() == ""
        told: list[str] = []
        with folder.locked(told.append):
            assert not told


def test_another_pid_namespace(folder: RunFolder, record_property: Callable[[str, object], None]) -> None:
    """Two containers with one volume: the owner is not in our /proc, and holds the lock all the same."""
    unshare = [shutil.which("unshare") or "", "-p", "-f", "--mount-proc", "--kill-child"]
    if not unshare[0] or subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no right to make a PID namespace (unshare)")
    with holder(folder, *unshare):
        assert json.loads(folder.file("lock").read_text())["pid"] == 1
        assert refused(folder)
        assert "process 1 on" in folder.owner()
    record_property("tried", "lock held in another PID namespace: 1 tried, 0 taken by a second process")


@pytest.mark.parametrize("host", ["elsewhere", os.uname().nodename])
def test_another_machine_that_is_alive(folder: RunFolder, host: str) -> None:
    """Its flock is not seen here, but its heartbeat is; the name of the machine does not matter."""
    place = left_behind(folder, host=host)
    told: list[str] = []

    def beat(text: str) -> None:
        told.append(text)
        left_behind(folder, host=host, beat=4)

    with pytest.raises(FileError, match="is writing into this folder"):
        folder.locked(beat).__enter__()
    assert len(told) == 1
    assert "waiting up to" in told[0]
    assert json.loads(place.read_text())["token"] == "other"


@pytest.mark.parametrize("hours", [-48, 0, 48])
def test_another_machine_that_is_gone(folder: RunFolder, hours: int) -> None:
    """Taken over after some heartbeats, whatever its clock or ours was."""
    place = left_behind(folder)
    os.utime(place, (time.time() - 3600 * hours,) * 2)
    told: list[str] = []
    with folder.locked(told.append):
        assert json.loads(place.read_text())["pid"] == os.getpid()
    assert "left by process 1 on elsewhere (since then); waiting up to" in told[0]
    assert "gave no sign in" in told[1]
    assert not place.exists()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"pid": []}', "\x00" * 300, "[" * 50000], ids=lambda text: text[:3] or "empty"
)
def test_any_text_in_the_lock(folder: RunFolder, text: str) -> None:
    """A lock cut short by a crash, or damaged, is taken over too."""
    folder.file("lock").write_text(text)
    assert isinstance(folder.owner(), str)
    with folder.locked():
        assert refused(RunFolder(folder.path))
    assert not folder.file("lock").exists()


def test_a_drive_without_flock(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """There the heartbeat alone decides."""
    monkeypatch.setattr(lock, "BEAT", 10 * BEAT)  # a busy machine may suspend the threads for a while

    def missing(*_: object) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(fcntl, "flock", missing)
    with folder.locked():
        assert refused(RunFolder(folder.path))
        assert f"process {os.getpid()}" in folder.owner()
    left_behind(folder)
    with folder.locked():
        assert refused(RunFolder(folder.path))
    assert not folder.file("lock").exists()


def test_many_at_once_without_flock(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several that find the same abandoned lock, at most one goes on."""
    monkeypatch.setattr(lock, "BEAT", 10 * BEAT)

    def missing(*_: object) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(fcntl, "flock", missing)
    left_behind(folder)
    begin, taken, over = threading.Barrier(4), [], threading.Event()

    def contend() -> None:
        begin.wait()
        try:
            with RunFolder(folder.path).locked():
                taken.append(1)
                over.wait(30)
        except FileError:
            pass

    threads = [threading.Thread(target=contend) for _ in range(4)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 30
    while sum(thread.is_alive() for thread in threads) > len(taken) and time.monotonic() < deadline:
        time.sleep(BEAT)
    assert len(taken) <= 1
    over.set()
    for thread in threads:
        thread.join()


def test_an_owner_that_lost_its_lock_writes_no_more(folder: RunFolder) -> None:
    """A suspended process finds another's token: it neither writes nor deletes that lock."""
    with folder.locked():
        place = usurped(folder, host="taker")
        with pytest.raises(FileError, match=r"process 1 on taker .* has taken over this folder"):
            folder.write({})
    assert json.loads(place.read_text())["host"] == "taker"
    assert not folder.file("run.json").exists()


def test_trainings_that_start_at_once_have_folders_of_their_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A folder without a run belongs to the process that made it, unless that one is gone."""
    monkeypatch.chdir(tmp_path)
    Path("runs").mkdir()
    Path("runs/x-2").touch()  # in the way
    config = TrainConfig(cfg="x.cfg", data="x.data")
    with ThreadPoolExecutor(8) as pool:
        chosen = [folder.path for folder, _ in pool.map(lambda _: choose(config, "x"), range(8))]
    assert sorted(chosen) == sorted(Path(f"runs/x-{number}") for number in (1, *range(3, 10)))
    last = RunFolder(Path("runs/x-9"))
    with last.locked():
        last.file("preflight.json").touch()
        assert choose(config, "x")[0].path == Path("runs/x-10")
    Path("runs/x-10").rmdir()
    assert choose(config, "x")[0].path == last.path  # its process ended before there was a run
