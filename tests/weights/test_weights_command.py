# SPDX-License-Identifier: Apache-2.0
"""``pydarknet weights``: the commands, and packs that work elsewhere."""

from __future__ import annotations

import json
import os
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
from small_weights import make, run

from pydarknet import Network
from pydarknet.cfg import new
from pydarknet.engine import selftest
from pydarknet.errors import DataError, FileError, WeightsError
from pydarknet.weights import Header, load


def test_info_of_public_sizes(tmp_path: Path) -> None:
    """A hole of the right size is enough: the size identifies the network and the classes."""
    path = tmp_path / "yolov4.weights"
    path.write_bytes(bytes(Header(32_032_000)))
    os.truncate(path, 257_717_640)
    text = run("info", path).output
    assert "images seen: 32,032,000 = 500,500 iterations of batch 64" in text
    assert "size of: yolov4, 80 classes" in text
    assert "also the size of: cd53paspp-gamma, yolov4-custom, yolov4_new" in text
    table = json.loads(run("info", path, "--json", "--batch", 32).output)
    assert table["iterations"] == 1_001_000
    assert table["matches"] == [{"model": "yolov4", "layers": 161, "classes": 80, "complete": True}]


def test_info_with_cfg(cfg_path: Path, weights: Path, tmp_path: Path) -> None:
    result = run("info", weights, "--cfg", cfg_path, "--layers")
    assert result.exit_code == 0
    assert f"{cfg_path}: fits exactly" in result.output
    assert "   0 convolutional  rolling_variance          4  mean" in result.output
    result = run("info", make(tmp_path / "b.weights", count=50), "--cfg", cfg_path)
    assert "ends inside layer 0" in result.output
    assert result.exit_code == 1


def test_info_of_a_twin(tmp_path: Path) -> None:
    cfg = tmp_path / "swish.cfg"
    cfg.write_text(str(new("yolov4-csp")).replace("activation=mish", "activation=swish"))
    path = make(tmp_path / "a.weights", count=0)
    os.truncate(path, 20 + 4 * 36_637_024)
    assert "weights of yolov4-csp have the same size" in run("info", path, "--cfg", cfg).output


def test_partial_command(cfg_path: Path, weights: Path, tmp_path: Path) -> None:
    run("partial", cfg_path, weights, tmp_path / "net.conv.3", 3)
    assert len(load(tmp_path / "net.conv.3").values) == 142


def test_average_command(cfg_path: Path, weights: Path, tmp_path: Path) -> None:
    run("average", weights, make(tmp_path / "b.weights", 5), "--out", tmp_path / "m.weights")
    ema = ("--ema", 0.5, "--cfg", cfg_path)
    run("average", weights, tmp_path / "b.weights", "--out", tmp_path / "e.weights", *ema)
    mean, moved = load(tmp_path / "m.weights").values, load(tmp_path / "e.weights").values
    assert np.allclose(mean[16:], moved[16:])
    with pytest.raises(Exception, match="--ema needs --cfg"):
        run("average", weights, weights, "--out", tmp_path / "x", "--ema", 0.5)


def test_diff_command(cfg_path: Path, weights: Path, tmp_path: Path) -> None:
    other = make(tmp_path / "b.weights", 5, count=142)
    assert run("diff", cfg_path, weights, weights).exit_code == 0
    result = run("diff", cfg_path, weights, other)
    assert result.exit_code == 1
    assert "7 of 7 arrays differ; the first in layer 0" in result.output
    assert f"{weights} has 149 more values" in result.output
    assert json.loads(run("diff", cfg_path, weights, other, "--json").output)["more_values_in_first"] == 149


def test_prune_command(folder: Path) -> None:
    result = run("prune", folder, "--keep", "best,last")
    assert "6 files" in result.stderr
    assert "add --yes" in result.stderr
    assert len(list((folder / "weights").iterdir())) == 12
    run("prune", folder, "--keep", "best,last", "--yes")
    left = {path.name for path in (folder / "weights").glob("net_*.weights")}
    assert left == {"net_best.weights", "net_last.weights"}


