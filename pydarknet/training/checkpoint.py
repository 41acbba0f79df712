# SPDX-License-Identifier: Apache-2.0
"""Saved states of a training: complete, and on disk either whole or not at all.

``NAME_last.state`` is a safetensors file: all arrays of the network's state, and in its metadata the JSON of
everything else.  One file, so that no crash can leave halves that do not belong together.  Beside it
stands ``NAME_last.weights`` in Darknet's format, for everybody else.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pydarknet.cfg import CfgFile, walk
from pydarknet.errors import DataError, FileError
from pydarknet.system.atomic import persistently, replacing
from pydarknet.weights import file as weights_file
from pydarknet.weights.arrays import arrays

if TYPE_CHECKING:
    from pydarknet.engine.network import Network
    from pydarknet.engine.trainer import State

VERSION = "1"
_EMA_ROLES = {"biases": "biases", "scales": "scales", "weights": "weights"}


@dataclass(frozen=True)
class Checkpoint:
    """What a training needs to go on as if it had never stopped.

    Attributes:
        network: what :meth:`pydarknet.Network.state` returned.
        meta: JSON values: the states of the hooks, and whatever else the loop wants back.
    """

    network: State
    meta: dict[str, Any]


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint in place of an older one.

    Raises:
        FileError: it cannot be written; the older one is as it was.
    """
    from safetensors.numpy import save_file

    counters = {name: checkpoint.network[name] for name in ("iteration", "seen")}
    metadata = {"version": VERSION, "counters": json.dumps(counters), "meta": json.dumps(checkpoint.meta)}
    try:
        with replacing(path) as temporary:
            save_file(checkpoint.network["arrays"], temporary, metadata)
        _sync(path.parent)
    except FileError:
        raise
    except Exception as error:  # safetensors reports a full disk with an exception of its own
        raise FileError(f"{path}: cannot be written: {error}") from None


def load(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        DataError: the file is damaged, or of another version of this program.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("version") != VERSION:
                raise DataError(f"{path}: is no state of a training that this version can read")
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no dict
        state = {**json.loads(metadata["counters"]), "arrays": found}
        return Checkpoint(state, json.loads(metadata["meta"]))
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{path}: is damaged: {error}; to go on without momentum, start a run in another folder (--out) "
            "with --weights and the Darknet weights that stand beside it"
        ) from None


def _sync(folder: Path) -> None:
    """Make a rename survive a power failure, where the file system lets one."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass  # network drives; the rename itself is atomic all the same
    finally:
        os.close(handle)


class Shelf:
    """The folder ``weights`` of a run: what is written there, under which names, and what is cleared away.

    Args:
        folder: of the files.
        base: first part of their names, as Darknet's: the name of the cfg up to its first dot.
        keep_best: keep ``_best``.
        numbered: how many numbered files stay.
    """

    def __init__(self, folder: Path, base: str, keep_best: bool, numbered: float) -> None:
        self.folder, self.base, self.keep_best, self.numbered = folder, base, keep_best, numbered

    @property
    def last(self) -> Path:
        """The state from which a run goes on."""
        return self.folder / f"{self.base}_last.state"

    def weights(self, kind: str) -> Path:
        """Path of the Darknet weights ``last``, ``best``, ``final``, ``ema`` or of an iteration."""
        return self.folder / f"{self.base}_{kind}.weights"

    def clean(self) -> None:
        """Take away what a killed process was writing; only the owner of the run's lock may."""
        for path in self.folder.glob(f".{self.base[:70]}_*"):
            shutil.rmtree(path, ignore_errors=True)
        for path in self.folder.glob(f"{self.base}_*.tmp-*"):
            path.unlink(missing_ok=True)

    def save_state(self, network: Network, meta: dict[str, Any]) -> None:
        """Write ``_last``: weights first, then the state that counts.

        Raises:
            FileError: the disk is full or gone; the previous state is intact.
        """
        state = network.state()
        self.save_weights(network, "last")
        persistently(lambda: save(self.last, Checkpoint(state, meta)))

    def save_weights(self, network: Network, kind: str) -> Path:
        """Write one file of weights; of numbered ones the oldest go.

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

    def complete(self, network: Network) -> bool:
        """Write ``_final`` of a finished run, if it ended between its last state and that; returns whether.

        Raises:
            FileError: it cannot be written.
        """
        final = self.weights("final")
        if final.is_file() and weights_file.read_header(final).seen == network.seen:
            return False
        self.save_weights(network, "final")
        return True

    def numbered_files(self) -> list[Path]:
        """Weights of iterations, the oldest first."""
        pattern = re.compile(re.escape(self.base) + r"_(\d+)\.weights")
        found = [
            (int(match[1]), path) for path in self.folder.iterdir() if (match := pattern.fullmatch(path.name))
        ]
        return [path for _, path in sorted(found)]

    def save_ema(self, network: Network, cfg: CfgFile) -> Path | None:
        """Write ``_ema``: the moving averages with the rolling statistics of now; None before they begin."""
        state = network.state()
        averages = {name: array for name, array in state["arrays"].items() if name.startswith("ema/")}
        if not averages:
            return None
        current = weights_file.load(self.save_weights(network, "last"))
        parts = []
        for node, name, values in arrays(current.values, walk(cfg)):
            average = averages.get(f"ema/{node.index}/{_EMA_ROLES.get(name, '')}")
            parts.append(values if average is None else np.asarray(average, np.float32))
        weights_file.save(self.weights("ema"), current.header, parts)
        return self.weights("ema")
