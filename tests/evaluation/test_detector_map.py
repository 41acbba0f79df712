# SPDX-License-Identifier: Apache-2.0
"""``pydarknet detector map`` and ``recall``: Darknet's command lines, numbers and lines."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bccd_files import make_bccd, network
from helpers import run

from pydarknet.compat.recall import Recall
from pydarknet.data import read
from pydarknet.evaluation.collect import collect
from pydarknet.evaluation.columns import Judged

REPORTS = {
    "map": [],
    "mappoints11": ["-points", 11],
    "mappoints101": ["-points", 101],
    "mapiou_thresh075": ["-iou_thresh", 0.75],
    "mapthresh05": ["-thresh", 0.5],
}

NUMBER = re.compile(r"(?<![@\w])-?\d+(?:\.\d+)?")


@pytest.fixture(scope="module")
def bccd(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bccd(shared, tmp_path_factory.mktemp("bccd") / "ds")


@pytest.fixture(scope="module")
def few(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bccd(shared, tmp_path_factory.mktemp("bccd") / "few", 6)


@pytest.fixture(scope="module")
def collected() -> Callable[..., list[Judged]]:
    """Detections are the same for all options of the report, so they are collected once."""
    found: list[Judged] = []

    def once(*arguments: Any, **options: Any) -> list[Judged]:
        found.extend([] if found else collect(*arguments, **options))
        return found

    return once


@pytest.mark.slow
@pytest.mark.parametrize("name", REPORTS)
def test_line_for_line(
    shared: Path,
    bccd: Path,
    collected: Callable[..., list[Judged]],
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The text is Darknet's; numbers differ by no more than how images are decoded."""
    monkeypatch.setattr("pydarknet.evaluation.collect.collect", collected)
    assert run(monkeypatch, "detector", "map", bccd, *network(shared), *REPORTS[name], "-dont_show") == 0
    out, err = capsys.readouterr()
    assert out.startswith(
        "\n calculation mAP (mean average precision)...\n Detection layer: 121 - type = 28 \n"
    )
    assert re.search(r"(^|\n)Total Detection Time: \d+ Seconds\n$", err)
    ours = re.split(r"[\r\n]", out[out.index(" detections_count") :].rstrip("\n"))
    theirs = (shared / "fixtures/map" / f"{name}.txt").read_text().rstrip("\n").split("\n")
    assert [NUMBER.sub("#", line) for line in ours] == [NUMBER.sub("#", line) for line in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        percent = 0.5 if "ap = " in mine or "mean average" in mine else 0
        numbers = [[float(n) for n in NUMBER.findall(line)] for line in (mine, other)]
        assert numbers[0] == pytest.approx(numbers[1], rel=0.01, abs=percent or 0.011), (mine, other)


def test_a_class_of_another_number_of_names_is_refused(
    shared: Path, few: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = few.with_name("two.names")
    names.write_text("RBC\nWBC\n")
    data = few.with_name("two.data")
    data.write_text(re.sub(r"names = .*", f"names = {names}", few.read_text()))
    assert run(monkeypatch, "detector", "map", data, *network(shared)) == 1
    assert "found 2 class names, the network has 3 classes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "file not found; expected a .data file with valid and names"),
        ("names = {names}\n", "has no line valid = FILE"),
        ("valid = {valid}\n", "has no line names = FILE"),
        ("names = {names}\nvalid = gone.txt\n", "gone.txt: no such file or folder"),
        ("names = {names}\nvalid = {empty}\n", "no listed image exists"),
        (
            "names = {names}\nvalid = {valid}\ndifficult = {one}\n",
            "names 1 images, but .* names 6; both must list the same images line by line",
        ),
    ],
)
def test_bad_data_files(
    shared: Path,
    few: Path,
    tmp_path: Path,
    content: str | None,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty.txt").write_text(f"{tmp_path}/gone.jpg\n")
    (tmp_path / "one.txt").write_text("difficult.jpg\n")
    data = tmp_path / "obj.data"
    if content is not None:
        names = shared / "fixtures/map/bccd.names"
        files = {"empty": tmp_path / "empty.txt", "one": tmp_path / "one.txt"}
        data.write_text(content.format(names=names, valid=few.with_name("valid.txt"), **files))
    assert run(monkeypatch, "detector", "map", data, *network(shared)) == 1
    assert re.search(message, capsys.readouterr().err)


def test_what_is_wrong_with_labels_is_said(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing label file counts as an empty one; a class that does not exist is left out."""
    data = make_bccd(shared, tmp_path / "ds", 2)
    first, second = [Path(line) for line in (tmp_path / "ds/valid.txt").read_text().split()]
    count = len(first.with_suffix(".txt").read_text().splitlines())
    second.with_suffix(".txt").unlink()
    with first.with_suffix(".txt").open("a") as file:
        file.write("7 0.5 0.5 0.1 0.1\n")
    assert run(monkeypatch, "detector", "map", data, *network(shared)) == 0
    out, err = capsys.readouterr()
    assert f"unique_truth_count = {count}  " in out
    assert "class 7; there are 3 names" in err
    assert f"1 images have no label file and count as empty, the first: {second}" in err


def test_points_of_recall(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "detector", "map", "a", "b", "c", "-points", 1) == 2
    assert "-points 1 is not valid; write 0, 11 or 101" in capsys.readouterr().err
    assert run(monkeypatch, "detector", "map", "a", "b", "c", "-pionts", 11) == 2
    assert "no such flag: -pionts. Did you mean -points?" in capsys.readouterr().err


def test_difficult_boxes_count_neither_way(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A box that is moved into the list `difficult` is no truth any more, and finding it is no mistake."""
    data = make_bccd(shared, tmp_path / "ds", 1)
    image = Path((tmp_path / "ds/valid.txt").read_text().strip())
    label = image.with_suffix(".txt")
    whites = [line for line in label.read_text().splitlines() if line.startswith("1 ")]
    others = [line for line in label.read_text().splitlines() if not line.startswith("1 ")]
    assert len(whites) == 1

    def counts(lines: list[str]) -> tuple[int, int]:
        label.write_text("".join(f"{line}\n" for line in lines))
        assert run(monkeypatch, "detector", "map", data, *network(shared)) == 0
        found = re.search(r"name = WBC.*TP = (\d+), FP = (\d+)", capsys.readouterr().out)
        return int(found[1]), int(found[2])

    assert counts(others + whites) == (1, 0)
    assert counts(others) == (0, 1)
    side = tmp_path / "ds" / f"difficult_{image.name}"
    side.with_suffix(".txt").write_text(f"{whites[0]}\n")
    (tmp_path / "ds/difficult.txt").write_text(f"{side}\n")
    data.write_text(f"{data.read_text()}difficult = {tmp_path}/ds/difficult.txt\n")
    assert counts(others) == (0, 0)
    sample = read(data)[0]  # and so it does for eval and training
    assert [sample.classes[i] for i in np.flatnonzero(sample.difficult)] == [1]
    assert len(sample) == len(others) + 1


def test_recall_by_hand() -> None:
    """Truths 10 x 10 at 0, 100 and 200; proposals: equal, shifted by half (IoU 1/3), elsewhere."""
    recall = Recall()
    truths = np.array([(x, 0, x + 10, 10) for x in (0, 100, 200)], float)
    proposals = np.array([(x, 0, x + 10, 10) for x in (0, 105, 400, 500)], float)
    recall.add(proposals, truths)
    assert (recall.correct, recall.truths, recall.proposals) == (1, 3, 4)
    assert recall.line() == "    0     1     3\tRPs/Img: 4.00\tIOU: 44.44%\tRecall:33.33%"
    recall.add(np.empty((0, 4)), truths[:1])
    assert recall.line() == "    1     1     4\tRPs/Img: 2.00\tIOU: 33.33%\tRecall:25.00%"


def test_recall_of_nothing() -> None:
    recall = Recall()
    recall.add(np.ones((1, 4)), np.empty((0, 4)))
    assert recall.line() == "    0     0     0\tRPs/Img: 1.00\tIOU: nan%\tRecall:nan%"


def test_recall_command(
    shared: Path, few: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line per image; more objects get a box than are found with class and confidence."""
    assert run(monkeypatch, "detector", "recall", few, *network(shared)) == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line[:5] for line in lines] == [f"{i:5d}" for i in range(6)]
    last = re.fullmatch(
        r" {4}5 +(\d+) +(\d+)\tRPs/Img: ([\d.]+)\tIOU: ([\d.]+)%\tRecall:([\d.]+)%", lines[-1]
    )
    labels = few.parent.glob("BloodImage_*.txt")
    truths = sum(len(label.read_text().split()) // 5 for label in labels)
    assert int(last[2]) == truths
    assert float(last[5]) == pytest.approx(100 * int(last[1]) / truths, abs=0.006)
    assert int(last[1]) > 0.9 * truths
