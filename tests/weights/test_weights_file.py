# SPDX-License-Identifier: Apache-2.0
"""Weights files: headers, atomic writing, and whether they fit a network."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from small_weights import SIZES, TOTAL, make

from pydarknet import Network
from pydarknet.cfg import CfgFile, new, walk
from pydarknet.cfg.shapes import Walk
from pydarknet.engine import selftest
from pydarknet.errors import WeightsError
from pydarknet.weights import Header, fit, load, profile, read_header, save, twins
from pydarknet.weights.arrays import arrays


@pytest.mark.parametrize(
    ("data", "header", "size"),
    [
        (struct.pack("<iiiQ", 0, 2, 5, 32_032_000), Header(32_032_000, 0, 2, 5), 20),
        (struct.pack("<iiiI", 0, 1, 0, 500), Header(500, 0, 1, 0), 16),
        (struct.pack("<iiiQ", 1, 0, 0, 2**40), Header(2**40, 1, 0, 0), 20),
    ],
)
def test_header(tmp_path: Path, data: bytes, header: Header, size: int) -> None:
    """20 bytes from version 0.2 on, 16 before; both are written as they were read."""
    path = tmp_path / "x.weights"
    path.write_bytes(data + bytes(8))
    assert read_header(path) == header
    assert (header.size, len(load(path).values)) == (size, 2)
    assert bytes(header) == data


def test_iterations_of_the_public_file() -> None:
    """32 032 000 images are 500 500 iterations of 64, as the authors of YOLOv4 say."""
    assert Header(32_032_000).iterations(64) == 500_500


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "only 0 bytes"),
        (bytes(15), "only 15 bytes"),
        (struct.pack("<iiiI", 0, 2, 5, 0), "end inside the header"),
        (b"[net]\nbatch=64\nsubdivisions=8\n", "are cfg and weights swapped"),
        (b"PK\x03\x04" + bytes(40), "PyTorch checkpoint"),
        (struct.pack("<iii", -1, 2, 5) + bytes(8), "is not a Darknet weights file"),
    ],
)
def test_no_weights_file(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "x.weights"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=words):
        load(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot read the weights: No such file"):
        load(tmp_path / "x.weights")


def test_failed_write_leaves_the_old_file(weights: Path) -> None:
    before = weights.read_bytes()

    def parts() -> object:
        yield np.zeros(5, np.float32)
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        save(weights, Header(), parts())  # type: ignore[arg-type]
    assert weights.read_bytes() == before
    assert [path.name for path in weights.parent.glob(".*")] == []


def test_a_file_may_be_written_over_its_own_source(weights: Path) -> None:
    file = load(weights)
    values = np.array(file.values)
    save(weights, Header(7), [file.values])
    assert load(weights).header.seen == 7
    assert (load(weights).values == values).all()


def test_arrays_as_counted_by_hand(nodes: Walk, weights: Path) -> None:
    found = [(node.index, name, len(values)) for node, name, values in arrays(load(weights).values, nodes)]
    assert [size for _, _, size in found] == SIZES
    assert [index for index, _, _ in found] == [0] * 5 + [2, 2, 3, 4, 4]


@pytest.mark.parametrize(
    ("count", "text", "good"),
    [
        (TOTAL, "fits exactly", True),
        (124, "fits the first 1 of 6 layers", True),
        (142, "fits the first 3 of 6 layers", True),
        (144, "fits the first 4 of 6 layers", True),
        (123, "ends inside layer 0, after 99.2% of its values", False),
        (143, "ends inside layer 3, after 50.0% of its values", False),
        (TOTAL + 2, "has 2 values more than the network", False),
        (0, "holds no weights", False),
    ],
)
def test_fit(nodes: Walk, count: int, text: str, good: bool) -> None:
    result = fit(count, nodes)
    assert (str(result), result.good) == (text, good)
    assert result.complete == (count == TOTAL)


def test_layers_that_are_not_loaded_take_nothing(nodes: Walk) -> None:
    """Layer 0 with ``dontload`` leaves the file to layer 2."""
    nodes[0].section.set("dontload", 1)
    assert str(fit(18, nodes)) == "fits the first 3 of 6 layers"


def test_no_twins_among_the_families() -> None:
    assert twins(walk(new("yolov4-tiny"))) == []
    assert profile("yolov4-tiny")[-1].floats == 5_866_464 + 2310 * 6


def test_engine_lays_the_arrays_out_alike(tmp_path: Path, backend: str) -> None:
    """The engine reads the same file; its arrays of each layer are ours."""
    path = tmp_path / "self.cfg"
    path.write_text(selftest.CFG)
    nodes = walk(CfgFile.load(path))
    file = load(make(tmp_path / "self.weights", count=nodes.floats))
    roles = {"rolling_mean": "means", "rolling_variance": "variances"}
    with Network(path, file.path, backend=backend) as network:
        for node, name, values in arrays(file.values, nodes):
            theirs = network.parameters(node.index)[roles.get(name, name)]
            assert np.array_equal(theirs, values), (node.index, name)
