# SPDX-License-Identifier: Apache-2.0
"""One worked example per format, calculated by hand: this file gives those Darknet lines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from data_files import make_image, make_text

from pydarknet import data
from pydarknet.data import Dataset
from pydarknet.data.classes import ClassPlan
from pydarknet.data.convert import ConvertJob, convert
from pydarknet.data.formats import sniff
from pydarknet.data.output import Output


def lines(dataset: Dataset, tmp_path: Path, **options: str) -> dict[str, str]:
    """The label files that Darknet would train on, by name."""
    out = tmp_path / "darknet-out"
    data.write(dataset, out, **options)
    return {
        str(file.relative_to(out / "train")): file.read_text()
        for file in sorted((out / "train").rglob("*.txt"))
    }


def test_darknet(tmp_path: Path) -> None:
    """Class 1 in the middle of a 640x480 image is the dog at 240,120,400,360."""
    make_image(tmp_path / "data/img1.jpg", 640, 480)
    make_text(tmp_path / "data/img1.txt", "1 0.500000 0.500000 0.250000 0.500000\n")
    make_text(tmp_path / "obj.names", "cat\ndog\n")
    make_text(tmp_path / "train.txt", "data/img1.jpg\n")
    make_text(tmp_path / "obj.data", "classes = 2\ntrain = train.txt\nnames = obj.names\n")
    dataset = data.read(tmp_path / "obj.data")
    assert dataset.names == ("cat", "dog")
    assert dataset[0].boxes.tolist() == [[240, 120, 400, 360]]
    assert lines(dataset, tmp_path) == {"img1.txt": "1 0.500000 0.500000 0.250000 0.500000\n"}


VOC = """<annotation><filename>kit.jpg</filename>
<size><width>200</width><height>100</height><depth>3</depth></size>
<object><name>cup</name><difficult>0</difficult>
<bndbox><xmin>20</xmin><ymin>10</ymin><xmax>60</xmax><ymax>50</ymax></bndbox></object>
<object><name>cup</name><difficult>1</difficult>
<bndbox><xmin>190</xmin><ymin>90</ymin><xmax>230</xmax><ymax>99</ymax></bndbox></object></annotation>"""


def test_voc(tmp_path: Path) -> None:
    """Without a database the corners are edges; the second box is clipped and set aside."""
    make_image(tmp_path / "JPEGImages/kit.jpg", 200, 100)
    make_text(tmp_path / "Annotations/kit.xml", VOC)
    dataset = data.read(tmp_path)
    assert dataset[0].boxes.tolist() == [[20, 10, 60, 50], [190, 90, 200, 99]]
    assert dataset[0].difficult.tolist() == [False, True]
    assert dataset.report.counts == {"clipped": 1}
    found = lines(dataset, tmp_path)
    assert found["kit.txt"] == "0 0.200000 0.300000 0.200000 0.400000\n"
    assert found["kit.ignore.txt"] == "0 0.975000 0.945000 0.050000 0.090000\n"
    official = data.read(tmp_path, format="voc", coords="voc")
    assert official[0].boxes[0].tolist() == [19, 9, 60, 50]


ILSVRC = """<annotation><folder>n00000001</folder><filename>n00000001_12</filename>
<source><database>ILSVRC_2014</database></source><size><width>500</width><height>375</height></size>
<object><name>n00000001</name><bndbox><xmin>237</xmin><ymin>109</ymin><xmax>446</xmax><ymax>374</ymax></bndbox></object>
<object><name>n00000001</name><bndbox><xmin>175</xmin><ymin>89</ymin><xmax>474</xmax><ymax>342</ymax></bndbox></object>
</annotation>"""


@pytest.mark.parametrize(
    ("coords", "expected"),
    [
        ("ilsvrc", "0 0.684000 0.645333 0.420000 0.709333\n0 0.650000 0.576000 0.600000 0.677333\n"),
        ("edge", "0 0.683000 0.644000 0.418000 0.706667\n0 0.649000 0.574667 0.598000 0.674667\n"),
    ],
)
def test_ilsvrc(tmp_path: Path, coords: str, expected: str) -> None:
    """The published sample under both conventions."""
    make_image(tmp_path / "ILSVRC/Data/CLS-LOC/train/n00000001/n00000001_12.JPEG", 500, 375)
    make_text(tmp_path / "ILSVRC/Annotations/CLS-LOC/train/n00000001/n00000001_12.xml", ILSVRC)
    make_text(tmp_path / "LOC_synset_mapping.txt", "n00000001 tench, Tinca tinca\n")
    assert sniff(tmp_path) == "ilsvrc"
    dataset = data.read(tmp_path, coords=coords)
    assert dataset.names == ("tench",)
    assert lines(dataset, tmp_path) == {"n00000001/n00000001_12.txt": expected}


def test_kaggle(tmp_path: Path) -> None:
    """Inclusive maxima: 59 and 79 become 60 and 80."""
    make_image(tmp_path / "images/train/n00000001/n00000001_12.JPEG", 100, 100)
    row = "n00000001_12,n00000001 10 20 59 79 n00000001 70 5 99 30 "
    file = make_text(tmp_path / "LOC_train_solution.csv", f"ImageId,PredictionString\n{row}\n")
    dataset = data.read(file)
    assert dataset[0].boxes.tolist() == [[10, 20, 60, 80], [70, 5, 100, 31]]
    assert dataset[0].split == "train"


CROWDHUMAN = {
    "ID": "7,ab",
    "gtboxes": [
        {
            "tag": "person",
            "fbox": [-40, 100, 120, 420],
            "vbox": [0, 100, 80, 300],
            "hbox": [10, 110, 30, 40],
            "head_attr": {"ignore": 0},
            "extra": {"box_id": 0, "occ": 1},
        },
        {
            "tag": "mask",
            "fbox": [500, 50, 60, 60],
            "vbox": [500, 50, 60, 60],
            "hbox": [500, 50, 60, 60],
            "head_attr": {},
            "extra": {"ignore": 1},
        },
    ],
}


def test_crowdhuman(tmp_path: Path) -> None:
    """A body that leaves the image is clipped, not moved; a mask is ignored for every class."""
    make_image(tmp_path / "Images/7,ab.jpg", 640, 480)
    file = make_text(tmp_path / "annotation_train.odgt", json.dumps(CROWDHUMAN) + "\n")
    assert sniff(file) == "crowdhuman"
    dataset = data.read(file)
    assert dataset.names == ("head", "person")
    found = lines(dataset, tmp_path)
    assert (
        found["7,ab.txt"] == "0 0.039062 0.270833 0.046875 0.083333\n1 0.062500 0.604167 0.125000 0.791667\n"
    )
    assert found["7,ab.ignore.txt"] == "-1 0.828125 0.166667 0.093750 0.125000\n"
    assert dataset[0].boxes[dataset[0].ignore].tolist() == [[500, 50, 560, 110]]


COCO = {
    "images": [{"id": 7, "file_name": "a.jpg", "width": 100, "height": 50}],
    "categories": [{"id": 3, "name": "car"}, {"id": 1, "name": "person"}],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 3, "bbox": [10, 5, 20, 10], "area": 200, "iscrowd": 0},
        {"id": 2, "image_id": 7, "category_id": 1, "bbox": [0, 0, 100, 20], "area": 2000, "iscrowd": 1},
    ],
}


def test_coco(tmp_path: Path) -> None:
    """Category ids have gaps and any order: the class is the rank of the id; a crowd is set aside."""
    make_image(tmp_path / "images/a.jpg", 100, 50)
    file = make_text(tmp_path / "instances_val2017.json", json.dumps(COCO))
    assert sniff(file) == "coco"
    dataset = data.read(file)
    assert dataset.names == ("person", "car")
    assert (dataset[0].split, dataset[0].crowd.tolist()) == ("val", [False, True])
    out = tmp_path / "out"
    data.write(dataset, out)
    assert (out / "val/a.txt").read_text() == "1 0.200000 0.200000 0.200000 0.200000\n"
    assert (out / "val/a.ignore.txt").read_text() == "0 0.500000 0.200000 1.000000 0.400000\n"


OPEN_IMAGES = """\
ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside
aa01,xclick,/m/0k4j,1,0.10,0.35,0.20,0.60,1,0,0,0,0
aa01,xclick,/m/0199g,1,0.5,0.9,0.5,0.9,0,0,1,0,0
"""


def test_openimages(tmp_path: Path) -> None:
    """XMax stands before YMin; occluded boxes stay; a group is set aside."""
    make_image(tmp_path / "images/aa01.jpg", 200, 100)
    make_text(tmp_path / "train-annotations-bbox.csv", OPEN_IMAGES)
    make_text(tmp_path / "class-descriptions-boxable.csv", "/m/0199g,Bicycle\n/m/0k4j,Car\n")
    assert sniff(tmp_path) == "openimages"
    dataset = data.read(tmp_path)
    found = lines(dataset, tmp_path)
    assert found["aa01.txt"] == "1 0.225000 0.400000 0.250000 0.400000\n"
    assert found["aa01.ignore.txt"] == "0 0.700000 0.700000 0.400000 0.400000\n"


def test_openimages_one_pass(tmp_path: Path) -> None:
    """An image with three classes gives one label file with three lines; names are found in any case."""
    make_image(tmp_path / "images/a.jpg", 100, 100)
    rows = "".join(f"a,/m/{i},0.{i},0.{i + 3},0.2,0.6\n" for i in (1, 2, 3))
    make_text(tmp_path / "train-annotations-bbox.csv", "ImageID,LabelName,XMin,XMax,YMin,YMax\n" + rows)
    make_text(tmp_path / "class-descriptions-boxable.csv", "/m/1,Bicycle\n/m/2,Car\n/m/3,Traffic sign\n")
    job = ConvertJob(tmp_path, classes=ClassPlan(keep=("Bicycle", "car", "traffic SIGN")))
    assert convert(job, Output(tmp_path / "ds")).names == ("Bicycle", "Car", "Traffic sign")
    text = (tmp_path / "ds/train/a.txt").read_text()
    assert [line.split()[0] for line in text.splitlines()] == ["0", "1", "2"]


GROUNDTRUTH = {
    "source-ref": "s3://b/p/t.v1.jpg",
    "tools": {
        "image_size": [{"width": 800, "height": 600, "depth": 3}],
        "annotations": [{"class_id": 3, "left": 120, "top": 60, "width": 200, "height": 90}],
    },
    "tools-metadata": {
        "objects": [{"confidence": 0.87}],
        "class-map": {"3": "screwdriver"},
        "type": "groundtruth/object-detection",
        "human-annotated": "yes",
        "creation-date": "2021-05-01T10:00:00",
        "job-name": "labeling-job/tools",
    },
}
TOOLS = ("drill", "hammer", "paintbrush", "screwdriver", "wheelbarrow")


def test_groundtruth(tmp_path: Path) -> None:
    """The category file fixes the class order; the file is named by everything up to the last dot."""
    make_image(tmp_path / "images/t.v1.jpg", 800, 600)
    file = make_text(tmp_path / "output.manifest", json.dumps(GROUNDTRUTH) + "\n")
    labels = make_text(tmp_path / "labels.json", json.dumps({"labels": [{"label": name} for name in TOOLS]}))
    dataset = data.read(file, labels_json=str(labels))
    assert dataset.names == TOOLS
    assert dataset[0].scores is not None
    assert dataset[0].scores.tolist() == [0.87]
    assert lines(dataset, tmp_path) == {"t.v1.txt": "3 0.275000 0.175000 0.250000 0.150000\n"}


def test_yolov5(tmp_path: Path) -> None:
    """``../train/images`` in a YAML that lies in the set's own folder: one ``../`` too many."""
    for split in ("train", "valid"):
        make_image(tmp_path / f"set/{split}/images/{split}.jpg", 100, 100)
        make_text(tmp_path / f"set/{split}/labels/{split}.txt", "1 0.5 0.5 0.2 0.2\n")
    text = "train: ../train/images\nval: ../valid/images\nnc: 2\nnames: {1: dog, 0: cat}\n"
    make_text(tmp_path / "set/data.yaml", text)
    dataset = data.read(tmp_path / "set")
    assert dataset.names == ("cat", "dog")
    assert [(sample.split, sample.classes.tolist()) for sample in dataset] == [("train", [1]), ("val", [1])]
    notes = [issue for issue in dataset.report.issues if issue.action == "resolved"]
    assert "without the leading ../" in notes[0].message


