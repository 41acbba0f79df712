# SPDX-License-Identifier: Apache-2.0
"""A command that reads or writes no image fails, and says why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from data_files import make_image
from helpers import run


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def coco(**more: object) -> None:
    """An annotation file of 3 images that are not there."""
    Path("coco.json").write_text(
        json.dumps(
            {
                "images": [{"id": i, "file_name": f"{i}.png", "width": 9, "height": 9} for i in range(3)],
                "annotations": [
                    {"id": i, "image_id": i, "category_id": 1, "bbox": [1, 1, 5, 5], **more} for i in range(3)
                ],
                "categories": [{"id": 1, "name": "a"}],
            }
        )
    )


@pytest.mark.parametrize(
    "target", ["darknet", "coco", "voc", "yolov5", "cvat", "csv", "labelstudio", "kitti"]
)
def test_convert_writes_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], target: str
) -> None:
    coco()
    assert run(monkeypatch, "convert", "coco.json", "--to", target, "--out", "ds", "--jobs", 1) == 1
    err = capsys.readouterr().err
    assert "error: nothing was written: 3 x missing-image; give the folder of the images with --images" in err
    written = [path.name for path in Path("ds").rglob("*") if path.is_file()]
    assert written == ["convert_report.json"]


@pytest.mark.parametrize("command", ["stats", "view", "split --out o", "filter --min-size 5 --out o"])
def test_data_reads_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    coco()
    name, *more = command.split()
    assert run(monkeypatch, "data", name, "coco.json", *more) == 1
    assert "coco.json: no image was read: 3 x missing-image; give the folder" in capsys.readouterr().err


def test_an_empty_folder(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    Path("label_2/train").mkdir(parents=True)
    assert run(monkeypatch, "convert", "label_2", "--from", "kitti", "--out", "ds", "--jobs", 1) == 1
    assert "nothing was written: no image was found" in capsys.readouterr().err


def test_a_score_that_is_not_a_number(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One annotation is lost, and the others keep their own boxes."""
    coco()
    content = json.loads(Path("coco.json").read_text())
    for number, annotation in enumerate(content["annotations"]):
        annotation["bbox"] = [number, number, 4, 4]
        make_image(Path(f"{number}.png"), 9, 9)
    content["annotations"][0]["score"] = "high"
    Path("coco.json").write_text(json.dumps(content))
    assert run(monkeypatch, "convert", "coco.json", "--out", "ds", "--jobs", 1) == 1
    assert "annotation 1: could not convert string to float" in capsys.readouterr().out
    labels = {path.stem: path.read_text().split() for path in Path("ds/train").glob("*.txt")}
    assert {stem: float(values[1]) * 9 for stem, values in labels.items()} == pytest.approx(
        {"1": 3, "2": 4}, abs=1e-4
    )
