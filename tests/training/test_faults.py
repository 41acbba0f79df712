# SPDX-License-Identifier: Apache-2.0
"""A fault at every n-th write, fsync, rename, mkdir or open of a short training: the run ends the same."""

from __future__ import annotations

import builtins
import errno
import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import shapes

from pydarknet import TrainConfig
from pydarknet.errors import DarknetError
from pydarknet.system import atomic
from pydarknet.training import checkpoint, train

LENGTH = 3
MOST = 5  # places at which one kind of call is made to fail, spread over the training


class Killed(BaseException):
    """The process is gone: nothing that follows may write."""


class Faults:
    """Counts calls that change files below a folder, and lets one of them fail.

    Args:
        folder: of the run.
        kind: ``write``, ``fsync``, ``rename``, ``mkdir`` or ``open`` (for writing).
        at: number of the call that fails, from 1; 0: none.
        error: raised there; :class:`Killed` is raised at every later call of any kind, too.
    """

    def __init__(self, folder: Path, kind: str, at: int, error: BaseException) -> None:
        self.folder, self.kind, self.at, self.error = str(folder), kind, at, error
        self.count, self.dead = 0, False
        self.files: list[Any] = []

    def check(self, kind: str, path: object) -> None:
        """Raise if this is the call that fails."""
        if isinstance(path, int):
            path = Path(f"/proc/self/fd/{path}").readlink()
        if self.folder not in str(path) or str(path).endswith("/lock"):
            return  # the lock has a thread and tests of its own
        if self.dead:
            raise self.error
        self.count += kind == self.kind
        if kind == self.kind and self.count == self.at:
            self.dead = isinstance(self.error, Killed)
            raise self.error

    def wrapped(self, kind: str, real: Callable[..., Any]) -> Callable[..., Any]:
        """A function that may fail."""

        def call(path: Any, *arguments: Any, **more: Any) -> Any:
            if kind != "open":
                self.check(kind, path)
                return real(path, *arguments, **more)
            mode = str(arguments[0] if arguments else more.get("mode", "r"))
            if not set(mode) & set("wax+"):
                return real(path, *arguments, **more)
            self.check(kind, path)
            file = real(path, *arguments, **more)
            self.files.append(file)
            write = file.write
            file.write = lambda data: (self.check("write", path), write(data))[1]
            return file

        return call


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, faults: Faults) -> Iterator[None]:
    with monkeypatch.context() as patch:
        for module, name, kind in (
            (os, "fsync", "fsync"),
            (os, "rename", "rename"),
            (os, "replace", "rename"),
            (os, "mkdir", "mkdir"),
            (io, "open", "open"),
            (builtins, "open", "open"),
        ):
            patch.setattr(module, name, faults.wrapped(kind, getattr(module, name)))
        patch.setattr(atomic, "time", SimpleNamespace(sleep=lambda _: None))
        yield
    for file in faults.files:  # as the end of a process does
        file.close()


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    data, cfg = shapes.data_set(tmp_path / "ds", 4, 2), shapes.cfg(tmp_path, LENGTH, size=32)
    return TrainConfig(
        cfg,
        data,
        out=tmp_path / "run",
        threads=1,
        workers=1,
        force=True,
        plots=False,
        map_every=2,
        last_every=1,
    )


def bits(config: TrainConfig) -> tuple[bytes, dict[str, bytes]]:
    """Weights and state at the end of a run."""
    folder = Path(config.out or "") / "weights"
    arrays = checkpoint.load(folder / "shapes_last.state").trainer["arrays"]
    return (folder / "shapes_final.weights").read_bytes(), {k: v.tobytes() for k, v in arrays.items()}


def files(config: TrainConfig) -> set[str]:
    return {path.name for path in (Path(config.out or "") / "weights").iterdir()}


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # a killed session closes no file
@pytest.mark.parametrize("fault", ["full disk", "temporary", "kill"])
@pytest.mark.parametrize("kind", ["write", "fsync", "rename", "mkdir", "open"])
def test_a_fault_at_every_call(
    config: TrainConfig,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
    kind: str,
    fault: str,
) -> None:
    """A full disk or a kill ends the session, a temporary error may not; the next start has the same bits."""
    error: BaseException = {
        "full disk": OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        "temporary": OSError(errno.EIO, os.strerror(errno.EIO)),
        "kill": Killed(),
    }[fault]
    whole = replace(config, out=Path(config.out or "").with_name("whole"))
    train(whole)
    counter = Faults(Path(config.out or ""), kind, 0, error)
    with failing(monkeypatch, counter):
        train(config)
    expected = bits(config)
    assert expected == bits(whole)
    assert counter.count >= LENGTH
    step = max(1, -(-counter.count // MOST))
    expected_errors = (Killed,) if fault == "kill" else (DarknetError, OSError)
    tried = failed = 0
    for at in range(1, counter.count + 1, step):
        shutil.rmtree(config.out or "")
        tried += 1
        with failing(monkeypatch, Faults(Path(config.out or ""), kind, at, error)):
            try:
                train(config)
            except expected_errors:
                failed += 1
        train(config)
        assert bits(config) == expected
        assert files(config) == files(whole)
    figures = f"{counter.count} calls, {tried} tried, {failed} ended the session, 0 left another result"
    record_property("tried", f"{fault} at {kind}: {figures}")
    assert tried
