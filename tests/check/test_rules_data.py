# SPDX-License-Identifier: Apache-2.0
"""Rules about data: a good data set passes, one fault at a time is found where it is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from datasets_on_disk import Images

from pydarknet.cfg import CfgFile, new
from pydarknet.check import Finding, PlannedRun, preflight
from pydarknet.errors import DataError

ROOMY = PlannedRun(memory=2**50)


def found(cfg: CfgFile, data: Path, rule: str, *, deep: bool = False) -> list[Finding]:
    return [f for f in preflight(cfg, data, run=ROOMY, deep=deep).findings if f.rule == rule]


def one(cfg: CfgFile, data: Path, rule: str, *, deep: bool = False) -> Finding:
    findings = found(cfg, data, rule, deep=deep)
    assert len(findings) == 1, findings
    return findings[0]


def test_good_data_pass(cfg: CfgFile, images: Images) -> None:
    """Nothing but the remark that twelve images are few: every rule keeps quiet about good data."""
    report = preflight(cfg, images.root / "obj.data", run=ROOMY, deep=True)
    assert [(f.rule, f.severity.value) for f in report.findings] == [("L-27", "note")]
    assert report.exit_code == 0
    assert report.skipped == ("L-15", "L-16", "L-17")


def test_class_counts(cfg: CfgFile, images: Images) -> None:
    """The message names all four numbers."""
    data = images.write(classes="3")
    finding = one(cfg, data, "L-05")
    assert finding.message == (
        "heads of the cfg: 2; classes in the .data file: 3; names: 2; highest id in the labels: 1"
    )
    assert (finding.file, finding.line) == (str(data), 1)
    assert found(cfg, images.write(), "L-05") == []


def test_class_counts_against_cfg_and_labels(images: Images) -> None:
    assert "heads of the cfg: 3" in one(new("yolov4-tiny", 3, 416), images.write(), "L-05").message
    images.label("train", "train0").write_text("2 0.5 0.5 0.2 0.2\n")
    finding = one(new("yolov4-tiny", 2, 416), images.write(), "L-05")
    assert "highest id in the labels: 2" in finding.message


def test_epochs(cfg: CfgFile, images: Images) -> None:
    """64 · 6000 = 384 000 images are plenty for 12, and few for a list of 50 000."""
    data = images.write()
    assert found(cfg, data, "L-10") == []
    listed = (images.root / "train.txt").read_text().splitlines()
    cfg.net.set("batch", 1)
    cfg.net.set("subdivisions", 1)
    cfg.net.set("max_batches", 110)
    finding = one(cfg, data, "L-10")
    assert finding.severity.value == "warning"
    assert f"9.17 epochs of {len(listed)} images" in finding.message
    cfg.net.set("max_batches", 11)
    assert one(cfg, data, "L-10").severity.value == "error"


def test_anchors_against_boxes(cfg: CfgFile, images: Images) -> None:
    """Boxes of 1 % of the image are out of reach of anchors that are two to eighty times larger."""
    for number in range(12):
        images.label("train", f"train{number}").write_text("0 0.5 0.5 0.9 0.005\n")
    finding = one(cfg, images.write(), "L-13")
    assert "best possible recall 0.000" in finding.message


def test_backup_folder(cfg: CfgFile, images: Images) -> None:
    (images.root / "backup").rmdir()
    finding = one(cfg, images.root / "obj.data", "L-18")
    assert finding.message.endswith("backup does not exist")
    assert finding.line == 5
    assert finding.hint == f"mkdir -p {images.root / 'backup'}"


def test_no_validation(cfg: CfgFile, images: Images) -> None:
    assert "mAP cannot be measured" in one(cfg, images.write(valid=None), "L-19").message


def test_missing_labels(cfg: CfgFile, images: Images) -> None:
    """One of twelve is a warning, two of twelve (83 %) an error; the paths that were tried are named."""
    images.label("train", "train3").unlink()
    finding = one(cfg, images.write(), "L-20")
    assert finding.severity.value == "warning"
    assert str(images.label("train", "train3")) in finding.message
    images.label("train", "train4").unlink()
    assert one(cfg, images.write(), "L-20").severity.value == "error"


def test_empty_label_is_a_label(cfg: CfgFile, images: Images) -> None:
    images.label("train", "train3").write_text("")
    assert found(cfg, images.write(), "L-20") == []


@pytest.mark.parametrize("place", ["labels", "train/labels", "../labels/train"])
def test_labels_elsewhere(cfg: CfgFile, images: Images, place: str) -> None:
    target = images.root / place
    target.mkdir(parents=True)
    for number in range(12):
        shutil.move(images.label("train", f"train{number}"), target)
    finding = one(cfg, images.write(), "L-21")
    assert str(target.resolve()) in str(Path(finding.value).resolve())
    assert finding.expected == str(images.label("train", "train0"))
    assert found(cfg, images.write(), "L-20") != []


def test_labels_beside_images_folder_are_reached(cfg: CfgFile, tmp_path: Path) -> None:
    root = tmp_path / "set"
    images = Images(root)
    (root / "images").mkdir()
    (root / "labels").mkdir()
    for split in ("train", "valid"):
        (root / split).rename(root / "images" / split)
        (root / "labels" / split).mkdir()
        for label in (root / "images" / split).glob("*.txt"):
            label.rename(root / "labels" / split / label.name)
        paths = sorted((root / "images" / split).glob("*.png"))
        (root / f"{split}.txt").write_text("".join(f"{path}\n" for path in paths))
    data = images.root / "obj.data"
    assert found(cfg, data, "L-20") == []
    assert found(cfg, data, "L-21") == []


def test_negatives_in_class_folders(cfg: CfgFile, images: Images) -> None:
    for kind in ("cat", "dog"):
        images.add("train", f"{kind}/one", f"{images.names.index(kind)} 0.5 0.5 0.3 0.4\n")
    images.add("train", "background/one", "")
    assert found(cfg, images.write(), "L-22") == []
    images.add("train", "cat/two", "")
    finding = one(cfg, images.write(), "L-22")
    assert finding.message.startswith("1 images without boxes lie in folders of a trained class")
    assert "two.png" in finding.message


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("2 0.5 0.5 0.3 0.4\n", "ids from 2 up"),
        ("-1 0.5 0.5 0.3 0.4\n", "class -1"),
        ("0.5 0.5 0.5 0.3 0.4\n", "expected 'class cx cy w h'"),
        ("cat 0.5 0.5 0.3 0.4\n", "expected numbers"),
        ("0 0.5 0.5 0.3\n", "4 columns"),
    ],
)
def test_class_ids(cfg: CfgFile, images: Images, label: str, words: str) -> None:
    path = images.label("train", "train3")
    path.write_text("1 0.5 0.5 0.3 0.4\n" + label)
    finding = one(cfg, images.write(), "L-23")
    assert words in finding.message
    assert (finding.file, finding.line) == (str(path), 2)


def test_ids_from_one(cfg: CfgFile, images: Images) -> None:
    for path in images.root.rglob("*.txt"):
        if path.parent != images.root:
            path.write_text(f"{int(path.read_text()[0]) + 1} 0.5 0.5 0.3 0.4\n")
    findings = found(cfg, images.write(), "L-23")
    assert all("do the ids start at 1?" in finding.message for finding in findings)
    assert len(findings) == 2


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("0 0.5 0.5 0 0.4\n", "without area"),
        ("0 0.5 0.5 -0.3 0.4\n", "of negative size"),
        ("0 0.95 0.5 0.3 0.4\n", "reaching out"),
        ("0 1.5 0.5 0.3 0.4\n", "outside of the image"),
        ("0 nan 0.5 0.3 0.4\n", "not finite"),
        ("0 0.5 0.5 0.3 0.4\n" * 2, "duplicated"),
        ("".join(f"0 0.5 0.5 {0.2 + i / 1000} 0.4\n" for i in range(201)), "more than 200 boxes"),
    ],
)
def test_odd_boxes(cfg: CfgFile, images: Images, label: str, words: str) -> None:
    images.label("train", "train3").write_text(label)
    assert words in one(cfg, images.write(), "L-24").message


def test_as_many_boxes_as_heads_take(cfg: CfgFile, images: Images) -> None:
    text = "".join(f"0 0.5 0.5 {0.2 + i / 1000} 0.4\n" for i in range(200))
    images.label("train", "train3").write_text(text)
    assert found(cfg, images.write(), "L-24") == []


def test_tiny_boxes(cfg: CfgFile, images: Images) -> None:
    """At 416 pixels 0.002 of the width is 0.83 pixels, 0.01 is 4.2 and 0.013 is 5.4."""
    images.label("train", "train3").write_text("0 0.5 0.5 0.013 0.4\n")
    assert found(cfg, images.write(), "L-25") == []
    images.label("train", "train3").write_text("0 0.5 0.5 0.3 0.4\n0 0.5 0.5 0.002 0.4\n0 0.5 0.5 0.01 0.4\n")
    finding = one(cfg, images.write(), "L-25")
    assert "2 of 14 boxes are smaller than 5 pixels at 416×416, 1 of them" in finding.message
    assert finding.line == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "not there"), (b"", "unreadable"), (b"GIF is not what this is", "unreadable")],
)
def test_bad_images(cfg: CfgFile, images: Images, content: bytes | None, words: str) -> None:
    data = images.write()
    path = images.image("train", "train3")
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    finding = one(cfg, data, "L-26")
    assert words in finding.message
    assert finding.file == str(images.root / "train.txt")


def test_damaged_pixels_need_deep(cfg: CfgFile, images: Images) -> None:
    data = images.write()
    path = images.image("train", "train3")
    path.write_bytes(path.read_bytes()[:60])
    assert found(cfg, data, "L-26") == []
    assert "cannot be decoded" in one(cfg, data, "L-26", deep=True).message


def test_exif_rotation(cfg: CfgFile, images: Images) -> None:
    """Orientation 6 in an EXIF block; the marker, the length and the TIFF directory are written by hand."""
    _, jpeg = cv2.imencode(".jpg", np.full((120, 160, 3), 90, np.uint8))
    tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    exif = b"Exif\0\0" + tiff
    data = jpeg.tobytes()
    block = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    image = images.image("train", "train3")
    image.write_bytes(data[:2] + block + data[2:])
    finding = one(cfg, images.write(), "L-26")
    assert finding.severity.value == "warning"
    assert "1 images are rotated by EXIF" in finding.message
    image.write_bytes(data)
    assert found(cfg, images.write(), "L-26") == []


def test_rare_classes(cfg: CfgFile, images: Images) -> None:
    for number in range(12):
        images.label("train", f"train{number}").write_text(
            "".join(f"0 0.5 0.5 {0.2 + i / 1000} 0.4\n" for i in range(12))
        )
    worst = found(cfg, images.write(), "L-27")[0]
    assert worst.message.endswith("have no box: dog (0)")
    assert worst.severity.value == "warning"
    with images.label("train", "train1").open("a") as file:
        file.write("1 0.5 0.5 0.3 0.4\n")
    assert "less than 1 % of the 144" in found(cfg, images.write(), "L-27")[0].message
    with images.label("train", "train1").open("a") as file:
        file.write("1 0.5 0.5 0.2 0.4\n")
    assert [f.severity.value for f in found(cfg, images.write(), "L-27")] == ["note"]


def test_relative_paths(
    cfg: CfgFile, images: Images, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Found from the list: fine from anywhere.  Found only from here: not."""
    data = images.write()
    names = sorted((images.root / "train").glob("*.png"))
    (images.root / "train.txt").write_text("".join(f"train/{path.name}\n" for path in names))
    assert found(cfg, data, "L-28") == []
    monkeypatch.chdir(images.root)
    assert found(cfg, data, "L-28") == []
    monkeypatch.chdir(tmp_path)
    (images.root / "train.txt").write_text("".join(f"ds/train/{path.name}\n" for path in names))
    shutil.move(images.root / "train.txt", tmp_path / "deep.txt")
    (tmp_path / "a" / "b").mkdir(parents=True)
    shutil.move(tmp_path / "deep.txt", tmp_path / "a" / "b" / "train.txt")
    finding = one(cfg, images.write(train=str(tmp_path / "a/b/train.txt")), "L-28")
    assert finding.message.startswith("12 paths are found only from the working directory")
    assert finding.line == 1