@pytest.mark.parametrize(
    "train", ["../train/images", "train/images", "Project-1/train/images", "{root}/train/images"]
)
def test_yolov5_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, train: str) -> None:
    """Four ways to write one path, from any working directory."""
    root = tmp_path / "Project-1"
    make_image(root / "train/images/a.jpg", 100, 100)
    make_text(root / "train/labels/a.txt", "0 0.5 0.5 0.2 0.2\n")
    make_text(root / "data.yaml", f"train: {train.format(root=root)}\nnc: 1\nnames: [cat]\n")
    (tmp_path / "elsewhere").mkdir()
    for folder in (tmp_path, root, tmp_path / "elsewhere"):
        monkeypatch.chdir(folder)
        assert [sample.image for sample in data.read(root)] == [root / "train/images/a.jpg"]


def test_kitti(tmp_path: Path) -> None:
    """Corners are edges."""
    make_image(tmp_path / "image_2/000001.png", 1242, 375)
    row = "Car 0.00 0 1.5 100.50 150.25 300.50 250.75 1.5 1.6 3.9 1 1 20 1.6\n"
    ignored = "DontCare -1 -1 -10 500 100 600 200 -1 -1 -1 -1000 -1000 -1000 -10\n"
    make_text(tmp_path / "label_2/000001.txt", row + ignored)
    assert sniff(tmp_path) == "kitti"
    dataset = data.read(tmp_path)
    found = lines(dataset, tmp_path)
    assert found["000001.txt"] == "0 0.161433 0.534667 0.161031 0.268000\n"
    assert dataset[0].classes.tolist() == [0, -1]


