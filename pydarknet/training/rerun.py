# SPDX-License-Identifier: Apache-2.0
"""Repetition of a run from its beginning, with the settings, the cfg and the inputs that it had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydarknet.data import read
from pydarknet.data.fingerprint import identity
from pydarknet.data.splits import Splits
from pydarknet.errors import ArgumentError, FileError
from pydarknet.runs.config import TrainConfig
from pydarknet.runs.folder import RunFolder
from pydarknet.runs.record import RunRecord, read_record, state_of
from pydarknet.training.prepare import base_of
from pydarknet.training.resumed_inputs import weights_identity


def rerun(folder: Path, **changes: Any) -> TrainConfig:
    """Settings that repeat an existing run in another folder, to be passed to :func:`train`.

    The cfg is the copy in the folder of the run. With the same inputs and the same number of threads, which
    is taken from the run, the final weights have the same bits on the same kind of processor.

    Args:
        folder: of the run.
        changes: fields to replace, for example ``out``; without ``out`` the folder is the next numbered one.

    Raises:
        FileError: there is no run, its settings cannot be read, or its cfg or saved state is missing.
        ArgumentError: class names, images, labels or initial weights are not those of the run; or ``out`` is
            the folder of the run.
        DataError: the data cannot be read.
    """
    run = RunFolder(folder)
    sessions, before = run.read()["sessions"], run.config()
    base = base_of(before)
    cfg, state = run.file(f"{base}.cfg"), state_of(run.weights, base)
    if state is None or not cfg.is_file():
        missing = cfg if state else run.weights / f"{base}_last.state"
        raise FileError(f"{missing}: not found; the run cannot be repeated without it")
    threads = sessions[-1].get("threads") if sessions else None
    own = {"cfg": cfg, "out": None, "restart": False, "threads": threads or before.threads}
    config = before.with_changes(**{**own, **changes})
    if config.out is not None and Path(config.out).resolve() == folder.resolve():
        raise ArgumentError(f"{folder}: is the run that is to be repeated; use another folder as out")
    if record := read_record(state):
        _require_same(record, config, folder)
    return config


def _require_same(record: RunRecord, config: TrainConfig, folder: Path) -> None:
    """Refuse inputs that would make it another run."""
    splits = Splits.of(read(Path(config.data)), config.val_fraction, config.seed)
    weights = Path(config.weights) if config.weights is not None else None
    now = {
        "class names": (tuple(splits.names), record.names),
        "images and labels": (identity(splits.train), record.images),
        "initial weights": (
            weights_identity(weights) if weights and weights.is_file() else {},
            record.weights,
        ),
    }
    if other := [name for name, (found, before) in now.items() if found != before]:
        raise ArgumentError(
            f"{folder}: the run had other {', '.join(other)}; restore them, or begin another run with "
            f"--cfg {config.cfg} --data {config.data}"
        )
