# SPDX-License-Identifier: Apache-2.0
"""A resumed run compares its inputs with those it had; changes are refused, or reported and used."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import shapes
from helpers import run
from shapes import StopAt

from pydarknet import TrainConfig
from pydarknet.cfg import CfgFile
from pydarknet.data import read
from pydarknet.data.fingerprint import identity
from pydarknet.errors import ArgumentError, DataError
from pydarknet.logs.load import load as load_log
from pydarknet.training import checkpoint, resume, train

LENGTH = 12


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    """A training that was stopped after 2 of 12 iterations."""
    place = tmp_path / "work"
    data, cfg = shapes.data_set(place / "ds"), shapes.cfg(place, LENGTH)
    config = TrainConfig(
        cfg, data, out=place / "run", threads=1, force=True, plots=False, map_every=0, precision="fp32"
    )
    assert train(config, [StopAt(2)]).iteration == 2
    return config


def edit(path: Path | str, old: str, new: str) -> None:
    text = Path(path).read_text()
    assert old in text
    Path(path).write_text(text.replace(old, new))


def resumed(config: TrainConfig, until: int = 4) -> list[str]:
    """Notices of the next session."""
    told: list[str] = []
    assert train(config, [StopAt(until)], notify=told.append).iteration == until
    return told


def recorded(config: TrainConfig) -> list[str]:
    """Changes that the last session entered into run.json."""
    sessions = json.loads((Path(config.out or "") / "run.json").read_text())["sessions"]
    changes = sessions[-1]["inputs"]["changes"]
    assert isinstance(changes, list)
    return changes


# -- cfg


def test_nothing_changed(config: TrainConfig) -> None:
    told = resumed(config)
    assert not any("chang" in line or "->" in line for line in told)
    assert recorded(config) == []


def test_spelling_of_the_cfg_does_not_count(config: TrainConfig) -> None:
    """Comments, order of keys, defaults written out and other spellings of numbers mean the same network."""
    edit(config.cfg, "momentum=0.9\ndecay=0.0005", "# as published\ndecay = 5e-4\nmomentum=.90\nangle=0")
    edit(config.cfg, "[convolutional]", "[conv]")
    assert not any("->" in line for line in resumed(config))


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("momentum=0.9", "momentum=0.8", "[net] momentum: 0.9 → 0.8"),
        ("jitter=.2", "jitter=.3", "4 [yolo] jitter: .2 → .3"),
        ("filters=24", "filters=32", "2 [convolutional] filters: 24 → 32"),
        ("anchors=14,14, 26,26", "anchors=14,14, 28,28", "4 [yolo] anchors: 14,14,26,26 → 14,14,28,28"),
        ("batch=4\n", "batch=2\n", "[net] batch: 4 → 2"),
        ("[yolo]", "[dropout]\nprobability=.5\n[yolo]", "+ 4 [dropout]"),
    ],
)
def test_another_network_or_recipe_is_refused(config: TrainConfig, old: str, new: str, line: str) -> None:
    """The message names each key with both values, and the command that does what may be wanted."""
    edit(config.cfg, old, new)
    state = Path(config.out or "") / "weights/shapes_last.state"
    before = state.read_bytes()
    with pytest.raises(ArgumentError) as error:
        train(config)
    text = str(error.value)
    assert line in text
    weights = Path(config.out or "") / "weights/shapes_last.weights"
    assert f"pydarknet train --cfg {config.cfg} --data {config.data} --weights {weights} --out NEW" in text
    assert state.read_bytes() == before


def test_the_command_of_the_message_works(config: TrainConfig) -> None:
    """A new run from the last weights, with the other recipe."""
    edit(config.cfg, "momentum=0.9", "momentum=0.8")
    weights = Path(config.out or "") / "weights/shapes_last.weights"
    new = replace(config, weights=weights, out=Path(config.out or "").with_name("new"))
    assert train(new, [StopAt(3)]).iteration == 3


@pytest.mark.parametrize("how", ["--lr", "--set", "cfg", "--resume"])
def test_another_learning_rate(config: TrainConfig, how: str) -> None:
    """The rate changes from the next iteration on, reported and recorded; the rest is as before."""
    if how == "cfg":
        edit(config.cfg, "learning_rate=0.01", "learning_rate=0.002")
    changed = {
        "--lr": replace(config, lr=0.002),
        "--set": replace(config, settings=("learning_rate=0.002",)),
        "cfg": config,
        "--resume": resume(Path(config.out or ""), lr=0.002),
    }[how]
    text = "learning_rate 0.01 -> 0.002: the new schedule applies from now on"
    assert text in resumed(changed, 6)
    assert recorded(config) == [text]
    rates = [row.rate for row in load_log(Path(config.out or "") / "train.log").iterations]
    expected = [(0.01 if n <= 2 else 0.002) * min(n / 5, 1) ** 4 for n in range(1, 7)]
    assert rates == pytest.approx(expected, rel=1e-3)
    assert not any("learning_rate" in line for line in resumed(changed, 7))


def test_other_steps_and_another_length(config: TrainConfig) -> None:
    """Steps from the cfg or --set are taken as they are; with --max-batches they are scaled to the length."""
    told = resumed(replace(config, settings=("steps=6,7",)), 3)
    assert "steps 9,10 -> 6,7: the new schedule applies from now on" in told
    told = resumed(replace(config, settings=("steps=6,7",), max_batches=24), 4)
    assert "steps 6,7 -> 12,14: they keep their share of the training" in told
    told = resumed(replace(config, settings=("steps=3,9",), max_batches=24), 5)
    assert "steps 12,14 -> 6,18: the new schedule applies from now on" in told
    net = CfgFile.load(Path(config.out or "") / "shapes.cfg").net
    assert (net.integer("max_batches"), net.integers("steps")) == (24, [6, 18])
    resumed(replace(config, settings=("steps=3,9",)), 6)
    edit(config.cfg, f"max_batches={LENGTH}", "max_batches=30")
    assert "max_batches 24 -> 30: the new schedule applies from now on" in resumed(
        replace(config, settings=("steps=3,9",)), 7
    )


def test_other_subdivisions(config: TrainConfig) -> None:
    """Less memory on another machine: the same images, in smaller parts."""
    text = "subdivisions 2 -> 4: results will no longer be bit-identical"
    assert text in resumed(replace(config, subdivisions="4"))
    assert recorded(config) == [text]


def test_the_copy_in_the_run_is_not_to_be_edited(config: TrainConfig) -> None:
    """What was trained is in the state; an edit of the copy has no effect, and that is reported."""
    copy = Path(config.out or "") / "shapes.cfg"
    edit(copy, "momentum=0.9", "momentum=0.8")
    told = resumed(config)
    assert any(f"{copy}: changes in this file have no effect" in line for line in told)
    assert CfgFile.load(copy).net.number("momentum") == 0.9


def test_the_seed_is_refused_with_both_values(config: TrainConfig) -> None:
    with pytest.raises(ArgumentError, match=r"another seed \(0, not 7\)"):
        train(replace(config, seed=7))


# -- names


def test_other_names_are_refused(config: TrainConfig) -> None:
    """A new order would give each box the name of another class; so would another number of names."""
    names = Path(config.data).with_name("obj.names")
    names.write_text("disc\nsquare\ntriangle\n")
    with pytest.raises(
        DataError, match=r"class 0 was 'square' and is 'disc' \(the same names in another order"
    ):
        train(config)
    names.write_text("square\ndisc\ntriangel\n")
    with pytest.raises(
        DataError, match=r"class 2 was 'triangle' and is 'triangel'.*Restore names and labels"
    ):
        train(config)
    names.write_text("square\ndisc\ntriangle\n")
    resumed(config)


# -- images and labels


def test_another_order_of_the_list(config: TrainConfig) -> None:
    listed = Path(config.data).with_name("train.txt")
    lines = listed.read_text().splitlines(True)
    listed.write_text("".join(lines[::-1]))
    text = "the training list has another order: the choice of images differs from now on"
    assert text in resumed(config)
    assert recorded(config) == [text]
    assert text not in resumed(config, 5)


def test_fewer_images(config: TrainConfig) -> None:
    listed = Path(config.data).with_name("train.txt")
    gone = listed.read_text().splitlines()[3]
    Path(gone).unlink()
    Path(gone).with_suffix(".txt").unlink()
    listed.write_text(listed.read_text().replace(f"{gone}\n", ""))
    assert any("the training list has changed: 16 -> 15 images" in line for line in resumed(config))
    assert len(recorded(config)) == 1


def test_other_labels(config: TrainConfig) -> None:
    label = Path(config.data).parent / "train/train2.txt"
    rows = label.read_text().splitlines(True)
    label.write_text("".join([*rows, "1 0.5 0.5 0.2 0.2\n"]))
    (text,) = [line for line in resumed(config) if "labels of training images have changed" in line]
    assert recorded(config) == [text]


def test_the_held_out_images_change_with_the_list(config: TrainConfig, tmp_path: Path) -> None:
    """--val-fraction then validates on images that were trained on, which is reported."""
    edit(config.data, "valid=", "#valid=")
    config = replace(config, out=tmp_path / "held out", val_fraction=0.25)
    train(config, [StopAt(2)])
    listed = Path(config.data).with_name("train.txt")
    listed.write_text("".join(listed.read_text().splitlines(True)[:-1]))
    assert any("some were trained on, so mAP is too high" in line for line in resumed(config))


def test_identity_by_content(tmp_path: Path) -> None:
    """Equal wherever the folder is; order, names and labels are told apart."""
    first, second = shapes.data_set(tmp_path / "a"), shapes.data_set(tmp_path / "deep/er/b")
    found = identity(read(first).samples)
    assert found == identity(read(second).samples)
    backwards = identity(read(first).samples[::-1])
    assert {key for key in found if found[key] != backwards[key]} == {"order"}
    label = tmp_path / "a/train/train0.txt"
    label.write_text(label.read_text().replace("0.", "0.0", 1))
    moved = identity(read(first).samples)
    assert {key for key in found if found[key] != moved[key]} <= {"labels", "boxes"}
    assert found["labels"] != moved["labels"]
    assert identity([])["count"] == 0


# -- weights


def test_initial_weights(config: TrainConfig, tmp_path: Path) -> None:
    """Those that the run began with may be anywhere, or gone; others are refused."""
    first, moved = tmp_path / "first.weights", tmp_path / "elsewhere.weights"
    shutil.copy(Path(config.out or "") / "weights/shapes_last.weights", first)
    config = replace(config, out=tmp_path / "second", weights=first, clear=True)
    train(config, [StopAt(2)])
    shutil.move(first, moved)
    resumed(config, 3)
    resumed(replace(config, weights=moved), 4)
    resumed(replace(config, weights=None), 5)
    moved.write_bytes(moved.read_bytes()[:-4] + b"\0\0\0\1")
    with pytest.raises(
        ArgumentError, match=r"elsewhere.weights: the run in .* began from .*leave out --weights"
    ):
        train(replace(config, weights=moved))


# -- places


def test_a_data_set_and_a_run_that_moved(config: TrainConfig, tmp_path: Path) -> None:
    """Other mount points: the same command with the new paths, or --resume with --data; the same bits."""
    whole = train(replace(config, out=tmp_path / "whole"))
    old, new = tmp_path / "work", tmp_path / "other mount"
    old.rename(new)
    with pytest.raises(DataError, match=r"not found; if the data set has moved.*--resume .*run --data NEW"):
        train(resume(new / "run"))
    told: list[str] = []
    moved = resume(new / "run", data=new / "ds/obj.data")
    assert train(moved, [StopAt(5)], notify=told.append).iteration == 5
    assert not any("changed" in line for line in told)
    assert any("shapes.cfg: not found; the copy in the folder of the run is used" in line for line in told)
    moved = replace(config, cfg=new / "shapes.cfg", data=new / "ds/obj.data", out=new / "run")
    outcome = train(moved)
    arrays = [
        checkpoint.load(o.folder / "weights/shapes_last.state").trainer["arrays"] for o in (outcome, whole)
    ]
    assert all((arrays[0][name] == arrays[1][name]).all() for name in arrays[1])


def test_a_cfg_of_another_name(config: TrainConfig) -> None:
    """The run keeps the names of its files."""
    renamed = Path(config.cfg).with_name("renamed.cfg")
    Path(config.cfg).rename(renamed)
    resumed(replace(config, cfg=renamed))
    states = sorted(path.name for path in (Path(config.out or "") / "weights").iterdir())
    assert states == ["shapes_last.state", "shapes_last.weights"]


def test_resume_takes_data(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Through the command line."""
    moved = Path(config.data).parent.with_name("moved")
    Path(config.data).parent.rename(moved)
    words = ["train", "--resume", config.out, "--data", moved / "obj.data", "--quiet", "--max-batches", 3]
    assert run(monkeypatch, *words) == 0
    assert "finished at iteration 3" in capsys.readouterr().out


def test_numbered_runs(config: TrainConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without --out another training gets another number, and the first is named."""
    monkeypatch.chdir(tmp_path)
    config = replace(config, out=None)
    train(config, [StopAt(1)])
    told: list[str] = []
    assert train(replace(config, seed=1), [StopAt(1)], notify=told.append).folder == Path("runs/shapes-2")
    assert any("another training (seed), so a new one begins" in line for line in told)
    assert "--resume runs/shapes-1" in " ".join(told)