def test_labelme(tmp_path: Path) -> None:
    """Two opposite corners in any order."""
    make_image(tmp_path / "a.jpg", 100, 80)
    shape = {"label": "cat", "points": [[60, 50], [20, 10]], "shape_type": "rectangle"}
    content = {"shapes": [shape], "imagePath": "..\\img\\a.jpg", "imageHeight": 80, "imageWidth": 100}
    make_text(tmp_path / "a.json", json.dumps(content))
    assert sniff(tmp_path) == "labelme"
    assert lines(data.read(tmp_path), tmp_path) == {"a.txt": "0 0.400000 0.375000 0.400000 0.500000\n"}


CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><task><labels><label><name>cup</name></label></labels></task></meta>
<image id="0" name="x/a.png" width="200" height="100">
<box label="cup" occluded="0" xtl="20.0" ytl="10.0" xbr="60.0" ybr="50.0"/>
<box label="cup" occluded="1" xtl="100" ytl="50" xbr="200" ybr="90" rotation="90"/></image></annotations>"""


def test_cvat(tmp_path: Path) -> None:
    """A box turned by 90 degrees about its centre becomes its envelope, clipped to the image."""
    make_image(tmp_path / "images/x/a.png", 200, 100)
    file = make_text(tmp_path / "annotations.xml", CVAT)
    assert sniff(file) == "cvat"
    dataset = data.read(file)
    assert dataset[0].boxes[0].tolist() == [20, 10, 60, 50]
    assert dataset[0].boxes[1] == pytest.approx([130, 20, 170, 100])  # 120 would be below the image
    assert dataset.report.counts == {"rotated": 1, "clipped": 1}
    assert lines(dataset, tmp_path)["x/a.txt"].startswith("0 0.200000 0.300000 0.200000 0.400000\n")


@pytest.mark.parametrize(
    ("size", "value", "expected"),
    [
        ((800, 600), {"x": 12.5, "y": 20, "width": 25, "height": 40, "rotation": 0}, [100, 120, 300, 360]),
        (
            (1000, 500),
            {"x": 40, "y": 30, "width": 20, "height": 10, "rotation": 30},
            [375.0, 150.0, 573.2, 293.3],
        ),
    ],
)
def test_labelstudio(
    tmp_path: Path, size: tuple[int, int], value: dict[str, float], expected: list[float]
) -> None:
    """Percent of the image; the rotation is about the top left corner."""
    make_image(tmp_path / "photo.png", *size)
    region = {"type": "rectanglelabels", "value": {**value, "rectanglelabels": ["cat"]}}
    region |= {"original_width": size[0], "original_height": size[1]}
    task = {
        "id": 1,
        "data": {"image": "/data/upload/1/0a1b2c3d-photo.png"},
        "annotations": [{"result": [region]}],
    }
    file = make_text(tmp_path / "export.json", json.dumps([task]))
    assert sniff(file) == "labelstudio"
    assert data.read(file)[0].boxes[0] == pytest.approx(expected, abs=0.06)


def test_via(tmp_path: Path) -> None:
    """A rectangle in pixels; the only region attribute is the class."""
    make_image(tmp_path / "a.jpg", 200, 100)
    region = {
        "shape_attributes": {"name": "rect", "x": 10, "y": 20, "width": 100, "height": 50},
        "region_attributes": {"type": "cat"},
    }
    file = make_text(
        tmp_path / "via.json",
        json.dumps({"a.jpg123": {"filename": "a.jpg", "size": 123, "regions": [region]}}),
    )
    assert sniff(file) == "via"
    assert lines(data.read(file), tmp_path) == {"a.txt": "0 0.300000 0.450000 0.500000 0.500000\n"}


def test_csv(tmp_path: Path) -> None:
    """The tutorials' eight columns."""
    make_image(tmp_path / "a.jpg", 200, 100)
    header = "filename,width,height,class,xmin,ymin,xmax,ymax\n"
    file = make_text(tmp_path / "labels.csv", header + "a.jpg,200,100,cat,20,10,60,50\n")
    assert sniff(file) == "csv"
    assert lines(data.read(file), tmp_path) == {"a.txt": "0 0.200000 0.300000 0.200000 0.400000\n"}


def test_bccd(bccd: Path) -> None:
    """The real set: 4888 boxes of which exactly two have no area."""
    dataset = data.read(bccd)
    assert len(dataset) == 364
    assert dataset.box_count == 4886
    assert dataset.report.counts == {"degenerate": 2}
    assert {Path(issue.file).stem for issue in dataset.report.issues} == {
        "BloodImage_00338",
        "BloodImage_00343",
    }
    sizes = {split: len(dataset.only(split)) for split in dataset.splits}
    assert sizes == {"train": 205, "val": 87, "test": 72}
    counts = {name: sum(int((s.classes == i).sum()) for s in dataset) for i, name in enumerate(dataset.names)}
    assert counts == {"Platelets": 361, "RBC": 4153, "WBC": 372}
