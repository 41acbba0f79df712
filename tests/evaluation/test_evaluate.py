# SPDX-License-Identifier: Apache-2.0
"""``pydarknet.evaluate`` and ``pydarknet eval``: which images, which classes, what is printed and written."""

from __future__ import annotations

import csv
import json
import logging
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from bccd_files import make_bccd, network
from helpers import run
from made_evaluation import evaluation, judged

import pydarknet
from pydarknet import Evaluation, Network
from pydarknet.cli._impl.eval_record import recorded
from pydarknet.data import Dataset, Flag, Sample, Status, read, write
from pydarknet.data.fingerprint import fingerprint
from pydarknet.engine.handle import NetworkInfo
from pydarknet.errors import ArgumentError, DataError, FileError
from pydarknet.evaluation.diagnose import explain_low_map
from pydarknet.evaluation.evaluate import class_ids, labelled

NAMES = ("RBC", "WBC", "Platelets")


@pytest.fixture(scope="module")
def few(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bccd(shared, tmp_path_factory.mktemp("bccd") / "few", 6)


@pytest.fixture(scope="module")
def coco_file(few: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same images in COCO's format."""
    folder = tmp_path_factory.mktemp("coco")
    write(read(few), folder / "ds", "coco", link="sym")
    (file,) = (folder / "ds").rglob("*.json")
    return file


def opened(shared: Path, **options: object) -> Network:
    return Network(*network(shared), strict=False, precision="fp32", threads=1, **options)


# -- numbers


def test_the_same_weights_give_the_same_number(shared: Path, few: Path) -> None:
    """In batches or not, again or not, and in a network that is being trained."""
    found = []
    for options, trained in (({}, False), ({"batch": 4}, False), ({}, True), ({}, False)):
        with opened(shared, names=NAMES, **options) as net:
            trainer = net.trainer() if trained else None  # noqa: F841  lives during the evaluation
            result = pydarknet.evaluate(net, few)
            found.append((result.map50, result.map5095, result.fitness, result.darknet.detections))
    assert found[0][0] > 0.5
    assert len(set(found)) == 1


def test_flags_of_the_data_set_are_honoured(shared: Path, few: Path) -> None:
    """Boxes that are set aside need not be found, and finding them is no mistake."""
    dataset = read(few)
    whole = dataset.replace(samples=[sample.replace(split="") for sample in dataset])
    with opened(shared) as net:
        plain = pydarknet.evaluate(net, whole).darknet.classes[1]
        assert plain.tp == 6
        for flag in (Flag.DIFFICULT, Flag.CROWD, Flag.IGNORE):
            aside = [s.replace(flags=np.where(s.classes == 1, flag, s.flags)) for s in whole]
            result = pydarknet.evaluate(net, whole.replace(samples=aside)).darknet
            assert result.classes[1].tp == 0
            assert result.classes[1].fp <= plain.fp
            assert result.truths == sum(int((s.classes != 1).sum()) for s in whole)


def test_a_map_of_zero_is_said_with_its_causes(
    tiny_files: tuple[Path, Path],
    levels: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The self-test's network finds an object at (2, 2, 4, 4); the label says it is elsewhere, and tiny."""
    cv2.imwrite(str(tmp_path / "image.png"), levels)
    (tmp_path / "image.txt").write_text("0 0.25 0.25 0.1 0.1\n")
    (tmp_path / "valid.txt").write_text(f"{tmp_path}/image.png\n")
    (tmp_path / "obj.names").write_text("thing\n")
    data = tmp_path / "obj.data"
    data.write_text(f"valid = {tmp_path}/valid.txt\nnames = {tmp_path}/obj.names\n")
    cfg, weights = tiny_files
    for words in (["detector", "map", data, cfg, weights], ["eval", "--cfg", cfg, "--weights", weights]):
        more = ["--data", data] if words[0] == "eval" else []
        assert run(monkeypatch, *words, *more) == 0
        err = capsys.readouterr().err
        assert "mAP is 0.00 %: almost none of the 1 objects are found. The usual causes:\n" in err
        assert "\n  labels: 1 of 1 images have boxes\n" in err
        assert "\n  class ids: 0 objects have a detection, 0 of them with their class\n" in err
        assert re.search(
            r"\n! weights: (\d+) of \1 layers are in the file, trained on 0 images so far\n", err
        )
        assert re.search(r"\n  confidence: \d detections, up to 0.730\n", err)
        assert "\n! size: at 4x4 the objects are 0 pixels large (median); use a larger input\n" in err


def test_objects_that_are_found_with_another_class() -> None:
    info = NetworkInfo(*[0] * 12, 0.0, 0, "cpu", "fp32", "", "")
    made = Evaluation([judged([(0, 0.9, 0), (50, 0.9, 0)], [(0, 1), (90, 1)])], ["cat", "dog"])
    assert "! class ids: 1 objects have a detection, 0 of them with their class" in explain_low_map(
        made, info
    )


def test_no_doubts_without_reason() -> None:
    """Neither about a network that finds something, nor where there is nothing to find."""
    info = NetworkInfo(*[0] * 12, 0.0, 0, "cpu", "fp32", "", "")
    assert explain_low_map(evaluation(), info) == []
    assert explain_low_map(Evaluation([judged([(0, 0.9, 0)], [])], ["cat"]), info) == []
    lines = explain_low_map(
        Evaluation([judged([], [(0, 0)])] * 3, ["cat"]), replace(info, width=100, height=10)
    )
    assert lines[0].startswith("mAP is 0.00 %: almost none of the 3 objects")
    assert [line[0] for line in lines[1:]] == [" ", " ", "!", "!", "!"]
    assert lines[4] == "! confidence: no detections"
    assert lines[5] == "! size: at 100x10 the objects are 5 pixels large (median); use a larger input"


# -- which images


def sample(name: str, split: str, status: Status | None = None) -> Sample:
    boxes = np.array([(0, 0, 5, 5)]) if status is None else np.empty((0, 4))
    return Sample(Path(name), boxes, np.zeros(len(boxes)), size=(10, 10), split=split, status=status)


def test_splits(caplog: pytest.LogCaptureFixture) -> None:
    dataset = Dataset(
        [
            sample("a", "train"),
            sample("b", "val"),
            sample("c", "val", Status.UNLABELLED),
            sample("d", "test"),
        ],
        ["thing"],
    )

    def names(split: str) -> list[str]:
        return [one.image.name for one in labelled(dataset, split)]

    with caplog.at_level(logging.WARNING, "pydarknet"):
        assert names("valid") == names("val") == ["b"]
    assert "1 of 2 images have no label file or no usable box and are left out" in caplog.text
    assert names("test") == ["d"]
    assert names("all") == ["a", "b", "d"]
    plain = dataset.replace(samples=[sample("x", "")])
    assert len(labelled(plain, "valid")) == 1
    with pytest.raises(ArgumentError, match="found split 'vaild'; expected valid, train, test or all"):
        labelled(dataset, "vaild")
    with pytest.raises(DataError, match="has no images of the split test; there are train"):
        labelled(dataset.replace(samples=[sample("a", "train")]), "test")
    with pytest.raises(DataError, match="none of 1 images has a label file"):
        labelled(dataset.replace(samples=[sample("c", "val", Status.UNLABELLED)]))


def test_labels_of_other_splits_are_not_read(few: Path, tmp_path: Path) -> None:
    """A large list of training images does not slow an evaluation down."""
    (tmp_path / "train.txt").write_text("gone.jpg\n")
    data = tmp_path / "obj.data"
    data.write_text(f"train = {tmp_path}/train.txt\n{few.read_text()}")
    dataset = labelled(data)
    assert len(dataset) == 6
    assert "missing-image" not in dataset.report.counts
    with pytest.raises(DataError, match=r"obj\.data: has no images of the split test; there are train, val"):
        labelled(data, "test")


def test_valid_is_the_training_list(few: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """So it is in many .data files, and in those of sets that have only validation images."""
    data = tmp_path / "obj.data"
    data.write_text(f"train = {few.parent}/valid.txt\n{few.read_text()}")
    with caplog.at_level(logging.WARNING, "pydarknet"):
        assert len(labelled(data)) == 6
    assert "obj.data: valid is the list of the training images" in caplog.text


def test_classes_are_matched_by_name(shared: Path, few: Path, caplog: pytest.LogCaptureFixture) -> None:
    """In a data set with another order of classes the network is as good."""
    dataset = read(few)
    order = ("WBC", "Platelets", "RBC")
    places = np.array([2, 0, 1])
    turned = dataset.replace(samples=[s.replace(classes=places[s.classes]) for s in dataset], names=order)
    with opened(shared, names=NAMES) as net:
        plain = pydarknet.evaluate(net, dataset)
        with caplog.at_level(logging.WARNING, "pydarknet"):
            result = pydarknet.evaluate(net, turned)
        assert "in a different order" in caplog.text
        assert result.names == order
        assert result.map50 == pytest.approx(plain.map50)
        aps = {row.name: row.ap for row in plain.darknet.classes}
        assert [row.ap for row in result.darknet.classes] == [aps[name] for name in order]
        with pytest.raises(DataError, match="classes missing from the data set: Platelets; the data set has"):
            class_ids(net, dataset.replace(names=("RBC", "WBC", "Thrombocytes")))
        with pytest.raises(DataError, match=r"has 4 classes \(RBC, WBC, Platelets, x\), the network has 3"):
            class_ids(net, dataset.replace(names=(*NAMES, "x")))


def test_a_network_without_heads(few: Path) -> None:
    text = "[net]\nwidth=8\nheight=8\nchannels=3\n[convolutional]\nfilters=2\nsize=1\nactivation=linear\n"
    net = Network.parse(text, name="classifier.cfg")
    with net, pytest.raises(DataError, match=r"classifier\.cfg: has no head that detects"):
        pydarknet.evaluate(net, few)


# -- the command


def evaluated(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    shared: Path,
    data: Path,
    *words: object,
) -> str:
    cfg, weights = network(shared)
    files = ["--cfg", cfg, "--weights", weights, "--data", data, "--precision", "fp32", "--threads", 1]
    files += ["--lenient"]
    assert run(monkeypatch, "eval", *files, *words) == 0
    return capsys.readouterr().out


def test_what_is_printed(
    shared: Path, few: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = evaluated(monkeypatch, capsys, shared, few, "--worst", 2)
    head = out.splitlines()[0]
    assert "(valid): 320x320 stretch, fp32, detections from 0.005, nms 0.45" in head
    assert re.search(r"^WBC +6 +[\d.]+ +[\d.]+ +6 +\d+ +0$", out, re.MULTILINE)
    assert re.search(r"^COCO: AP [\d.]+  AP50 [\d.]+ ", out, re.MULTILINE)
    assert re.search(
        r"^calibration error [\d.]+, [\d.]+ above 0.25: the network is overconfident$", out, re.MULTILINE
    )
    assert len(re.findall(r"BloodImage_\d+.jpg: \d+ missed, \d+ wrong, \d+ right", out)) == 2


def table_of(path: Path) -> list[list[str]]:
    return list(csv.reader(path.read_text().splitlines()))


def test_json_and_files(
    shared: Path,
    coco_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """All files are there, and say what the JSON on standard output says."""
    words = ["--json", "--out", tmp_path / "out", "--worst", 2]
    words += ["--results", "coco", "--results", "voc", "--results", "kaggle", "--protocol", "voc11"]
    table = json.loads(evaluated(monkeypatch, capsys, shared, coco_file, *words))
    assert table["points"] == 11
    assert table["conditions"]["precision"] == "fp32"
    assert table["conditions"]["resize"] == "stretch"
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        "evaluation.json", "confusion.csv", "pr.csv", "curves.csv", "worst.jpg", "coco_results.json",
        "submission.csv", *(f"{c}.png" for c in ("confusion", "pr", "f1", "p", "r", "calibration", "slices")),
        *(f"comp4_det_test_{name}.txt" for name in NAMES),
    }  # fmt: skip
    assert json.loads((tmp_path / "out/evaluation.json").read_text()) == table
    rows = table_of(tmp_path / "out/confusion.csv")
    assert rows[0][1:] == [*NAMES, "background"]
    assert [[int(v) for v in row[1:]] for row in rows[1:]] == table["confusion"]["counts"]
    rows = table_of(tmp_path / "out/pr.csv")
    assert rows[0] == ["recall", *NAMES]
    assert len(rows) == 102
    assert len(table_of(tmp_path / "out/curves.csv")) == 1002
    entries = json.loads((tmp_path / "out/coco_results.json").read_text())
    assert len(entries) == table["detections"]
    ids = {image["id"] for image in json.loads(coco_file.read_text())["images"]}
    assert {entry["image_id"] for entry in entries} == ids


def test_numbers_survive_a_full_disk(
    shared: Path,
    few: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(*_: object, **__: object) -> None:
        raise FileError("out/pr.png: no space left on device")

    monkeypatch.setattr("pydarknet.evaluation.export.save", full)
    cfg, weights = network(shared)
    words = ["--cfg", cfg, "--weights", weights, "--data", few, "--lenient", "--out", tmp_path / "out"]
    assert run(monkeypatch, "eval", *words) == 1
    told = capsys.readouterr()
    assert re.search(r"^COCO: AP [\d.]+ ", told.out, re.MULTILINE)
    assert "files in" not in told.out
    assert "no space left on device" in told.err


def test_two_networks(
    shared: Path, few: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same weights twice differ by nothing; the same at a smaller input are another network."""
    cfg, weights = network(shared)
    out = evaluated(monkeypatch, capsys, shared, few, "--compare", weights)
    assert re.search(r"^map50 +([\d.]+) +\1 +\+0\.00 ", out, re.MULTILINE)
    small = few.with_name("small.cfg")
    small.write_text(re.sub(r"(width|height)=320", r"\1=160", cfg.read_text()))
    words = ["--compare", weights, "--compare-cfg", small, "--json"]
    table = json.loads(evaluated(monkeypatch, capsys, shared, few, *words))
    assert table["compare"]["conditions"]["size"] == [160, 160]
    difference = table["compare"]["differences"][0]
    assert difference["metric"] == "map50"
    assert difference["first"] == table["map50"]
    assert difference["second"] == table["compare"]["map50"] < table["map50"]
    assert difference["low"] <= difference["second"] - difference["first"] <= difference["high"]


def test_any_format_of_data(shared: Path, few: Path, coco_file: Path) -> None:
    """A COCO file gives the numbers of the Darknet lists that it was made of."""
    with opened(shared, names=NAMES) as net:
        one, two = (pydarknet.evaluate(net, data) for data in (few, coco_file))
    assert two.map50 == pytest.approx(one.map50, abs=0.002)
    assert (two.darknet.truths, len(two.images)) == (one.darknet.truths, len(one.images))


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--weights", "{weights}"], 2, "Missing option '--data'"),
        (
            ["--data", "{data}"],
            2,
            "bccd.cfg; a network with random weights detects nothing.",
        ),
        (["--data", "{data}", "--weights", "w", "--results", "voc"], 2, "--results needs --out DIR"),
        (
            ["--data", "{data}", "--weights", "w", "--compare-cfg", "x.cfg"],
            2,
            "--compare-cfg needs --compare",
        ),
        (["--data", "{data}", "--weights", "w", "--protocol", "coco"], 2, "'coco' is not one of"),
        (["--data", "{data}", "--weights", "w", "--mapping", "m"], 2, "--mapping is for --results kaggle"),
        (["--data", "{data}", "--weights", "w", "--iou", "1"], 2, "1.0 is not in the range 0<x<1"),
        (
            ["--data", "{data}", "--weights", "w", "--score", "0.5"],
            2,
            "--score 0.5 drops detections that --thresh 0.25 counts; raise --thresh or lower --score",
        ),
        (["--data", "{data}", "--weights", "w", "--compare", "gone"], 1, "gone: file not found"),
        (
            ["--data", "{data}", "--weights", "w", "--out", "{data}/x"],
            1,
            "bccd.data/x/evaluation.json: cannot",
        ),
        (["--data", "gone.data", "--weights", "{weights}"], 1, "gone.data: no such file or folder"),
        (["--data", "{data}", "--weights", "gone.weights"], 1, "gone.weights: "),
        (
            ["--data", "{data}", "--weights", "{weights}", "--split", "test"],
            1,
            "no images of the split test; there are val",
        ),
    ],
)
def test_bad_input(
    shared: Path,
    few: Path,
    words: list[str],
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cfg, weights = network(shared)
    filled = [word.format(data=few, weights=weights) for word in words]
    assert run(monkeypatch, "eval", "--cfg", cfg, "--lenient", *filled) == code
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_word_that_is_no_model(
    few: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for word, state in (("runs/gone", "is not there"), (few, "is not a pack or run")):
        assert run(monkeypatch, "eval", word, "--data", few) == 2
        assert f"{word} {state}; expected CFG WEIGHTS, a pack or" in " ".join(capsys.readouterr().err.split())


def test_images_that_cannot_be_read_are_left_out(
    shared: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = make_bccd(shared, tmp_path / "ds", 3)
    first = Path((tmp_path / "ds/valid.txt").read_text().split()[0])
    content = first.read_bytes()
    first.unlink()
    first.write_bytes(content[: len(content) // 50])  # the header is whole, the pixels are not
    with opened(shared) as net, caplog.at_level(logging.WARNING, "pydarknet"):
        assert len(pydarknet.evaluate(net, data).images) == 2
    assert first.name in caplog.text


def test_what_the_reader_dropped_is_said(
    shared: Path, few: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Images that are not there and labels of no class make the numbers those of the rest."""
    data = make_bccd(shared, tmp_path / "ds", 2)
    first, second = (Path(line) for line in (tmp_path / "ds/valid.txt").read_text().split())
    second.unlink()
    with first.with_suffix(".txt").open("a") as file:
        file.write("7 0.5 0.5 0.1 0.1\n")
    with caplog.at_level(logging.WARNING, "pydarknet"):
        assert len(labelled(data)) == 1
        assert re.search("bccd.data: not everything is used as it stands: 1 [a-z-]+, 1 [a-z-]+;", caplog.text)
        assert re.search(r"\n  .*: class 7; there are 3 names", caplog.text)
        assert re.search(rf"\n  .*{second.name}: no such image", caplog.text)
        caplog.clear()
        labelled(few)
    assert caplog.text == ""


# -- what the training said


def test_the_number_of_the_training_is_held_against_this_one(shared: Path, few: Path, tmp_path: Path) -> None:
    dataset = labelled(few)
    conditions = {"size": [320, 320], "resize": "stretch", "score": 0.005, "nms": 0.45, "backend": "cpu"}
    conditions |= {"precision": "fp32", "pydarknet": "1"}
    made = evaluation()
    weights = str(tmp_path / "net_best.weights")

    def said(value: float, sha256: str = fingerprint(dataset.samples), **protocol: object) -> str:
        then = {**conditions, "width": 320, "height": 320, "letter_box": False, **protocol}
        told = {"map50": value, "iteration": 700, "protocol": then, "valid": {"sha256": sha256}}
        (tmp_path / "net_best.json").write_text(json.dumps(told))
        return recorded(weights, made, dataset, conditions)

    assert recorded(weights, made, dataset, conditions) == ""
    assert said(0.5) == "net_best.json: map50 was 50.00 at iteration 700, exactly as here"
    assert said(0.6).endswith("measured with the same images and settings; the weights changed")
    assert said(0.6, precision="bf16").endswith("iteration 700, measured with precision bf16")
    assert said(0.6, "x", width=416).endswith("measured with other images or labels, width 416")
    for others in ("[]", '{"protocol": "Darknet", "valid": "v.txt", "map50": 1, "iteration": 1}'):
        (tmp_path / "net_best.json").write_text(others)
        assert recorded(weights, made, dataset, conditions) == ""
