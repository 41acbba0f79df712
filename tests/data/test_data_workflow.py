# SPDX-License-Identifier: Apache-2.0
"""convert, stats, view, split, train: from hand-made labels of each kind to a network."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner
from data_files import make_image, make_text

from pydarknet import Network
from pydarknet.cli import cli
from pydarknet.data import ops, read

WIDTH, HEIGHT = 80, 60


class Source(NamedTuple):
    """Input of convert and its expected output."""

    arguments: list[str]
    images: int
    boxes: dict[str, int]


def crowdhuman(folder: Path) -> Source:
    """Five images of one head and one body each, one of them with a mask; a sixth is empty."""
    lines = []
    for i in range(6):
        make_image(folder / "Images" / f"{i},a.jpg", WIDTH, HEIGHT)
        person = {"tag": "person", "hbox": [10, 5, 10, 10], "fbox": [5, 5, 20, 50], "vbox": [5, 5, 20, 40]}
        mask = {"tag": "mask", "hbox": [50, 5, 9, 9], "fbox": [50, 5, 9, 9], "vbox": [50, 5, 9, 9]}
        boxes = [] if i == 5 else [person, mask] if i == 0 else [person]
        lines.append(json.dumps({"ID": f"{i},a", "gtboxes": boxes}))
    file = make_text(folder / "annotation_train.odgt", "\n".join(lines) + "\n")
    chosen = ["--classes", "head:hbox,person:fbox"]
    return Source([str(file), "--images", str(folder / "Images"), *chosen], 6, {"head": 5, "person": 5})


def openimages(folder: Path) -> Source:
    """Nine images with a car; every third also has a bicycle, one a group of them."""
    rows = [
        "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction"
    ]
    rows[0] += ",IsInside"
    for i in range(9):
        make_image(folder / "images" / f"{i:02x}.jpg", WIDTH, HEIGHT)
        rows.append(f"{i:02x},xclick,/m/0k4j,1,0.1,0.4,0.2,0.6,1,0,0,0,0")
        if i % 3 == 0:
            rows.append(f"{i:02x},xclick,/m/0199g,1,0.5,0.9,0.5,0.9,0,0,{int(i == 0)},0,0")
    make_text(folder / "train-annotations-bbox.csv", "\n".join(rows) + "\n")
    make_text(folder / "class-descriptions-boxable.csv", "/m/0199g,Bicycle\n/m/0k4j,Car\n")
    return Source([str(folder), "--classes", "bicycle,car"], 9, {"Bicycle": 2, "Car": 9})


def groundtruth(folder: Path) -> Source:
    """Eight images of tools, the last one looked at and empty."""
    lines = []
    for i in range(8):
        make_image(folder / "images" / f"t.{i}.jpg", WIDTH, HEIGHT)
        box = {"class_id": i % 2, "left": 4 * i, "top": 3, "width": 20, "height": 10}
        size = [{"width": WIDTH, "height": HEIGHT, "depth": 3}]
        metadata = {
            "class-map": {"0": "drill", "1": "hammer"},
            "type": "groundtruth/object-detection",
            "human-annotated": "yes",
            "objects": [] if i == 7 else [{"confidence": 1}],
        }
        label = {"image_size": size, "annotations": [] if i == 7 else [box]}
        lines.append(
            json.dumps({"source-ref": f"s3://b/p/t.{i}.jpg", "job": label, "job-metadata": metadata})
        )
    file = make_text(folder / "output.manifest", "\n".join(lines) + "\n")
    return Source([str(file), "--images", str(folder / "images")], 8, {"drill": 4, "hammer": 3})


def ilsvrc(folder: Path) -> Source:
    """Three synsets with three training images, one without XML, and a flat validation image each."""
    for s in range(3):
        for i in range(4):
            name = f"n0{s}/n0{s}_{i}" if i < 3 else f"ILSVRC2012_val_0000000{s}"
            split = "train" if i < 3 else "val"
            make_image(folder / f"ILSVRC/Data/CLS-LOC/{split}/{name}.JPEG", WIDTH, HEIGHT)
            if (s, i) == (0, 0):
                continue
            text = (
                f"<annotation><filename>{Path(name).name}</filename><size><width>{WIDTH}</width>"
                f"<height>{HEIGHT}</height><depth>3</depth></size><object><name>n0{s}</name><bndbox><xmin>9"
                "</xmin><ymin>9</ymin><xmax>49</xmax><ymax>39</ymax></bndbox></object></annotation>"
            )
            make_text(folder / f"ILSVRC/Annotations/CLS-LOC/{split}/{name}.xml", text)
    make_text(folder / "LOC_synset_mapping.txt", "n00 tench\nn01 crane\nn02 crane\n")
    return Source([str(folder)], 11, {"tench": 3, "crane": 4, "crane (n02)": 4})


def roboflow(folder: Path) -> Source:
    """train, valid and test folders, paths one level too high, as Roboflow exports them."""
    for split, count in (("train", 6), ("valid", 2), ("test", 1)):
        for i in range(count):
            name = f"mask{i // 2}_jpg.rf.{split}{i}"
            make_image(folder / split / "images" / f"{name}.jpg", WIDTH, HEIGHT)
            make_text(folder / split / "labels" / f"{name}.txt", f"{i % 3} 0.5 0.5 0.3 0.4\n")
    make_text(
        folder / "data.yaml",
        "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnc: 3\n"
        "names: [mask, no-mask, wrong]\n",
    )
    return Source([str(folder)], 9, {"mask": 4, "no-mask": 3, "wrong": 2})


def run(*arguments: object) -> str:
    result = CliRunner().invoke(
        cli, [str(a) for a in arguments], catch_exceptions=False, standalone_mode=False
    )
    assert not result.return_value, result.output  # None or 0
    return result.output


def train(data: Path, folder: Path) -> None:
    """Two iterations of a small network on what the commands before have left."""
    cfg, out = folder / "tiny.cfg", folder / "run"
    run("cfg", "new", "--model", "yolov4-tiny", "--data", data, "--size", 64, "--batch", 4, "--out", cfg)
    run("train", "--cfg", cfg, "--data", data, "--out", out, "--max-batches", 2, "--force", "--quiet")
    with Network(out / "tiny.cfg", out / "weights" / "tiny_final.weights") as network:
        assert network.info.classes == len(read(data).names)


@pytest.mark.parametrize("make", [crowdhuman, openimages, groundtruth, ilsvrc, roboflow])
def test_from_labels_to_lists(make, tmp_path):
    """Every box arrives, is counted, drawn and divided."""
    source = make(tmp_path / "source")
    run("convert", *source.arguments, "--out", tmp_path / "ds", "--rename", "prefix", "--jobs", 1)
    run("data", "stats", tmp_path / "ds", "--size", 64, "--images", "--out", tmp_path / "stats")
    run("data", "view", tmp_path / "ds", "--save", tmp_path / "view", "--number", 99)
    run("data", "split", tmp_path / "ds", "--ratios", "0.7,0.3", "--stratify", "--out", tmp_path / "split")

    stats = json.loads((tmp_path / "stats" / "stats.json").read_text())
    assert stats["images"] == source.images == len(list((tmp_path / "view").iterdir()))
    found = {c["name"]: c["boxes"] for c in stats["classes"]}
    assert sorted(found.values()) == sorted(source.boxes.values())
    assert all(found.get(name, count) == count for name, count in source.boxes.items())
    divided = read(tmp_path / "split" / "obj.data")
    assert Counter(s.split for s in divided)["train"] == int(source.images * 0.7)
    assert {divided.names[c]: n for c, n in ops.class_counts(divided).items()} == found
    data_file = (tmp_path / "split" / "obj.data").read_text()
    for key in ("train", "valid", "names", "backup"):
        path = next(line.split(" = ")[1] for line in data_file.splitlines() if line.startswith(key))
        assert Path(path).exists()
    train(tmp_path / "split" / "obj.data", tmp_path)


def test_blood_cells_from_labels_to_a_network(bccd, tmp_path):
    """The same on real data: 364 images, Pascal VOC."""
    run("convert", bccd, "--out", tmp_path / "ds", "--jobs", 1)
    run("data", "stats", tmp_path / "ds", "--out", tmp_path / "stats")
    run("data", "view", tmp_path / "ds", "--sheet", tmp_path / "sheet.png", "--number", 9)
    run("data", "split", tmp_path / "ds", "--ratios", "0.8,0.2", "--stratify", "--out", tmp_path / "split")
    train(tmp_path / "split" / "obj.data", tmp_path)
