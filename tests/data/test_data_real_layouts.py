# SPDX-License-Identifier: Apache-2.0
"""Exports as tools and scripts leave them: recognised as file, folder and archive, with hand values.

Images are 200x100, and the box is 20 10 60 40 unless a case states another.
"""

from __future__ import annotations

import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from data_files import make_image, make_text
from format_samples import BOX, CVAT_LABELS, CVAT_SHAPES, FILES, cvat, labelme, studio

from pydarknet import data
from pydarknet.cli.convert import command
from pydarknet.data import Dataset
from pydarknet.data.formats import sniff
from pydarknet.errors import DataError


def check(path: Path, name: str) -> None:
    if path.suffix not in (".zip", ".tgz"):
        assert sniff(path) == name
    dataset = data.read(path, **({"boxes": "dog:fbox"} if name == "crowdhuman" else {}))
    label = "face" if name == "widerface" else "dog"
    assert boxes_of(dataset) == {("a", label): [BOX]}


def boxes_of(dataset: Dataset) -> dict[tuple[str, str], list[list[float]]]:
    """The boxes of each image and class, rounded."""
    found: dict[tuple[str, str], list[list[float]]] = {}
    for sample in dataset:
        for class_id, box in zip(sample.classes.tolist(), sample.boxes.tolist(), strict=True):
            key = (Path(sample.name).stem, dataset.names[class_id])
            found.setdefault(key, []).append([round(value, 4) for value in box])
    return found


