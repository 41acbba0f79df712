# SPDX-License-Identifier: Apache-2.0
"""Weights of other classes: the rows of unchanged classes are kept and help."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapes

from pydarknet import TrainConfig
from pydarknet.cfg import CfgFile, walk
from pydarknet.errors import DataError, WeightsError
from pydarknet.training import Hook, Outcome, Step, train
from pydarknet.training.loop import TrainingLoop
from pydarknet.weights import WeightsFile, load
from pydarknet.weights.arrays import arrays
from pydarknet.weights.file import Header
from pydarknet.weights.surgery import donor, transplant


class Losses(Hook):
    """The first losses; with a rate of 0 they are the same network's."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def after_step(self, training: TrainingLoop, step: Step) -> None:
        self.losses.append(step.loss)
        if len(self.losses) == 4:
            training.stop_reason = "signal"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Two of the three shapes, in another order, learnt for a while."""
    place = tmp_path_factory.mktemp("two")
    data, cfg = shapes.data_set(place / "ds"), shapes.cfg(place, 80, classes=2)
    for label in [*(place / "ds/train").glob("*.txt"), *(place / "ds/valid").glob("*.txt")]:
        rows = [line.split() for line in label.read_text().splitlines()]
        order = {"0": "1", "2": "0"}  # square, triangle -> triangle, square
        label.write_text("".join(" ".join([order[c], *r]) + "\n" for c, *r in rows if c in order))
    (place / "ds/obj.names").write_text("triangle\nsquare\n")
    data.write_text(data.read_text().replace("classes=3", "classes=2"))
    return train(
        TrainConfig(
            cfg, data, out=place / "run", threads=1, force=True, plots=False, map_every=0, precision="fp32"
        )
    )


@pytest.fixture
def config(tmp_path: Path, trained: Outcome) -> TrainConfig:
    data, cfg = shapes.data_set(tmp_path / "ds", seed=3), shapes.cfg(tmp_path, 200)
    return TrainConfig(
        cfg,
        data,
        trained.weights["final"],
        out=tmp_path / "run",
        threads=1,
        force=True,
        plots=False,
        map_every=0,
        lr=1e-9,
    )


def test_what_stays_is_kept_and_helps(config: TrainConfig, trained: Outcome) -> None:
    """Square and triangle are known, the disc is new: the first losses are lower than from scratch."""
    told: list[str] = []
    transferred, scratch = Losses(), Losses()
    train(config, [transferred], notify=told.append)
    assert any("keep the rows of boxes and objectness and of square, triangle; new: disc" in t for t in told)
    assert any(t.startswith("note L-15") and "are reinitialised" in t for t in told)
    train(replace(config, weights=None, out=Path(config.out).with_name("scratch")), [scratch])
    assert np.mean(transferred.losses) < 0.5 * np.mean(scratch.losses)
    start = head(load(Path(config.out) / "start.weights"), CfgFile.load(config.cfg))
    old = head(load(trained.weights["final"]), CfgFile.load(trained.folder / "shapes.cfg"))
    for name, width in (("biases", 1), ("weights", 24)):
        mine, theirs = start[name].reshape(2, 8, width), old[name].reshape(2, 7, width)
        assert (mine[:, :5] == theirs[:, :5]).all()
        assert (mine[:, 5] == theirs[:, 6]).all()  # square
        assert (mine[:, 7] == theirs[:, 5]).all()  # triangle
        assert not (mine[:, 6, None] == theirs[:, 5:]).all(2).any()  # disc


def head(file: WeightsFile, cfg: CfgFile) -> dict[str, np.ndarray]:
    """Arrays of the convolution before the head."""
    return {name: values for node, name, values in arrays(file.values, walk(cfg)) if node.index == 3}


def test_names_by_hand(config: TrainConfig, tmp_path: Path, trained: Outcome) -> None:
    """Weights without names beside them need --weights-names; a wrong number of names is refused."""
    alone = tmp_path / "alone/x.weights"
    alone.parent.mkdir()
    alone.write_bytes(trained.weights["final"].read_bytes())
    names = tmp_path / "any.txt"
    told: list[str] = []
    config = replace(config, weights=alone)
    train(config, [Losses()], notify=told.append)
    assert any("all classes are new (--weights-names FILE names" in t for t in told)
    names.write_text("triangle\nsquare\ndisc\n")
    with pytest.raises(DataError, match=r"has 2 classes, but 3 names were given"):
        train(replace(config, weights_names=names, restart=True))
    names.write_text("triangle\nbird\n")
    train(replace(config, weights_names=names, restart=True), [Losses()], notify=told.append)
    assert any("and of triangle; new: square, disc; forgotten: bird" in t for t in told)


def test_the_same_classes_in_another_order(config: TrainConfig, tmp_path: Path) -> None:
    """As many classes, but others: rows follow their names, and the training begins at iteration 0."""
    first = train(replace(config, weights=None, out=tmp_path / "first"), [Losses()])
    names = tmp_path / "ds/obj.names"
    names.write_text("disc\nsquare\ntriangle\n")
    told: list[str] = []
    outcome = train(replace(config, weights=first.weights["last"]), [Losses()], notify=told.append)
    assert any("and of disc, square, triangle" in t for t in told)
    assert outcome.iteration == 4
    start, old = (
        head(load(path), CfgFile.load(config.cfg))["biases"].reshape(2, 8)
        for path in (tmp_path / "run/start.weights", first.weights["last"])
    )
    assert (start == old[:, [0, 1, 2, 3, 4, 6, 5, 7]]).all()


def network(kind: str, per_box: int, classes: int) -> CfgFile:
    """The small network with another head."""
    text = shapes.CFG.format(
        **{"batch": 4, "subdivisions": 2, "size": 48, "mosaic": 0, "random": 0, "steps": "1,2"},
        **{"max_batches": 9, "classes": classes, "filters": 2 * (per_box + classes)},
    )
    return CfgFile.parse(
        text.replace("[yolo]", f"[{kind}]").replace("mask=0,1\n", "" if kind == "region" else "mask=0,1\n")
    )


@pytest.mark.parametrize(("kind", "per_box"), [("yolo", 5), ("Gaussian_yolo", 9), ("region", 5)])
def test_every_kind_of_head(kind: str, per_box: int) -> None:
    """Values that number their rows show where each went."""
    source, target = network(kind, per_box, 5), network(kind, per_box, 3)
    floats = walk(source).floats
    assert str(donor(target, floats)) == str(source)
    values = np.zeros(floats, np.float32)
    values[-2 * (per_box + 5) * 25 :][: 2 * (per_box + 5)] = np.arange(2 * (per_box + 5))  # biases
    file = WeightsFile(Path("x"), Header(), values)
    fresh = np.full(walk(target).floats, -1, np.float32)
    found = transplant(file, source, target, fresh, list("abcde"), ["d", "z", "a"])
    assert (found.kept, found.new, found.dropped) == (("d", "a"), ("z",), ("b", "c", "e"))
    biases = found.parts[-2]
    box = [*range(per_box), per_box + 3, -1, per_box]
    assert biases.tolist() == box + [v + per_box + 5 if v >= 0 else v for v in box]
    assert (found.parts[-1].reshape(2 * (per_box + 3), 24) == -1).all(1).nonzero()[0].tolist() == [
        per_box + 1,
        2 * per_box + 4,
    ]


def test_damaged_weights_are_found_before_the_start(config: TrainConfig, trained: Outcome) -> None:
    """L-16 checks files of other class counts too."""
    bad = Path(config.out).with_name("bad.weights")
    raw = bytearray(trained.weights["final"].read_bytes())
    raw[200:204] = np.array([np.nan], "<f4").tobytes()
    bad.write_bytes(raw)
    with pytest.raises(DataError, match=r"L-16(.|\n)*values are nan or infinite"):
        train(replace(config, weights=bad, force=False))
    bad.write_bytes(raw[:-2])
    with pytest.raises(DataError, match=r"L-15(.|\n)*the file ends inside a value"):
        train(replace(config, weights=bad, force=False))
    with pytest.raises(WeightsError, match="belongs to another network, or is incomplete"):
        train(replace(config, weights=bad))


def test_a_finished_file_is_explained(config: TrainConfig, tmp_path: Path) -> None:
    """L-17: complete weights whose counter is at the end already; the flag to use is named."""
    first = train(replace(config, weights=None, out=tmp_path / "first", max_batches=3))
    told: list[str] = []
    outcome = train(replace(config, weights=first.weights["final"], max_batches=3), notify=told.append)
    assert outcome.reason == "nothing-to-do"
    assert any(line.startswith("note L-17") and "is at iteration 3" in line for line in told)
    assert any("--clear counts from 0" in line for line in told)
