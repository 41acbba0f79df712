# SPDX-License-Identifier: Apache-2.0
"""Bad XML and CSV files: each fault is reported with its place, and only the faulty part is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from data_files import make_image, make_text, only

from pydarknet import data
from pydarknet.data import Dataset, Status
from pydarknet.errors import RecordError

CORNERS = "<xmin>{}</xmin><ymin>1</ymin><xmax>{}</xmax><ymax>9</ymax>"
OBJECT = f"<object><name>cup</name><bndbox>{CORNERS}</bndbox></object>"


def voc(tmp_path: Path, body: str, head: str = "") -> Dataset:
    make_image(tmp_path / "a.png", 20, 10)
    make_text(tmp_path / "a.xml", f"{head}<annotation>\n<filename>a.png</filename>\n{body}</annotation>")
    return data.read(tmp_path, "voc")


def test_voc_broken_markup(tmp_path: Path) -> None:
    """Line and column, and no half of the file."""
    dataset = voc(tmp_path, OBJECT.format(1, 5) + "\n<object><br/>bndbox></object>\n<object><name>x</object>")
    issue = only(dataset, "parse")
    assert (issue.line, issue.column > 0, len(dataset)) == (5, True, 0)
    assert "mismatch" in issue.message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (OBJECT.format("one", 5), "xmin is 'one', expected a number"),
        ("<object><name>cup</name></object>", "object without <bndbox>"),
        ("<object><bndbox/></object>", "object without <name>"),
        (OBJECT.format(1, 5).replace("<ymax>9</ymax>", ""), "ymax is None, expected a number"),
    ],
)
def test_voc_incomplete_object(tmp_path: Path, body: str, message: str) -> None:
    """An object that cannot be understood is reported with its line; the others stay."""
    dataset = voc(tmp_path, OBJECT.format(1, 5) + "\n" + body)
    issue = only(dataset, "parse")
    assert message in issue.message
    assert (issue.line, len(dataset), len(dataset[0])) == (4, 1, 1)


def test_voc_swapped(tmp_path: Path) -> None:
    """Swapped corners are put right."""
    dataset = voc(tmp_path, OBJECT.format(15, 5))
    only(dataset, "swapped")
    assert dataset[0].boxes.tolist() == [[5, 1, 15, 9]]


def test_xml_entities(tmp_path: Path) -> None:
    """Neither a bomb nor a file from the disk gets in through an entity."""
    secret = make_text(tmp_path / "secret", "s3cret")
    for entity in (f'SYSTEM "{secret}"', '"aaaaaaaaaaaaaaaa"'):
        head = f"<!DOCTYPE annotation [<!ENTITY e {entity}>]>\n"
        dataset = voc(tmp_path, OBJECT.format(1, 5).replace("cup", "&e;"), head)
        assert "document type declarations" in only(dataset, "parse").message
        assert len(dataset) == 0


def test_voc_size_mismatch(tmp_path: Path) -> None:
    """Another size in the XML scales the boxes; a swapped one does not."""
    size = "<size><width>{}</width><height>{}</height></size>"
    dataset = voc(tmp_path, size.format(40, 20) + OBJECT.format(2, 6).replace(">9<", ">5<"))
    assert only(dataset, "size-mismatch").action == "scaled"
    assert dataset[0].boxes.tolist() == [[1, 0.5, 3, 2.5]]
    dataset = voc(tmp_path, size.format(10, 20) + OBJECT.format(2, 6))
    assert only(dataset, "size-mismatch").action == "pixels kept"
    assert dataset[0].boxes.tolist() == [[2, 1, 6, 9]]


def test_voc_duplicate(tmp_path: Path) -> None:
    """The same box of the same class counts once."""
    assert len(voc(tmp_path, 2 * OBJECT.format(1, 5))[0]) == 1


def test_voc_parts_are_no_objects(tmp_path: Path) -> None:
    """A head with a name and a box inside a person is no second object."""
    part = OBJECT.format(2, 3).replace("object", "part").replace("cup", "head")
    dataset = voc(tmp_path, OBJECT.format(1, 5).replace("</object>", part + "</object>"))
    assert dataset.names == ("cup",)
    assert len(dataset[0]) == 1


@pytest.mark.parametrize("text", ["<annotations><image/></annotations>", "<annotations><image", "<html/>"])
def test_cvat_broken(tmp_path: Path, text: str) -> None:
    """One file holds everything, so it is an error of the whole."""
    with pytest.raises(RecordError, match=r"c\.xml:1[:0-9]*: .*\[parse\]"):
        data.read(make_text(tmp_path / "c.xml", text), "cvat")


def test_cvat_unknown_label(tmp_path: Path) -> None:
    """A label that the project does not know is no class."""
    make_image(tmp_path / "a.png", 20, 10)
    meta = "<meta><task><labels><label><name>cup</name></label></labels></task></meta>"
    box = '<box label="mug" xtl="1" ytl="1" xbr="5" ybr="5"/>'
    image = f'<image id="0" name="a.png" width="20" height="10">{box}<points label="cup"/></image>'
    text = f"<annotations>{meta}{image}</annotations>"
    dataset = data.read(make_text(tmp_path / "c.xml", text))
    assert "'mug' is not in the class list" in only(dataset, "unknown-class").message
    only(dataset, "unsupported-shape")


def test_cvat_video(tmp_path: Path) -> None:
    """Boxes follow their track until they are outside."""
    make_image(tmp_path / "images/frame_000000.png", 20, 10)
    make_image(tmp_path / "images/frame_000001.png", 20, 10)
    box = '<box frame="{}" outside="{}" occluded="0" keyframe="1" xtl="1" ytl="1" xbr="5" ybr="5"/>'
    text = (
        f'<annotations><track id="0" label="cup">{box.format(0, 0)}{box.format(1, 1)}</track></annotations>'
    )
    dataset = data.read(make_text(tmp_path / "c.xml", text))
    assert [(sample.name, len(sample)) for sample in dataset] == [("frame_000000.png", 1)]


def test_csv_faults(tmp_path: Path) -> None:
    """Rows that are no boxes, columns that are missing."""
    make_image(tmp_path / "a.png", 100, 100)
    make_image(tmp_path / "b.png", 100, 100)
    file = tmp_path / "l.csv"
    header = "filename,class,xmin,ymin,xmax,ymax\n"
    dataset = data.read(make_text(file, header + "a.png,cat,1,two,3,4\nb.png,cat,1,2,3,4\n"))
    issue = only(dataset, "parse")
    assert (issue.line, issue.message) == (2, "ymin is 'two', expected a number")
    assert [(sample.name, len(sample)) for sample in dataset] == [("a.png", 0), ("b.png", 1)]
    with pytest.raises(RecordError, match="no column 'ymax'; the header is filename,class,xmin,ymin,xmax"):
        data.read(make_text(file, "filename,class,xmin,ymin,xmax\n"), "csv")
    make_text(file, "a.png,1,2,3,4,cat\nb.png,,,,,\n")
    dataset = data.read(file, "csv", columns="filename,x1,y1,x2,y2,class")
    assert [sample.status for sample in dataset] == [Status.ANNOTATED, Status.BACKGROUND]


def test_csv_units(tmp_path: Path) -> None:
    """Fractions are recognised; another size in the row scales."""
    make_image(tmp_path / "a.png", 200, 100)
    header = "filename,width,height,class,xmin,ymin,xmax,ymax\n"
    dataset = data.read(make_text(tmp_path / "l.csv", header + "a.png,200,100,cat,0.1,0.2,0.5,1.0\n"))
    assert dataset[0].boxes.tolist() == [[20, 20, 100, 100]]
    dataset = data.read(make_text(tmp_path / "l.csv", header + "a.png,100,50,cat,10,10,20,20\n"))
    assert dataset[0].boxes.tolist() == [[20, 20, 40, 40]]
    assert only(dataset, "size-mismatch").action == "scaled"


def test_openimages_unsorted_and_unknown(tmp_path: Path) -> None:
    """Rows of one image that lie apart are still one image; a MID without a name is no class."""
    make_image(tmp_path / "images/a.jpg", 100, 100)
    make_image(tmp_path / "images/b.jpg", 100, 100)
    make_text(tmp_path / "class-descriptions-boxable.csv", "/m/1,Car\n/m/2,Dog\n")
    rows = [
        "b,x,/m/1,1,0.1,0.2,0.1,0.2",
        "a,x,/m/1,1,0.1,0.2,0.1,0.2",
        "b,x,/m/2,1,0.5,0.6,0.5,0.6",
        "b,x,/m/3,1,0,1,0,1",
    ]
    header = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax\n"
    make_text(tmp_path / "train-annotations-bbox.csv", header + "\n".join(rows))
    dataset = data.read(tmp_path)
    assert [(sample.name, len(sample)) for sample in dataset] == [("b.jpg", 2), ("a.jpg", 1)]
    assert only(dataset, "unknown-class").line == 5


def test_kaggle_faults(tmp_path: Path) -> None:
    """Five words per box."""
    make_image(tmp_path / "a.JPEG", 100, 100)
    file = make_text(tmp_path / "s.csv", "ImageId,PredictionString\na,cat 1 2 3\na,\n")
    dataset = data.read(file)
    assert "4 words are not a multiple of 5" in only(dataset, "parse").message
    assert dataset[0].status is Status.BACKGROUND
    with pytest.raises(RecordError, match="expected the header ImageId,PredictionString"):
        data.read(make_text(file, "a,b\n1,2\n"), "kaggle")


def test_kitti_faults(tmp_path: Path) -> None:
    """A wrong number of columns costs the file; hard objects can be set aside; tracking files are split."""
    make_image(tmp_path / "image_2/1.png", 100, 100)
    row = "Car 0.00 {} 0 10 10 40 40 1 1 1 1 1 1 0"
    make_text(tmp_path / "label_2/1.txt", row.format(2) + "\n")
    assert data.read(tmp_path, "kitti", difficulty="easy")[0].ignore.tolist() == [True]
    make_text(tmp_path / "label_2/1.txt", "Car 0 0 0 10 10 40 40\n")
    assert "8 columns" in only(data.read(tmp_path, "kitti"), "parse").message
    make_image(tmp_path / "image_2/7/000003.png", 100, 100)
    make_text(tmp_path / "label_2/1.txt", "")
    make_text(tmp_path / "label_2/7.txt", f"3 0 {row.format(0)}\n")
    dataset = data.read(tmp_path, "kitti")
    assert [(s.name, len(s)) for s in dataset if len(s)] == [("7/000003.png", 1)]
