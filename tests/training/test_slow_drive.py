# SPDX-License-Identifier: Apache-2.0
"""Mounted drives with errors: temporary ones are retried, others reported at once."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import shapes

from pydarknet import TrainConfig
from pydarknet.errors import FileError
from pydarknet.system import atomic
from pydarknet.system.atomic import persistently, write_text
from pydarknet.training import checkpoint, train


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Recorded waits, without waiting."""
    waited: list[float] = []
    monkeypatch.setattr(atomic, "time", SimpleNamespace(sleep=waited.append))
    return waited


class Stumbling:
    """``os.fsync`` that fails some times."""

    def __init__(self, number: int, times: int) -> None:
        self.number, self.times, self.calls = number, times, 0
        self.real = os.fsync

    def __call__(self, handle: int) -> None:
        self.calls += 1
        if self.calls <= self.times:
            raise OSError(self.number, os.strerror(self.number))
        self.real(handle)


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO, errno.ETIMEDOUT])
def test_what_passes_is_tried_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pauses: list[float],
    number: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Longer and longer, with a warning each time."""
    monkeypatch.setattr(os, "fsync", Stumbling(number, 3))
    persistently(lambda: write_text(tmp_path / "x", "new"))
    assert (tmp_path / "x").read_text() == "new"
    assert pauses == sorted(pauses)
    assert len(pauses) == 3
    assert caplog.text.count(f"{os.strerror(number)}; trying again in") == 3
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_lasting_errors_are_reported_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pauses: list[float], number: int
) -> None:
    (tmp_path / "x").write_text("old")
    monkeypatch.setattr(os, "fsync", Stumbling(number, 1))
    with pytest.raises(FileError, match=f"cannot be written: {os.strerror(number)}"):
        persistently(lambda: write_text(tmp_path / "x", "new"))
    assert not pauses
    assert (tmp_path / "x").read_text() == "old"


def test_it_gives_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> None:
    monkeypatch.setattr(os, "fsync", Stumbling(errno.EIO, 100))
    with pytest.raises(FileError, match=os.strerror(errno.EIO)):
        persistently(lambda: write_text(tmp_path / "x", "new"))
    assert len(pauses) == 3


def test_a_training_gets_over_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    """A temporary error while a state is saved costs a pause, not the run."""
    data, cfg = shapes.data_set(tmp_path / "ds"), shapes.cfg(tmp_path, 6)
    config = TrainConfig(cfg, data, out=tmp_path / "run", threads=1, force=True, last_every=1, map_every=0)
    real, calls = checkpoint.save, []

    def save(path: Path, found: checkpoint.Checkpoint) -> None:
        calls.append(path)
        if len(calls) == 3:
            raise FileError(f"{path}: cannot be written: I/O error: {os.strerror(errno.EIO)} (os error 5)")
        real(path, found)

    monkeypatch.setattr(checkpoint, "save", save)
    outcome = train(replace(config))
    assert outcome.reason == "finished"
    assert len(pauses) == 1
    assert checkpoint.load(tmp_path / "run/weights/shapes_last.state").trainer["iteration"] == 6
