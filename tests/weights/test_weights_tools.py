# SPDX-License-Identifier: Apache-2.0
"""Weights files: cutting, averaging, comparing, tidying up, other formats."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from small_weights import SIZES, TOTAL, make

from pydarknet import Network
from pydarknet.cfg import CfgFile, walk
from pydarknet.cfg.shapes import Walk
from pydarknet.engine import selftest
from pydarknet.errors import WeightsError
from pydarknet.weights import Header, load
from pydarknet.weights.convert import convert
from pydarknet.weights.tools import average, differences, moving_average, partial, statistics, superfluous


@pytest.mark.parametrize(("layers", "count"), [(1, 124), (2, 124), (3, 142), (4, 144), (6, TOTAL)])
def test_partial(nodes: Walk, weights: Path, tmp_path: Path, layers: int, count: int) -> None:
    partial(load(weights), nodes, tmp_path / "net.conv", layers)
    cut = load(tmp_path / "net.conv")
    assert cut.header == Header(0, 0, 2, 5)
    assert np.array_equal(cut.values, load(weights).values[:count])


def test_partial_is_what_the_engine_writes(tmp_path: Path, backend: str) -> None:
    path = tmp_path / "self.cfg"
    path.write_text(selftest.CFG)
    nodes = walk(CfgFile.load(path))
    file = load(make(tmp_path / "self.weights", count=nodes.floats, seen=0))
    for layers in range(1, len(nodes) + 1):
        with Network(path, file.path, backend=backend) as network:
            network.save_weights(tmp_path / "engine.weights", layers)
        partial(file, nodes, tmp_path / "ours.weights", layers)
        assert np.array_equal(
            load(tmp_path / "engine.weights").values, load(tmp_path / "ours.weights").values
        )


def test_partial_of_too_little(nodes: Walk, tmp_path: Path) -> None:
    short = load(make(tmp_path / "short.weights", count=124))
    with pytest.raises(WeightsError, match="holds 1 layers of this network, 3 are asked for"):
        partial(short, nodes, tmp_path / "x", 3)
    with pytest.raises(WeightsError, match="the network has 6"):
        partial(short, nodes, tmp_path / "x", 7)


def test_average(tmp_path: Path) -> None:
    files = [load(make(tmp_path / f"{seed}.weights", seed, seen=seed)) for seed in (1, 2, 4)]
    average(files, tmp_path / "mean.weights")
    result = load(tmp_path / "mean.weights")
    expected = np.mean([np.array(file.values, np.float64) for file in files], axis=0)
    assert np.array_equal(result.values, expected.astype(np.float32))
    assert result.header.seen == 4


def test_average_of_one_file_twice_is_that_file(weights: Path, tmp_path: Path) -> None:
    average([load(weights)] * 2, tmp_path / "mean.weights")
    assert (tmp_path / "mean.weights").read_bytes() == weights.read_bytes()


def test_moving_average(nodes: Walk, tmp_path: Path) -> None:
    """((1·a + b·0.25) …) written out for three files with alpha 0.75; statistics are those of the last."""
    files = [load(make(tmp_path / f"{seed}.weights", seed)) for seed in (1, 2, 3)]
    moving_average(files, tmp_path / "ema.weights", 0.75, nodes)
    a, b, c = (np.array(file.values, np.float64) for file in files)
    expected = 0.75 * (0.75 * a + 0.25 * b) + 0.25 * c
    expected[8:16] = c[8:16]  # rolling mean and variance of layer 0
    assert np.array_equal(load(tmp_path / "ema.weights").values, expected.astype(np.float32))


def test_averages_that_cannot_be(nodes: Walk, weights: Path, tmp_path: Path) -> None:
    file, other = load(weights), load(make(tmp_path / "b.weights", count=TOTAL - 1))
    with pytest.raises(WeightsError, match="at least two"):
        average([file], tmp_path / "x")
    with pytest.raises(WeightsError, match=f"{TOTAL - 1} values, .* has {TOTAL}"):
        average([file, other], tmp_path / "x")
    with pytest.raises(WeightsError, match=r"expected 0 … 1"):
        moving_average([file, file], tmp_path / "x", 1.5, nodes)
    with pytest.raises(WeightsError, match="ends inside layer 4"):
        moving_average([other, other], tmp_path / "x", 0.5, nodes)
    assert not (tmp_path / "x").exists()


def test_statistics(nodes: Walk, weights: Path) -> None:
    values = np.memmap(weights, "<f4", "r+", 20)
    values[16:124] = 2.0
    values[124] = np.inf
    values.flush()
    rows = {(row.layer, row.name): row for row in statistics(load(weights), nodes)}
    row = rows[0, "weights"]
    assert (row.count, row.mean, row.std, row.low, row.high, row.bad) == (108, 2.0, 0.0, 2.0, 2.0, 0)
    assert rows[2, "biases"].bad == 1


def test_differences(nodes: Walk, weights: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.weights"
    other.write_bytes(weights.read_bytes())
    values = np.memmap(other, "<f4", "r+", 20)
    values[125] += 0.5
    values.flush()
    rows = list(differences(load(weights), load(other), nodes))
    changed = [row for row in rows if row.changed]
    assert [(row.layer, row.name, row.changed) for row in changed] == [(2, "biases", 1)]
    assert changed[0].largest == pytest.approx(0.5)
    assert len(rows) == len(SIZES)


@pytest.mark.parametrize(
    ("keep", "gone"),
    [
        (["best", "last"], ["900", "1000", "2000"]),
        (["best", "last", "1"], ["900", "1000"]),
        (["best", "2"], ["last", "900"]),
        (["best", "last", "9"], []),
    ],
)
def test_superfluous(folder: Path, keep: list[str], gone: list[str]) -> None:
    """Numbers sort as numbers; files of other names are never touched."""
    found = {path.name for path in superfluous(folder, keep)}
    assert found == {f"net_{label}.{end}" for label in gone for end in ("weights", "state")}


def test_superfluous_refuses(folder: Path) -> None:
    with pytest.raises(WeightsError, match="cannot keep 'bset'"):
        superfluous(folder, ["bset"])
    with pytest.raises(WeightsError, match="no such folder"):
        superfluous(folder / "nowhere", ["best"])


@pytest.mark.parametrize("ending", ["safetensors", "npz"])
@pytest.mark.parametrize("count", [TOTAL, 142])
def test_convert_and_back(nodes: Walk, tmp_path: Path, ending: str, count: int) -> None:
    source = make(tmp_path / "a.weights", count=count)
    convert(source, tmp_path / f"a.{ending}", nodes)
    convert(tmp_path / f"a.{ending}", tmp_path / "b.weights", nodes)
    assert (tmp_path / "b.weights").read_bytes() == source.read_bytes()


def test_names_and_shapes(nodes: Walk, weights: Path, tmp_path: Path) -> None:
    convert(weights, tmp_path / "a.npz", nodes)
    with np.load(tmp_path / "a.npz") as table:
        assert table["0.weights"].shape == (4, 3, 3, 3)
        assert table["2.weights"].shape == (6, 2, 1, 1)
        assert table["0.rolling_variance"].shape == (4,)
        assert table["seen"] == 6400


def test_old_header_is_renewed(nodes: Walk, weights: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.weights"
    old.write_bytes(struct.pack("<iiiI", 0, 1, 0, 640) + weights.read_bytes()[20:])
    convert(old, tmp_path / "new.weights", nodes)
    assert load(tmp_path / "new.weights").header == Header(640, 0, 2, 5)
    assert np.array_equal(load(tmp_path / "new.weights").values, load(weights).values)
    convert(old, tmp_path / "fresh.weights", nodes, seen=0)
    assert load(tmp_path / "fresh.weights").header.seen == 0


def test_convert_refuses(nodes: Walk, weights: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="unknown ending"):
        convert(weights, tmp_path / "a.pt", nodes)
    with pytest.raises(WeightsError, match="is this the cfg of these weights"):
        convert(make(tmp_path / "b.weights", count=50), tmp_path / "b.npz", nodes)
    damaged = tmp_path / "c.safetensors"
    damaged.write_bytes(b"\xff" * 100)
    with pytest.raises(WeightsError, match=r"c\.safetensors: cannot read the weights"):
        convert(damaged, tmp_path / "c.weights", nodes)
    np.savez(tmp_path / "d.npz", **{"0.biases": np.zeros(5, np.float32)})
    with pytest.raises(WeightsError, match=r"0\.biases has 5 values, expected 4"):
        convert(tmp_path / "d.npz", tmp_path / "d.weights", nodes)
    np.savez(tmp_path / "e.npz", **{"9.biases": np.zeros(5, np.float32)})
    with pytest.raises(WeightsError, match=r"no array '9\.biases'; the first one missing is 0\.biases"):
        convert(tmp_path / "e.npz", tmp_path / "e.weights", nodes)
