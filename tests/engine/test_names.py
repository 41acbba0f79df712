# SPDX-License-Identifier: Apache-2.0
"""Class names of a Network: from each file that leads to them, and from beside its weights."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from pydarknet import DataError, Network, WeightsError

CFG = """[net]
batch=1
subdivisions=1
width=32
height=32
channels=3
[convolutional]
filters=21
size=1
stride=1
activation=linear
[yolo]
mask=0,1,2
anchors=4,4, 8,8, 16,16
classes=2
num=3
"""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run of two classes, dog and cat, with its best weights."""
    folder = tmp_path / "run"
    (folder / "weights").mkdir(parents=True)
    (folder / "net.cfg").write_text(CFG)
    (folder / "run.json").write_text(json.dumps({"names": ["dog", "cat"]}))
    Network.parse(CFG).save_weights(folder / "weights" / "net_best.weights")
    return folder


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.names", "dog\ncat\n"),
        ("a.data", "classes = 2\nnames = a.names\n"),
        ("data.yaml", "train: x\nnc: 2\nnames: [dog, cat]\n"),
        ("names.yaml", "names:\n  0: dog\n  1: cat\n"),
        ("run.json", '{"names": ["dog", "cat"]}'),
        ("classes.txt", "dog\ncat\n"),
        ("data.txt", "nc: 2\nnames: [dog, cat]\n"),  # a data.yaml under another name: four lines, no names
        ("obj", "classes = 2\nnames = a.names\n"),
    ],
)
def test_every_file_that_leads_to_names(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "a.names").write_text("dog\ncat\n")
    (tmp_path / name).write_text(text)
    net = Network.parse(CFG, names=tmp_path / name)
    assert net.names == ("dog", "cat")
    net.rename(["x", "y"])
    net.rename(tmp_path / name)
    assert net.names == ("dog", "cat")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.names", "[net]\nwidth=32\n", "is a cfg file; expected a file of class names"),
        ("x.names", '{\n"a": 1}\n', "is not a file of class names; expected one name per line"),
        ("x.json", "[1]", "has no 'names', the list in the run.json"),
        ("x.json", "{", "is not JSON"),
        ("data.yaml", "nc: 2\ntrain: x\n", "has no 'names', a list or a mapping"),
    ],
)
def test_a_file_of_two_lines_without_names_is_refused(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        Network.parse(CFG, names=tmp_path / name)


def test_a_network_takes_the_names_beside_its_weights(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    weights = run / "weights" / "net_best.weights"
    assert Network(run / "net.cfg", weights).names == ("dog", "cat")
    assert Network(run / "net.cfg", weights).clone().names == ("dog", "cat")
    assert Network(run / "net.cfg", weights, names=["a", "b"]).names == ("a", "b")
    assert Network(run / "net.cfg").names == ("0", "1")  # without weights: of no training
    assert not caplog.messages
    (run / "run.json").write_text('{"names": ["dog"]}')
    assert Network(run / "net.cfg", weights).names == ("0", "1")
    assert caplog.messages[0].endswith("but the network has 2 classes; the names are not used")


def test_a_run_or_a_pack_in_place_of_cfg_and_weights(run: Path, tmp_path: Path) -> None:
    image = np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8)
    expected = Network(run / "net.cfg", run / "weights" / "net_best.weights").detect(image, thresh=0.1)
    pack = tmp_path / "model.tar.gz"
    with tarfile.open(pack, "w:gz") as tar:
        for path in (run / "net.cfg", run / "weights" / "net_best.weights"):
            tar.add(path, f"model/{path.name}")
    for model in (run, pack, run / "weights" / "net_best.weights"):
        found = Network(model)
        assert len(expected) > 0
        assert np.array_equal(found.detect(image, thresh=0.1).xyxy, expected.xyxy)
    assert Network(run).names == ("dog", "cat")


def test_weights_that_lie_in_no_run_need_their_cfg(run: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone.weights"
    alone.write_bytes((run / "weights" / "net_best.weights").read_bytes())
    with pytest.raises(WeightsError, match="without their cfg"):
        Network(alone)