def test_convert_command(cfg_path: Path, weights: Path, tmp_path: Path) -> None:
    run("convert", cfg_path, weights, tmp_path / "n.safetensors", "--seen", 64)
    run("convert", cfg_path, tmp_path / "n.safetensors", tmp_path / "n.weights")
    assert load(tmp_path / "n.weights").header.seen == 64


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """The folder of a run with the self-test's network."""
    folder = tmp_path / "exp1"
    (folder / "weights").mkdir(parents=True)
    (folder / "tiny.cfg").write_text(selftest.CFG)
    (folder / "tiny.names").write_text("blob\n")
    (folder / "run.json").write_text("{}")
    (folder / "chart.png").write_bytes(b"png")
    floats = np.concatenate(selftest._PARAMETERS).astype("<f4")
    for label, seen in (("last", 64), ("best", 128), ("1000", 32)):
        data = struct.pack("<iiiQ", 0, 2, 5, seen) + floats.tobytes()
        (folder / "weights" / f"tiny_{label}.weights").write_bytes(data)
    return folder


def test_pack_detects_elsewhere(trained: Path, tmp_path: Path, levels: np.ndarray) -> None:
    """Packed, moved, unpacked: the best weights, and the same detections."""
    with Network(
        trained / "tiny.cfg", trained / "weights" / "tiny_best.weights", precision="fp32"
    ) as network:
        expected = network.detect(levels, thresh=0.5)
    run("pack", trained, tmp_path / "model.tar.gz", "--name", "blobs")
    with tarfile.open(tmp_path / "model.tar.gz") as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(tmp_path / "far")
    folder = tmp_path / "far" / "blobs"
    assert {path.name for path in folder.iterdir()} == {
        *("blobs.cfg", "blobs.weights", "blobs.names", "run.json", "chart.png", "model.json")
    }
    cfg, weights, names = (folder / f"blobs.{end}" for end in ("cfg", "weights", "names"))
    with Network(cfg, weights, names=names, precision="fp32") as network:
        found = network.detect(levels, thresh=0.5)
        assert network.names == ("blob",)
    assert len(found) == len(expected) == 1
    assert np.array_equal(found.xyxy, expected.xyxy)
    card = json.loads((folder / "model.json").read_text())
    assert (card["classes"], card["names"], card["weights_from"]) == (1, ["blob"], "tiny_best.weights")
    assert card["images_seen"] == 128


def test_checksums_of_a_pack(trained: Path, tmp_path: Path) -> None:
    import hashlib

    run("pack", trained, tmp_path / "model")
    card = json.loads((tmp_path / "model" / "model.json").read_text())
    for name, digest in card["sha256"].items():
        assert hashlib.sha256((tmp_path / "model" / name).read_bytes()).hexdigest() == digest


def test_pack_of_single_files(trained: Path, tmp_path: Path) -> None:
    weights = trained / "weights" / "tiny_last.weights"
    run("pack", weights, tmp_path / "one", "--cfg", trained / "tiny.cfg")
    assert {path.name for path in (tmp_path / "one").iterdir()} == {
        "model.cfg",
        "model.weights",
        "model.json",
    }
    with pytest.raises(Exception, match="needs --cfg"):
        run("pack", weights, tmp_path / "two")


def test_pack_refuses(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="exists already"):
        run("pack", trained, trained / "weights")
    (trained / "tiny.names").write_text("a\nb\n")
    with pytest.raises(DataError, match=r"2 names, .* has 1 classes"):
        run("pack", trained, tmp_path / "x")
    (trained / "tiny.names").unlink()
    best = trained / "weights" / "tiny_best.weights"
    best.write_bytes(best.read_bytes()[:-4])
    with pytest.raises(WeightsError, match="a pack needs the complete weights"):
        run("pack", trained, tmp_path / "x.tar.gz")
    (trained / "second.cfg").write_text(selftest.CFG)
    with pytest.raises(WeightsError, match=r"expected one \.cfg file in a run, found second.cfg, tiny.cfg"):
        run("pack", trained, tmp_path / "x")
    with pytest.raises(WeightsError, match="found none"):
        run("pack", tmp_path / "exp1" / "weights", tmp_path / "x")
    assert not (tmp_path / "x").exists()
    assert list(tmp_path.glob(".pack*")) == []
