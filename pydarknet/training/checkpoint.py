# SPDX-License-Identifier: Apache-2.0
"""Saved states of a training: complete, and written atomically.

``NAME_last.state`` is a safetensors file: all arrays of the trainer's state, and in its metadata the JSON of
everything else, with a checksum of both.  It is a single file, so no crash can leave parts that do not
belong together.  Beside it is ``NAME_last.weights`` in Darknet's format, for other programs.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pydarknet.cfg import CfgFile, walk
from pydarknet.errors import DataError, FileError
from pydarknet.runs.record import STATE, RunRecord, way_on
from pydarknet.system.atomic import persistently, replacing
from pydarknet.weights import file as weights_file
from pydarknet.weights.arrays import arrays

if TYPE_CHECKING:
    from pydarknet.engine.network import Network
    from pydarknet.engine.trainer import State, Trainer

VERSION = "3"  # 1 and 2 had no checksum
_EMA_ROLES = {"biases": "biases", "scales": "scales", "weights": "weights"}


@dataclass(frozen=True)
class Checkpoint:
    """State from which a training resumes exactly.

    Attributes:
        trainer: result of :meth:`pydarknet.engine.trainer.Trainer.state`.
        meta: JSON values: the states of the loop and of the hooks.
        run: settings and inputs of the run; None if an earlier version saved it.
    """

    trainer: State
    meta: dict[str, Any]
    run: RunRecord | None = None


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint in place of an older one.

    Raises:
        FileError: it cannot be written; the older one is as it was.
    """
    from safetensors.numpy import save_file

    counters = dict(checkpoint.trainer)
    arrays = counters.pop("arrays")
    metadata = {"version": VERSION, "counters": json.dumps(counters), "meta": json.dumps(checkpoint.meta)}
    if checkpoint.run:
        metadata["run"] = checkpoint.run.to_text()
    metadata["sha256"] = _checksum(metadata, arrays)
    try:
        with replacing(path) as temporary:
            temporary.touch()
            mode = temporary.stat().st_mode  # by the umask; safetensors makes files for the owner alone
            save_file(arrays, temporary, metadata)
            temporary.chmod(mode)
        _sync(path.parent)
    except FileError:
        raise
    except Exception as error:  # safetensors reports a full disk with an exception of its own
        raise FileError(f"{path}: cannot be written: {error}") from None


def load(path: Path) -> Checkpoint:
    """Read a checkpoint, of this or an earlier version.

    Raises:
        DataError: the file is damaged, or of another version of this program.
        FileError: it cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        path.open("rb").close()  # safetensors hides why a file cannot be opened
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
            version = metadata.get("version")
            if version not in ("1", "2", VERSION):
                raise DataError(f"{path}: is not a training state that this version can read; {way_on(path)}")
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no dict
        checksum = metadata.pop("sha256", None)
        if (checksum is not None or version == VERSION) and checksum != _checksum(metadata, found):
            raise ValueError("its checksum does not match its content")
        state = {**json.loads(metadata["counters"]), "arrays": found}
        meta = json.loads(metadata["meta"])
        run = RunRecord.from_text(metadata["run"]) if "run" in metadata else None
        return Checkpoint(state, _upgraded(meta) if version == "1" else meta, run)
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: is damaged: {error}; {way_on(path)}") from None


def _checksum(metadata: Mapping[str, str], arrays: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of the metadata, and of names, types, shapes and values of the arrays."""
    digest = hashlib.sha256()
    for key in sorted(metadata):
        digest.update(f"{key}={metadata[key]}\n".encode("utf-8", "surrogatepass"))
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _upgraded(meta: dict[str, Any]) -> dict[str, Any]:
    """Convert the metadata of version 1, in which the loop kept the state of the evaluator."""
    loop, hooks = dict(meta["training"]), dict(meta["hooks"])
    hooks["evaluator"] = {name: loop.pop(name) for name in ("best", "last_map", "next_map")}
    if "trouble" in hooks:
        hooks["diagnostics"] = {**hooks["trouble"], "reported": hooks["trouble"]["silent"]}
        del hooks["trouble"], hooks["diagnostics"]["silent"]
    return {"training": loop, "hooks": hooks}