@pytest.mark.parametrize(
    ("text", "words", "line"),
    [
        ("cat\n\ndog\n", "line 2 is blank", 2),
        ("cat\ncat\n", "class 'cat' is a duplicate, in lines 1 and 2", 2),
        ("", "names file is empty", 0),
    ],
)
def test_names(cfg: CfgFile, images: Images, text: str, words: str, line: int) -> None:
    data = images.write()
    (images.root / "obj.names").write_text(text)
    finding = one(cfg, data, "L-29")
    assert words in finding.message
    assert finding.line == line


def test_blank_lines_at_the_end_of_names_are_fine(cfg: CfgFile, images: Images) -> None:
    data = images.write()
    (images.root / "obj.names").write_text("cat\ndog\n\n\n")
    assert found(cfg, data, "L-29") == []
    assert found(cfg, data, "L-05") == []


def test_missing_list(cfg: CfgFile, images: Images) -> None:
    """One finding about the list, and none about the images that could not be looked at."""
    report = preflight(cfg, images.write(train="nowhere.txt"), run=ROOMY)
    assert [f.rule for f in report.findings if f.severity.value != "note"] == ["L-29"]
    assert "train list nowhere.txt does not exist" in report.findings[0].message


def test_list_that_is_no_text(cfg: CfgFile, images: Images) -> None:
    data = images.write()
    (images.root / "valid.txt").write_bytes(b"a.jpg\n\xff\xfe\x00")
    finding = one(cfg, data, "L-29")
    assert "not UTF-8" in finding.message
    assert (finding.file, finding.line) == (str(images.root / "valid.txt"), 2)


