# SPDX-License-Identifier: Apache-2.0
"""Operations on weights files without running a network: cut, average, compare, describe, clean up."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pydarknet.cfg.shapes import Walk
from pydarknet.errors import WeightsError
from pydarknet.weights.arrays import arrays
from pydarknet.weights.file import Floats, Header, WeightsFile, save
from pydarknet.weights.fit import boundaries, fit

CHUNK = 1 << 22  # values that are averaged at once: 32 MiB as float64


def partial(file: WeightsFile, nodes: Walk, out: Path, layers: int) -> None:
    """Keep the weights of layers 0 … ``layers`` − 1, with the counter of images at 0: a ``.conv.N`` file.

    Raises:
        WeightsError: the network has only N layers, or the file does not contain them.
    """
    if not 1 <= layers <= len(nodes):
        raise WeightsError(f"cannot keep {layers} layers; the network has {len(nodes)}")
    inside = [end for end in boundaries(nodes) if end.layer < layers]
    if not inside:
        raise WeightsError(f"the first {layers} layers have no weights")
    count = inside[-1].floats
    if count > len(file.values):
        held = fit(len(file.values), nodes)
        raise WeightsError(
            f"{file.path}: holds {held.layers} layers of this network, {inside[-1].layer + 1} are asked for"
        )
    save(out, Header(), [file.values[:count]])


def average(files: Sequence[WeightsFile], out: Path) -> None:
    """The mean of several weights files, value by value.

    Averaging the last checkpoints of a training often is a little better than any of them
    (Izmailov et al., "Averaging Weights Leads to Wider Optima", 2018).

    Raises:
        WeightsError: there are fewer than two files, or they differ in size.
    """
    _same_size(files)
    save(out, _newest(files), _mean_parts(files))


def _mean_parts(files: Sequence[WeightsFile]) -> Iterator[Floats]:
    for start in range(0, len(files[0].values), CHUNK):
        parts = [file.values[start : start + CHUNK].astype(np.float64) for file in files]
        yield (np.sum(parts, axis=0) / len(files)).astype(np.float32)


def moving_average(files: Sequence[WeightsFile], out: Path, alpha: float, nodes: Walk) -> None:
    """Exponential moving average over files in their order: ``ema = alpha · ema + (1 − alpha) · next``.

    As in Darknet the rolling statistics of batch normalization are not averaged: those of the last file stay.

    Raises:
        WeightsError: there are fewer than two files, they differ in size or do not fit the network, or alpha
            is not between 0 and 1.
    """
    _same_size(files)
    if not 0 <= alpha < 1:
        raise WeightsError(f"alpha is {alpha:g}, expected 0 … 1")
    held = fit(len(files[0].values), nodes)
    if not held.good:
        raise WeightsError(f"{files[0].path}: {held}")
    save(out, _newest(files), _ema_parts(files, alpha, nodes))


def _ema_parts(files: Sequence[WeightsFile], alpha: float, nodes: Walk) -> Iterator[Floats]:
    place = 0
    for _, name, last in arrays(files[-1].values, nodes):
        end = place + len(last)
        if "rolling_" in name:
            yield last
        else:
            ema = files[0].values[place:end].astype(np.float64)
            for file in files[1:]:
                ema = alpha * ema + (1 - alpha) * file.values[place:end]
            yield ema.astype(np.float32)
        place = end


def _newest(files: Sequence[WeightsFile]) -> Header:
    return Header(max(file.header.seen for file in files))


def _same_size(files: Sequence[WeightsFile]) -> None:
    if len(files) < 2:
        raise WeightsError("an average needs at least two weights files")
    first = files[0]
    for file in files:
        if len(file.values) != len(first.values) or file.rest:
            raise WeightsError(
                f"{file.path}: {len(file.values)} values, {first.path} has {len(first.values)}; "
                "only files of the same network can be averaged"
            )


@dataclass(frozen=True, slots=True)
class Statistics:
    """One array of a weights file.

    Attributes:
        layer: number of the layer.
        type: type of the layer.
        name: ``weights``, ``biases``, ``scales``, ``rolling_mean``, ``rolling_variance``, …
        count: values.
        mean: of the values; nan if any is.
        std: standard deviation.
        low: smallest value.
        high: largest value.
        bad: values that are nan or infinite.
    """

    layer: int
    type: str
    name: str
    count: int
    mean: float
    std: float
    low: float
    high: float
    bad: int


def statistics(file: WeightsFile, nodes: Walk) -> Iterator[Statistics]:
    """Every array that the file holds whole."""
    for node, name, values in arrays(file.values, nodes):
        wide = values.astype(np.float64)
        bad = len(values) - int(np.isfinite(wide).sum())
        with np.errstate(invalid="ignore"):  # inf − inf
            mean, std = float(wide.mean()), float(wide.std())
        low, high = float(wide.min()), float(wide.max())
        yield Statistics(node.index, node.type, name, len(values), mean, std, low, high, bad)


@dataclass(frozen=True, slots=True)
class WeightsDifference:
    """How one array differs between two files.

    Attributes:
        layer: number of the layer.
        type: type of the layer.
        name: of the array.
        largest: largest absolute difference; nan if either holds one.
        relative: length of the difference over the length of the first array.
        changed: values that differ in any bit.
    """

    layer: int
    type: str
    name: str
    largest: float
    relative: float
    changed: int


def differences(first: WeightsFile, second: WeightsFile, nodes: Walk) -> Iterator[WeightsDifference]:
    """Array by array, as far as both files go; equal arrays are listed with ``changed == 0``."""
    pairs = zip(arrays(first.values, nodes), arrays(second.values, nodes), strict=False)
    for (node, name, old), (_, _, new) in pairs:
        changed = int((old.view(np.uint32) != new.view(np.uint32)).sum())
        wide = old.astype(np.float64)
        with np.errstate(invalid="ignore"):  # inf − inf
            delta = new.astype(np.float64) - wide
        length = float(np.linalg.norm(wide)) or 1.0
        largest = float(np.abs(delta).max()) if len(delta) else 0.0
        yield WeightsDifference(
            node.index, node.type, name, largest, float(np.linalg.norm(delta)) / length, changed
        )


_NUMBERED = re.compile(r"(?P<base>.+)_(?P<label>\d+|best|last|final|ema)")
WORDS = ("best", "last", "final", "ema")


def superfluous(folder: Path, keep: Sequence[str]) -> list[Path]:
    """Weights files of a run, and files beside them of the same name, that are not needed.

    Args:
        folder: searched with ``weights`` and ``backup`` in it.
        keep: ``best``, ``last``, ``final``, ``ema``, and a number N for the N newest numbered files.

    Returns:
        Files to delete; they are not deleted here.

    Raises:
        WeightsError: there is no such folder, or ``keep`` contains another word.
    """
    if not folder.is_dir():
        raise WeightsError(f"{folder}: no such folder")
    odd = [word for word in keep if word not in WORDS and not word.isdigit()]
    if odd:
        raise WeightsError(f"cannot keep {odd[0]!r}; expected {', '.join(WORDS)} or a number")
    newest = sum(int(word) for word in keep if word.isdigit())
    found: list[Path] = []
    for place in (folder, folder / "weights", folder / "backup"):
        files = {path: match for path in place.glob("*.weights") if (match := _NUMBERED.fullmatch(path.stem))}
        for base in {match["base"] for match in files.values()}:
            labels = {match["label"]: path for path, match in files.items() if match["base"] == base}
            numbered = sorted((label for label in labels if label.isdigit()), key=int)
            kept = {*keep, *numbered[len(numbered) - newest :]} if newest else set(keep)
            for label in sorted(set(labels) - kept):
                found += sorted(labels[label].parent.glob(f"{base}_{label}.*"))
    return found