def _sync(folder: Path) -> None:
    """Make a rename survive a power failure, where the file system supports it."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass  # network drives do not support it; the rename is atomic all the same
    finally:
        os.close(handle)


class CheckpointDir:
    """The folder ``weights`` of a run: names of its files, writing and deleting them.

    Args:
        folder: of the files.
        base: first part of their names, as in Darknet: the name of the cfg up to its first dot.
        keep_best: keep ``_best``.
        numbered: number of numbered files to keep; may be infinite.

    Attributes:
        run: settings and inputs of the run, to be saved with its state.
    """

    def __init__(self, folder: Path, base: str, keep_best: bool, numbered: float) -> None:
        self.folder, self.base, self.keep_best, self.numbered = folder, base, keep_best, numbered
        self.run: RunRecord | None = None

    @property
    def last(self) -> Path:
        """Path of the state from which a run resumes."""
        return self.folder / f"{self.base}{STATE}"

    def weights(self, kind: str) -> Path:
        """Path of the Darknet weights ``last``, ``best``, ``final``, ``ema`` or of an iteration."""
        return self.folder / f"{self.base}_{kind}.weights"

    def clean(self) -> None:
        """Delete unfinished files of a killed process; only for the owner of the run's lock."""
        for path in self.folder.glob(f".{self.base[:70]}_*"):
            shutil.rmtree(path, ignore_errors=True)
        for path in self.folder.glob(f"{self.base}_*.tmp-*"):
            path.unlink(missing_ok=True)

    def save_state(self, trainer: Trainer, meta: dict[str, Any]) -> None:
        """Write ``_last``: the weights, then the state.

        The first time the state comes first: weights without a state then mean that the state was lost.

        Raises:
            FileError: the disk is full or gone; the previous state is intact.
        """
        state, first = trainer.state(), not self.last.is_file()
        if not first:
            self.save_weights(trainer.network, "last")
        persistently(lambda: save(self.last, Checkpoint(state, meta, self.run)))
        if first:
            self.save_weights(trainer.network, "last")

    def save_weights(self, network: Network, kind: str) -> Path:
        """Write one weights file, and delete the oldest numbered ones beyond the limit.

        Raises:
            FileError: it cannot be written.
        """
        path = self.weights(kind)
        path.parent.mkdir(parents=True, exist_ok=True)
        persistently(lambda: network.save_weights(path))
        if kind.isdigit():
            for old in self.numbered_files()[: -int(self.numbered) or None] if self.numbered < 1e9 else []:
                old.unlink(missing_ok=True)
        return path

    def complete(self, trainer: Trainer) -> bool:
        """Write a missing or outdated ``_final`` of a finished run; returns whether it was written.

        Raises:
            FileError: it cannot be written.
        """
        final = self.weights("final")
        if final.is_file() and weights_file.read_header(final).seen == trainer.seen:
            return False
        self.save_weights(trainer.network, "final")
        return True

    def numbered_files(self) -> list[Path]:
        """List the numbered weights files, the oldest first."""
        pattern = re.compile(re.escape(self.base) + r"_(\d+)\.weights")
        found = [
            (int(match[1]), path) for path in self.folder.iterdir() if (match := pattern.fullmatch(path.name))
        ]
        return [path for _, path in sorted(found)]

    def save_ema(self, trainer: Trainer, cfg: CfgFile) -> Path | None:
        """Write ``_ema``: moving averages with the present rolling statistics; None before they begin."""
        state = trainer.state()
        averages = {name: array for name, array in state["arrays"].items() if name.startswith("ema/")}
        if not averages:
            return None
        current = weights_file.load(self.save_weights(trainer.network, "last"))
        parts = []
        for node, name, values in arrays(current.values, walk(cfg)):
            average = averages.get(f"ema/{node.index}/{_EMA_ROLES.get(name, '')}")
            parts.append(values if average is None else np.asarray(average, np.float32))
        weights_file.save(self.weights("ema"), current.header, parts)
        return self.weights("ema")