def test_overlap(cfg: CfgFile, images: Images) -> None:
    """A link is the same file by another name."""
    (images.root / "valid" / "again.png").symlink_to(images.image("train", "train3"))
    images.label("valid", "again").write_text("1 0.5 0.5 0.3 0.4\n")
    finding = one(cfg, images.write(), "L-30")
    assert finding.message.startswith("1 of 5 validation images are also training images")
    assert found(cfg, images.root / "obj.data", "L-31") == []


def test_near_duplicates(cfg: CfgFile, images: Images) -> None:
    source = images.image("train", "train3")
    shutil.copy(source, images.image("valid", "copy"))
    images.label("valid", "copy").write_text("1 0.5 0.5 0.3 0.4\n")
    assert "e.g. " + str(images.image("valid", "copy")) in one(cfg, images.write(), "L-31").message
    images.image("valid", "copy").unlink()
    picture = cv2.resize(cv2.imread(str(source)), (100, 75))
    cv2.imwrite(str(images.image("valid", "smaller")), picture)
    images.label("valid", "smaller").write_text("1 0.5 0.5 0.3 0.4\n")
    assert found(cfg, images.write(), "L-31") == []
    assert one(cfg, images.write(), "L-31", deep=True).value == "1"


@pytest.mark.parametrize("name", ["turn_left", "leftHand", "Right arrow", "links"])
def test_directions(cfg: CfgFile, images: Images, name: str) -> None:
    images.names[1] = name
    finding = one(cfg, images.write(), "L-32")
    assert name in finding.message
    cfg.net.set("flip", 0)
    assert found(cfg, images.write(), "L-32") == []