@pytest.mark.parametrize("case", FILES)
def test_file_folder_and_archive(tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recognised without --from in all three; also with a byte order mark."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    name, file, text = FILES[case]
    folder = tmp_path / "in"
    make_image(folder / "a.jpg", 200, 100)
    path = make_text(folder / file, text)
    check(path, name)
    check(folder, name)
    with zipfile.ZipFile(tmp_path / "e.zip", "w") as archive:
        archive.write(folder / "a.jpg", "images/a.jpg" if path.stem != "a" else "a.jpg")
        archive.write(path, file)
    check(tmp_path / "e.zip", name)
    with tarfile.open(tmp_path / "e.tgz", "w:gz") as tar:
        tar.add(folder, ".")
    check(tmp_path / "e.tgz", name)
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    check(path, name)
    if path.suffix == ".xml":
        text = text.replace('<?xml version="1.0"?>', "")
    path.write_bytes(text.replace("\r\n", "\n").encode("utf-16"))
    check(path, name)


@pytest.mark.parametrize("case", FILES)
def test_no_format_claims_another(tmp_path: Path, case: str) -> None:
    """Exactly one recogniser accepts a file, and its folder."""
    from pydarknet.data import formats

    name, file, text = FILES[case]
    make_image(tmp_path / "a.jpg", 200, 100)
    path = make_text(tmp_path / file, text)
    for place in (path, tmp_path):
        assert [other for other in formats.FORMATS if formats.load(other).sniff(place)] == [name]


def test_crowdhuman_folder(tmp_path: Path) -> None:
    """Both files of the folder are one set with splits, and the options of the format apply."""
    person = {"tag": "person", "fbox": [20, 10, 40, 30], "hbox": [1, 1, 5, 5]}
    for split, name in (("train", "a"), ("val", "b")):
        make_image(tmp_path / f"Images/{name}.jpg", 200, 100)
        text = json.dumps({"ID": name, "gtboxes": [person]})
        make_text(tmp_path / f"annotation_{split}.odgt", text)
    dataset = data.read(tmp_path, boxes="person:fbox")
    assert [(s.name, s.split, s.boxes.tolist()) for s in dataset] == [
        ("a.jpg", "train", [BOX]),
        ("b.jpg", "val", [BOX]),
    ]


def test_several_sources_are_one_set(tmp_path: Path) -> None:
    """Two files of different formats; a class of the same name is one class."""
    make_image(tmp_path / "a.jpg", 200, 100)
    make_image(tmp_path / "b.jpg", 200, 100)
    xml = make_text(tmp_path / "a.xml", FILES["LabelImg, verified"][2])
    table = make_text(
        tmp_path / "l.csv", "image,label,x1,y1,x2,y2\nb.jpg,cat,20,10,60,40\nb.jpg,dog,0,0,9,9\n"
    )
    result = CliRunner().invoke(
        command, [str(xml), str(table), "--out", str(tmp_path / "out"), "--jobs", "1"]
    )
    assert result.exit_code == 0, result.output
    assert "written: 2 images, 3 boxes, 2 classes" in result.output
    assert boxes_of(data.read(tmp_path / "out"))["a", "dog"] == [BOX]


def test_one_image_in_several_files(tmp_path: Path) -> None:
    """The most complete file describes the image; the others are in the report."""
    for name in "ab":
        make_image(tmp_path / f"{name}.jpg", 200, 100)
    rows = "a.jpg,dog,20,10,60,40\n"
    make_text(tmp_path / "labels.csv", f"image,label,x1,y1,x2,y2\n{rows}b.jpg,dog,20,10,60,40\n")
    make_text(tmp_path / "train_labels.csv", f"image,label,x1,y1,x2,y2\n{rows}a.jpg,cat,0,0,9,9\n")
    make_text(tmp_path / "test_labels.csv", "image,label,x1,y1,x2,y2\nb.jpg,dog,20,10,60,40\n")
    dataset = data.read(tmp_path)
    found = {sample.name: (sample.split, len(sample)) for sample in dataset}
    assert (len(dataset), found) == (2, {"a.jpg": ("train", 2), "b.jpg": ("test", 1)})
    assert dataset.report.counts["duplicate-image"] == 2
    command_line = [str(tmp_path), "--out", str(tmp_path / "out"), "--jobs", "1"]
    assert "written: 2 images, 3 boxes" in CliRunner().invoke(command, command_line).output


def yolo11(root: Path, separator: str = "/") -> None:
    """CVAT's YOLO 1.1: paths begin with ``data/``, which is the archive's root."""
    make_image(root / "obj_train_data/a.jpg", 200, 100)
    make_text(root / "obj_train_data/a.txt", "0 0.2 0.25 0.2 0.3\n")
    make_text(root / "obj.names", "dog\n")
    make_text(root / "train.txt", f"data{separator}obj_train_data{separator}a.jpg\n")
    rows = (
        "classes = 1",
        f"train = data{separator}train.txt",
        f"names = data{separator}obj.names",
        "backup = backup/",
    )
    make_text(root / "obj.data", "\n".join(rows) + "\n")


@pytest.mark.parametrize("separator", ["/", "\\"])
def test_paths_of_other_places(tmp_path: Path, separator: str) -> None:
    """Paths below an export's root, with the separators of either system, as folder and as archive."""
    yolo11(tmp_path / "in", separator)
    check(tmp_path / "in", "darknet")
    check(tmp_path / "in/obj.data", "darknet")
    if separator == "/":
        data.write(data.read(tmp_path / "in"), tmp_path / "out")
        assert (tmp_path / "out/train/a.txt").is_file()


def test_windows_data_file_around_its_folder(tmp_path: Path) -> None:
    """``data\\obj.data`` names ``data\\obj\\a.jpg`` from the folder above."""
    make_image(tmp_path / "data/obj/a.jpg", 200, 100)
    make_text(tmp_path / "data/obj/a.txt", "0 0.2 0.25 0.2 0.3\n")
    make_text(tmp_path / "data/obj.names", "dog\n")
    make_text(tmp_path / "data/train.txt", "data\\obj\\a.jpg\n")
    text = "classes = 1\ntrain = data\\train.txt\nvalid=data\\train.txt\nnames= data\\obj.names\n"
    check(make_text(tmp_path / "data/obj.data", text), "darknet")


def test_labelme_in_its_own_folder(tmp_path: Path) -> None:
    """``imagePath`` is relative to the JSON; a folder given is searched with the folders below it."""
    make_image(tmp_path / "images/a.jpg", 200, 100)
    make_text(tmp_path / "labels/a.json", labelme().replace('"a.jpg"', '"..\\\\images\\\\a.jpg"'))
    check(tmp_path, "labelme")
    make_text(tmp_path / "labels/a.json", labelme().replace('"a.jpg"', '"elsewhere.jpg"'))
    make_image(tmp_path / "more/deep/a.jpg", 200, 100)
    dataset = data.read(tmp_path / "labels", images=tmp_path / "more")
    assert [str(sample.image) for sample in dataset] == [str(tmp_path / "more/deep/a.jpg")]


def test_cvat_project(tmp_path: Path) -> None:
    """Images of one name in the folders of two subsets."""
    images = ""
    for number, (subset, width) in enumerate((("Train", 200), ("Validation", 100))):
        make_image(tmp_path / f"images/{subset}/a.jpg", width, 100)
        box = CVAT_SHAPES["box"]
        images += (
            f'<image id="{number}" name="a.jpg" subset="{subset}" width="{width}" height="100">{box}</image>'
        )
    make_text(tmp_path / "annotations.xml", f"<annotations>{CVAT_LABELS}{images}</annotations>")
    assert [(s.split, s.width, s.boxes.tolist()) for s in data.read(tmp_path)] == [
        ("train", 200, [BOX]),
        ("val", 100, [BOX]),
    ]


def test_coco_with_own_categories(tmp_path: Path) -> None:
    """Each split has its own table: an error that names the option, which joins them by name."""
    for split, names, name in (("train", ("cat", "dog"), "a"), ("valid", ("dog", "cat"), "b")):
        make_image(tmp_path / f"{split}/{name}.jpg", 200, 100)
        content = {
            "images": [{"id": 0, "file_name": f"{name}.jpg", "width": 200, "height": 100}],
            "categories": [{"id": number, "name": text} for number, text in enumerate(names)],
            "annotations": [{"id": 0, "image_id": 0, "category_id": 1, "bbox": [20, 10, 40, 30]}],
        }
        make_text(tmp_path / f"{split}/_annotations.coco.json", json.dumps(content))
    with pytest.raises(DataError, match="set categories=name"):
        data.read(tmp_path)
    dataset = data.read(tmp_path, categories="name")
    assert dataset.names == ("cat", "dog")
    assert boxes_of(dataset) == {("a", "dog"): [BOX], ("b", "cat"): [BOX]}


def test_open_images_with_its_neighbours(tmp_path: Path) -> None:
    """The CSV of segmentations has BoxXMin, not XMin."""
    make_image(tmp_path / "validation/0001.jpg", 200, 100)
    make_text(tmp_path / "class-descriptions-boxable.csv", "/m/0bt9lr,Dog\n/m/01yrx,Cat\n")
    header = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax\n"
    row = "0001,xclick,/m/0bt9lr,1,0.1,0.3,0.1,0.4\n"
    make_text(tmp_path / "validation-annotations-bbox.csv", header + row)
    text = "MaskPath,ImageID,LabelName,BoxXMin,BoxXMax,BoxYMin,BoxYMax\nx,0001,/m/0bt9lr,0.1,0.3,0.1,0.4\n"
    make_text(tmp_path / "validation-annotations-object-segmentation.csv", text)
    assert sniff(tmp_path) == "openimages"
    dataset = data.read(tmp_path)
    assert boxes_of(dataset) == {("0001", "Dog"): [BOX]}
    assert not dataset.report.errors


def test_bbox_column(tmp_path: Path) -> None:
    """One column holds a corner and size, or two corners: an error where both are possible."""
    make_image(tmp_path / "a.jpg", 200, 100)
    header = "image_id,width,height,bbox,source\n"
    both = make_text(tmp_path / "l.csv", f'{header}a,200,100,"[20, 10, 60, 40]",x\n')
    with pytest.raises(DataError, match="set bbox=xywh or bbox=xyxy"):
        data.read(both, single_class="dog")
    assert boxes_of(data.read(both, single_class="dog", bbox="xyxy")) == {("a", "dog"): [BOX]}
    text = f'{header}a,200,100,"[20, 10, 40, 30]",x\na,200,100,"[150, 50, 10, 20]",x\n'
    assert boxes_of(data.read(make_text(both, text), single_class="dog")) == {
        ("a", "dog"): [BOX, [150, 50, 160, 70]]
    }
    with pytest.raises(DataError, match="no column for the class; set single_class=NAME"):
        data.read(both)


def test_brush(tmp_path: Path) -> None:
    """Run lengths of RGBA values: 40x30 pixels at 20, 10 in an image of 200x100."""
    mask = np.zeros((100, 200, 4), np.uint8)
    mask[10:40, 20:60] = 255
    flat = mask.ravel()
    starts = np.flatnonzero(np.diff(flat, prepend=flat[0] + 1))
    bits = f"{len(flat):032b}{7:05b}" + 4 * f"{15:04b}"
    for start, end in zip(starts, [*starts[1:], len(flat)], strict=True):
        for begin in range(start, end, 1 << 16):
            bits += f"1{3:02b}{min(end, begin + (1 << 16)) - begin - 1:016b}{flat[start]:08b}"
    bits += "0" * (-len(bits) % 8)
    rle = [int(bits[place : place + 8], 2) for place in range(0, len(bits), 8)]
    make_image(tmp_path / "a.jpg", 200, 100)
    check(make_text(tmp_path / "t.json", studio("brushlabels", {"format": "rle", "rle": rle})), "labelstudio")
    make_text(tmp_path / "t.json", studio("brushlabels", {"format": "rle", "rle": [0, 1, 2]}))
    dataset = data.read(tmp_path / "t.json")
    assert "a brush mask that is cut off" in dataset.report.issues[0].message
    assert dataset[0].emptied


def test_odd_neighbours_stay(tmp_path: Path) -> None:
    """A label that is a number is a name; a shape that cannot be read costs itself."""
    make_image(tmp_path / "a.jpg", 200, 100)
    content = json.loads(labelme(label=3, group_id=1.5))
    content["shapes"] += [{"label": "dog", "points": None}, {"points": []}]
    dataset = data.read(make_text(tmp_path / "a.json", json.dumps(content)))
    assert boxes_of(dataset) == {("a", "3"): [BOX]}
    assert dataset.report.counts["parse"] == 2
    broken = cvat(f'{CVAT_SHAPES["box"]}<box label="dog" xtl="x"/>')
    dataset = data.read(make_text(tmp_path / "c/a.xml", broken), images=tmp_path)
    assert boxes_of(dataset) == {("a", "dog"): [BOX]}
    assert dataset.report.counts["parse"] == 1


@pytest.mark.parametrize(
    ("file", "text", "messages"),
    [
        (
            "a.txt",
            "dog 0.5\n",
            ["1 .jpg, 1 .txt", "its first line is 'dog 0.5'", "a.txt:1:", "--from darknet"],
        ),
        ("a.xml", "<scene/>", ["XML with the root <scene>", "--from voc|cvat"]),
        ("a.json", '{"boxes": [], "shape": 1}', ["a JSON object with the keys boxes, shape", "--from coco"]),
        ("a.json", '[{"polygon": 1}]', ["a JSON list, its first element with the keys polygon"]),
        ("a.csv", "what,ever\n", ["its first row is 'what,ever'", "--from csv|openimages"]),
    ],
)
def test_not_recognised(tmp_path: Path, file: str, text: str, messages: list[str]) -> None:
    """The message shows what was seen and what to try."""
    make_image(tmp_path / "a.jpg", 200, 100)
    make_text(tmp_path / file, text)
    with pytest.raises(DataError, match="the format is not recognised") as error:
        sniff(tmp_path)
    assert all(message in str(error.value) for message in messages), str(error.value)


def test_images_alone(tmp_path: Path) -> None:
    make_image(tmp_path / "a.jpg", 200, 100)
    with pytest.raises(DataError, match="images without labels; pydarknet detect"):
        sniff(tmp_path)