@pytest.mark.parametrize("name", ["copyright", "leftover", "bright"])
def test_words_that_only_contain_a_direction(cfg: CfgFile, images: Images, name: str) -> None:
    images.names[1] = name
    assert found(cfg, images.write(), "L-32") == []


def test_no_such_data(cfg: CfgFile, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no\.data: no such file or folder"):
        preflight(cfg, tmp_path / "no.data")


def test_other_formats(cfg: CfgFile, tmp_path: Path) -> None:
    """A COCO file goes through the same rules: a box outside and a class without boxes are found."""
    import json

    image = Images(tmp_path / "ds").image("train", "train0")
    table = {
        "images": [{"id": 1, "file_name": image.name, "width": 160, "height": 120}],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 60, 60], "area": 3600, "iscrowd": 0},
            {"id": 2, "image_id": 1, "category_id": 1, "bbox": [110, 10, 60, 60], "area": 3600, "iscrowd": 0},
        ],
    }
    (image.parent / "instances.json").write_text(json.dumps(table))
    report = preflight(cfg, image.parent / "instances.json", run=ROOMY)
    rules = {finding.rule for finding in report.findings}
    assert rules == {"L-19", "L-24", "L-27"}


def test_yolov5_export_that_validates_on_its_training_images(cfg: CfgFile, images: Images) -> None:
    """As a published tutorial does it; the reader refuses such a set, the check says why that is bad."""
    root = images.root
    (root / "images").mkdir()
    (root / "train").rename(root / "images" / "train")
    (root / "data.yaml").write_text("train: images/train\nval: images/train\nnc: 2\nnames: [cat, dog]\n")
    finding = one(cfg, root / "data.yaml", "L-30")
    assert finding.message.startswith("12 of 12 validation images are also training images")


def test_classes_of_formats_that_fix_no_order(cfg: CfgFile, shared: Path) -> None:
    """VOC files name their classes; BCCD has three, so heads for two are an error."""
    data = shared / "data" / "bccd"
    finding = one(cfg, data, "L-05")
    assert "names: 3" in finding.message
    notes = found(new("yolov4-tiny", 3, 416), data, "L-27")
    assert "Platelets" in notes[0].message


def test_plausible_weights_and_data_together(
    cfg: CfgFile, images: Images, weights_file: Callable[..., Path]
) -> None:
    report = preflight(cfg, images.write(), weights_file(4_947_424), ROOMY)
    assert report.skipped == ()
    assert report.exit_code == 0
