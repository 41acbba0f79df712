# SPDX-License-Identifier: Apache-2.0
"""Bad files: each fault is reported with its code, place and reason, and only the faulty part is lost."""

from __future__ import annotations

import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from data_files import make_image, make_text

from pydarknet import data
from pydarknet.data import Dataset, Status
from pydarknet.data.archives import unpacked
from pydarknet.data.report import RecordError
from pydarknet.errors import DataError


def only(dataset: Dataset, code: str) -> Any:
    """The single issue of this code."""
    found = [issue for issue in dataset.report.issues if issue.code == code]
    assert len(found) == 1, str(dataset.report)
    return found[0]


# --- Darknet
# -------------------------------------------------------------------------------------------------


def darknet(tmp_path: Path, label: str | bytes, **options: str) -> Dataset:
    make_image(tmp_path / "a.png", 100, 100)
    make_text(tmp_path / "obj.names", "cat\ndog\n")
    path = tmp_path / "a.txt"
    path.write_bytes(label if isinstance(label, bytes) else label.encode())
    return data.read(tmp_path, "darknet", **options)


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        (
            "2 0.5 0.5 0.1 0.1",
            "class-range",
            "class 2; there are 2 names, so ids go from 0 to 1 (do the ids start at 1?)",
        ),
        ("-1 0.5 0.5 0.1 0.1", "class-range", "class -1"),
        ("0 0.5 0.5 0 0.2", "degenerate", "has no area"),
        ("0 1.2 0.5 0.1 0.1", "outside", "lies outside the 100x100 image"),
        ("0 nan 0.5 0.1 0.1", "nan", "is not finite"),
        ("0 0.5 0.5 0.1", "parse", "found 4 columns"),
        ("0 0.5 0.5 0.1 0.1 0.9 0.9", "parse", "found 7 columns")
        if False
        else ("0.5 0.5 0.5 0.1 0.1", "parse", "found 5 columns"),
        ("cat 0.5 0.5 0.1 0.1", "parse", "expected numbers"),
    ],
)
def test_darknet_line_is_dropped(tmp_path: Path, line: str, code: str, message: str) -> None:
    """The bad line is lost, the good one before and after it are not."""
    dataset = darknet(tmp_path, f"1 0.25 0.25 0.1 0.1\n{line}\n1 0.75 0.75 0.1 0.1\n")
    issue = only(dataset, code)
    assert (issue.file, issue.line, issue.action) == (str(tmp_path / "a.txt"), 2, "dropped")
    assert message in issue.message
    assert dataset[0].classes.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("line", "code", "box"),
    [
        ("0 0.98 0.5 0.1 0.1", "clipped", [93, 45, 100, 55]),
        ("0 0.1 0.1 0.3 0.1 0.3 0.2", "polygon", [10, 10, 30, 20]),
    ],
)
def test_darknet_line_is_repaired(tmp_path: Path, line: str, code: str, box: list[float]) -> None:
    """What can be repaired is kept, and reported."""
    dataset = darknet(tmp_path, line)
    only(dataset, code)
    assert dataset[0].boxes[0] == pytest.approx(box)


def test_on_error_policies(tmp_path: Path) -> None:
    """Skip drops what clip repairs; raise stops there and names the place."""
    label = "0 0.98 0.5 0.1 0.1\n0 0.5 0.5 0.1 0.1\n"
    assert len(darknet(tmp_path, label)[0]) == 2
    skipped = darknet(tmp_path, label, on_error="skip")
    assert len(skipped[0]) == 1
    assert only(skipped, "clipped").action == "dropped"
    with pytest.raises(RecordError, match=r"a\.txt:1: cat .* leaves the 100x100 image"):
        darknet(tmp_path, label, on_error="raise")
    with pytest.raises(DataError, match="must be raise, skip or clip, not 'explode'"):
        darknet(tmp_path, label, on_error="explode")


@pytest.mark.parametrize(
    "label",
    [
        b"\xef\xbb\xbf1 0.5 0.5 0.1 0.1\r\n\r\n",
        "1 0.5 0.5 0.1 0.1\n".encode("utf-16"),
        b"# made by a tool\n1,0.5,0.5,0.1,0.1",
        b"  1.0\t0.5  0.5 0.1 0.1  ",
    ],
    ids=["bom-crlf", "utf-16", "comment-comma", "blanks"],
)
def test_darknet_spellings(tmp_path: Path, label: bytes) -> None:
    """What Windows and other tools make of a label file is read."""
    dataset = darknet(tmp_path, label)
    assert dataset[0].boxes[0] == pytest.approx([45, 45, 55, 55])


def test_darknet_encoding(tmp_path: Path) -> None:
    """A binary file is no label, and says where it stops being text."""
    assert only(darknet(tmp_path, b"0 0.5 0.5 0.1 0.1\n\xff\x00"), "encoding").line == 2
    assert "NUL byte" in only(darknet(tmp_path, b"0 0.5 0.5\0"), "encoding").message


def test_label_without_good_lines_is_not_background(tmp_path: Path) -> None:
    """An image whose labels are broken had something on it."""
    assert darknet(tmp_path, "cat 1 2 3 4\n")[0].status is Status.ANNOTATED
    assert darknet(tmp_path, "\n")[0].status is Status.BACKGROUND


def test_missing_label(tmp_path: Path) -> None:
    """No label file is not an empty one: the image is unlabelled, and the message lists the places tried."""
    make_image(tmp_path / "images/a.png", 10, 10)
    make_image(tmp_path / "images/b.png", 10, 10)
    make_text(tmp_path / "images/b.txt", "")
    dataset = data.read(tmp_path, "darknet")
    assert [sample.status for sample in dataset] == [Status.UNLABELLED, Status.BACKGROUND]
    message = only(dataset, "missing-label").message
    assert str(tmp_path / "images/a.txt") in message
    assert str(tmp_path / "labels/a.txt") in message


def test_two_labels(tmp_path: Path) -> None:
    """Two label files that disagree: the one beside the image counts, and that is said."""
    make_image(tmp_path / "images/a.png", 10, 10)
    make_text(tmp_path / "images/a.txt", "0 0.5 0.5 0.5 0.5\n")
    make_text(tmp_path / "labels/a.txt", "")
    dataset = data.read(tmp_path, "darknet")
    assert len(dataset[0]) == 1
    assert only(dataset, "two-labels").action == "first taken"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train train.txt\n", r"obj\.data:1: expected 'key = value'"),
        (
            "classes = 3\ntrain = train.txt\nnames = obj.names\n",
            r"obj\.data:1: classes = 3, but .* has 2 names",
        ),
        ("train = nowhere.txt\n", r"obj\.data:1: train list nowhere\.txt is not there"),
        ("names = nowhere.names\n", r"obj\.data:1: names file nowhere\.names is not there"),
        ("names = obj.names\n", "neither train nor valid"),
    ],
)
def test_darknet_data_file(tmp_path: Path, text: str, message: str) -> None:
    """A .data file that cannot be used says which line and why."""
    make_text(tmp_path / "obj.names", "cat\ndog\n")
    make_text(tmp_path / "train.txt", "")
    make_text(tmp_path / "obj.data", text)
    with pytest.raises(RecordError, match=message):
        data.read(tmp_path / "obj.data")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cat\n\ndog\n", "obj.names:2: blank line"),
        ("cat\ncat\n", "obj.names:2: class 'cat' is there"),
        ("", "no class"),
    ],
)
def test_darknet_names(tmp_path: Path, text: str, message: str) -> None:
    """Names that Darknet would count wrongly are refused."""
    make_text(tmp_path / "obj.names", text)
    make_text(tmp_path / "train.txt", "x.jpg\n")
    make_text(tmp_path / "obj.data", "train = train.txt\nnames = obj.names\n")
    with pytest.raises(RecordError, match=message):
        data.read(tmp_path)


def test_missing_image_in_a_list(tmp_path: Path) -> None:
    """The list file and the line are named."""
    make_text(tmp_path / "train.txt", "gone.jpg\n")
    dataset = data.read(tmp_path / "train.txt")
    issue = only(dataset, "missing-image")
    assert (issue.file, issue.line, len(dataset)) == (str(tmp_path / "train.txt"), 1, 0)


def test_unreadable_image(tmp_path: Path) -> None:
    """A file that only pretends to be an image is left out."""
    make_text(tmp_path / "a.jpg", "<html>404</html>")
    make_text(tmp_path / "a.txt", "0 0.5 0.5 0.1 0.1\n")
    assert "damaged image header" in only(data.read(tmp_path), "unreadable-image").message


# --- XML
# -----------------------------------------------------------------------------------------------------

OBJECT = "<object><name>cup</name><bndbox><xmin>{}</xmin><ymin>1</ymin><xmax>{}</xmax><ymax>9</ymax></bndbox></object>"


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
    """An object that cannot be understood costs its file, never only itself in silence."""
    dataset = voc(tmp_path, OBJECT.format(1, 5) + "\n" + body)
    issue = only(dataset, "parse")
    assert message in issue.message
    assert (issue.line, len(dataset)) == (4, 0)


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
    part = "<part><name>head</name><bndbox><xmin>2</xmin><ymin>2</ymin><xmax>3</xmax><ymax>3</ymax></bndbox></part>"
    dataset = voc(tmp_path, OBJECT.format(1, 5).replace("</object>", part + "</object>"))
    assert dataset.names == ("cup",)
    assert len(dataset[0]) == 1


@pytest.mark.parametrize("text", ["<annotations><image/></annotations>", "<annotations><image", "<html/>"])
def test_cvat_broken(tmp_path: Path, text: str) -> None:
    """One file holds everything, so it is an error of the whole."""
    with pytest.raises(RecordError, match=r"c\.xml:1: .*\[parse\]"):
        data.read(make_text(tmp_path / "c.xml", text), "cvat")


def test_cvat_unknown_label(tmp_path: Path) -> None:
    """A label that the project does not know is no class."""
    make_image(tmp_path / "a.png", 20, 10)
    meta = "<meta><task><labels><label><name>cup</name></label></labels></task></meta>"
    box = '<box label="mug" xtl="1" ytl="1" xbr="5" ybr="5"/>'
    text = f'<annotations>{meta}<image id="0" name="a.png" width="20" height="10">{box}<points label="cup"/></image></annotations>'
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


# --- JSON
# ----------------------------------------------------------------------------------------------------


def coco(tmp_path: Path, **changes: Any) -> Dataset:
    make_image(tmp_path / "a.png", 100, 50)
    content: dict[str, Any] = {
        "images": [{"id": 1, "file_name": "a.png", "width": 100, "height": 50}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"id": 1, "image_id": "1", "category_id": 1, "bbox": [1, 2, 3, 4]}],
    }
    return data.read(make_text(tmp_path / "c.json", json.dumps(content | changes)), "coco")


def test_coco_faults(tmp_path: Path) -> None:
    """Each bad annotation is named by its place; the others stay."""
    good = {"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}
    bad = [
        {"image_id": 1, "category_id": 1},
        {"image_id": 1, "category_id": 1, "bbox": [1, 2, 3]},
        {"image_id": 1, "category_id": 7, "bbox": [1, 2, 3, 4]},
        {"image_id": 9, "category_id": 1, "bbox": [1, 2, 3, 4]},
    ]
    dataset = coco(tmp_path, annotations=[*bad, good])
    assert len(dataset[0]) == 1
    assert dataset.report.counts == {"parse": 2, "unknown-class": 1, "missing-image": 1}
    lines = {issue.line for issue in dataset.report.issues}
    assert lines == {1, 2, 3, 4}


def test_coco_duplicate_image(tmp_path: Path) -> None:
    """One id, two images: the second is dropped."""
    image = {"id": 1, "file_name": "a.png", "width": 100, "height": 50}
    only(coco(tmp_path, images=[image, image]), "duplicate-image")


def test_coco_results_file(tmp_path: Path) -> None:
    """Results are no ground truth."""
    file = make_text(tmp_path / "results.json", json.dumps([{"image_id": 1, "category_id": 1, "score": 0.5}]))
    with pytest.raises(RecordError, match=r"results\.json:1:1: a list at the top; is this a results file"):
        data.read(file, "coco")


def test_coco_corners(tmp_path: Path) -> None:
    """Corners written where sizes belong are noticed, and can be read when told."""
    boxes = [{"image_id": 1, "category_id": 1, "bbox": [60 + i, 30, 90 + i % 5, 48]} for i in range(20)]
    with pytest.raises(DataError, match="read with bbox=xyxy"):
        coco(tmp_path, annotations=boxes)
    assert data.read(tmp_path / "c.json", bbox="xyxy")[0].boxes[0].tolist() == [60, 30, 90, 48]


def test_coco_segmentation(tmp_path: Path) -> None:
    """Without a box the polygon's or the mask's envelope counts; masks go down the columns."""
    polygon = {"image_id": 1, "category_id": 1, "segmentation": [[10, 20, 30, 20, 30, 40]]}
    mask = [0] * 5000
    for x in range(7, 12):
        for y in range(3, 9):
            mask[x * 50 + y] = 1
    counts, value = [0], 0
    for pixel in mask:
        if pixel != value:
            counts.append(0)
            value = pixel
        counts[-1] += 1
    runs = {"image_id": 1, "category_id": 1, "segmentation": {"size": [50, 100], "counts": counts}}
    dataset = coco(tmp_path, annotations=[polygon, runs])
    assert dataset[0].boxes.tolist() == [[10, 20, 30, 40], [7, 3, 12, 9]]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"images": [}', ":1:13"),
        ('{"images": [],\n"annotations" []}', ":2:15"),
        ('{"images": []', ":1:14"),
        ('{"images": []} x', ":1:16"),
        ('{"images": [{"id": 1,\n "file_name": "a.p', ":2:15"),
        ("[" * 100_000, ":1:1"),
    ],
)
def test_coco_malformed(tmp_path: Path, text: str, place: str) -> None:
    """Line and column of the fault."""
    file = make_text(tmp_path / "c.json", text)
    with pytest.raises(RecordError) as caught:
        data.read(file, "coco")
    assert f"c.json{place}: " in str(caught.value)


def labelme(tmp_path: Path, text: str) -> Dataset:
    make_image(tmp_path / "a.png", 20, 10)
    make_text(tmp_path / "a.json", text)
    return data.read(tmp_path, "labelme")


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ('{"shapes": [', "parse", "Expecting value"),
        ('{"shapes": 3}', "parse", "Expected `array`, got `int` - at `$.shapes`"),
        ('{"imagePath": "a.png"}', "parse", "missing required field `shapes`"),
        ('{"shapes": [], "shapes": []}', "duplicate-key", "shapes is there twice"),
        (
            '{"shapes": [{"label": "c", "points": [[1, 1]], "shape_type": "point"}]}',
            "unsupported-shape",
            "point",
        ),
    ],
)
def test_labelme_faults(tmp_path: Path, text: str, code: str, message: str) -> None:
    """Shape of the file, keys given twice, shapes without extent."""
    assert message in only(labelme(tmp_path, text), code).message


def test_labelme_shapes(tmp_path: Path) -> None:
    """Circles and polygons give their envelope; a label pattern cuts numbers off."""
    circle = {"label": "cat-1", "points": [[10, 5], [13, 9]], "shape_type": "circle"}
    polygon = {"label": "cat-2", "points": [[1, 1], [4, 2], [2, 6]], "shape_type": "polygon"}
    labelme(tmp_path, json.dumps({"shapes": [circle, polygon]}))
    dataset = data.read(tmp_path, "labelme", label_regex="([a-z]+)")
    assert dataset.names == ("cat",)
    assert dataset[0].boxes.tolist() == [[5, 0, 15, 10], [1, 1, 4, 6]]


def jsonl(tmp_path: Path, name: str, good: dict[str, Any], broken: list[str]) -> Dataset:
    file = make_text(tmp_path / name, "\n".join([json.dumps(good), *broken, json.dumps(good)]) + "\n")
    return data.read(file)


def test_crowdhuman_faults(tmp_path: Path) -> None:
    """A broken line is lost with its number, the next one is read."""
    make_image(tmp_path / "x.jpg", 100, 100)
    person = {"tag": "person", "fbox": [1, 2, 30, 40], "vbox": [1, 2, 30, 40], "hbox": [5, 5, 5, 5]}
    good = {
        "ID": "x",
        "gtboxes": [person, {"tag": "dog"}, {**person, "fbox": [50, 50, 20, 20], "extra": {"ignore": 1}}],
    }
    bad = ["{oops", '{"ID": 3, "gtboxes": []}', '{"ID": "x", "gtboxes": [{"tag": "person", "hbox": [1, 2]}]}']
    dataset = jsonl(tmp_path, "a.odgt", good, bad)
    parse = [issue for issue in dataset.report.issues if issue.code == "parse"]
    assert [issue.line for issue in parse] == [2, 3, 4]
    assert "expected the keys ID and gtboxes" in parse[1].message
    assert dataset.report.counts["unknown-class"] == 2
    assert dataset[0].ignore.tolist() == [False, False, True]  # the second head is the first one's duplicate
    with pytest.raises(DataError, match="expected class:kind pairs"):
        data.read(tmp_path / "a.odgt", boxes="person:body")


def manifest(number: int, class_map: dict[str, str], date: str = "2021-05-01") -> dict[str, Any]:
    box = {"class_id": 0, "left": 1, "top": 1, "width": 5, "height": 5}
    meta = {"class-map": class_map, "type": "groundtruth/object-detection", "creation-date": date}
    return {
        "source-ref": f"s3://bucket/in/{number}.png",
        "tools": {"annotations": [box]},
        "tools-metadata": meta,
    }


def test_groundtruth_contradiction(tmp_path: Path) -> None:
    """Class maps that disagree name both lines."""
    lines = [manifest(1, {"0": "drill"}), manifest(2, {"0": "hammer"})]
    file = make_text(tmp_path / "m.manifest", "\n".join(map(json.dumps, lines)))
    with pytest.raises(RecordError, match=r"m\.manifest:2: class 0 is 'hammer' here, but 'drill' in line 1"):
        data.read(file)
    lines[1] = manifest(2, {"1": "drill"})
    make_text(file, "\n".join(map(json.dumps, lines)))
    with pytest.raises(RecordError, match="'drill' is class 1 here, but class 0 in line 1"):
        data.read(file)


def test_groundtruth_status_and_uris(tmp_path: Path) -> None:
    """Empty labels are background, no labels are unlabelled; URIs map to folders, missing files are listed."""
    make_image(tmp_path / "local/1.png", 20, 10)
    make_image(tmp_path / "local/2.png", 20, 10)
    empty = manifest(1, {"0": "drill"})
    empty["tools"]["annotations"] = []
    failed = {"source-ref": "s3://bucket/in/2.png", "tools-metadata": {"failure-reason": "ClientError"}}
    lines = [manifest(9, {"0": "drill"}), empty, failed]
    file = make_text(tmp_path / "m.manifest", "\n".join(map(json.dumps, lines)))
    dataset = data.read(file, uri_map=f"s3://bucket/in={tmp_path / 'local'}")
    assert [sample.status for sample in dataset] == [Status.BACKGROUND, Status.UNLABELLED]
    assert "no image '9.png'" in only(dataset, "missing-image").message
    assert "ClientError" in only(dataset, "missing-label").message
    with pytest.raises(DataError, match="no label attribute 'screws'; there are tools"):
        data.read(file, attribute="screws")


def test_labelstudio_choices(tmp_path: Path) -> None:
    """Cancelled annotations do not count, none means unlabelled."""
    make_image(tmp_path / "a.png", 100, 100)

    def task(*annotations: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"data": {"image": "a.png"}, "annotations": list(annotations)}]

    def region(label: str, **value: Any) -> dict[str, Any]:
        box = {"x": 10, "y": 10, "width": 20, "height": 20, "rectanglelabels": [label], **value}
        return {"type": "rectanglelabels", "value": box}

    def read(content: list[dict[str, Any]], **settings: str) -> Dataset:
        return data.read(make_text(tmp_path / "t.json", json.dumps(content)), "labelstudio", **settings)

    first, last = {"result": [region("cat")]}, {"result": [region("dog")], "was_cancelled": True}
    assert read(task(first, last)).names == ("cat",)
    assert read(task()).samples[0].status is Status.UNLABELLED
    assert read(task({"result": []})).samples[0].status is Status.BACKGROUND
    only(read(task({"result": [region("cat", x="left")]})), "parse")
    only(read(task({"result": [region("cat"), {"type": "brushlabels", "value": {}}]})), "unsupported-shape")
    minimal = [
        {
            "image": "a.png",
            "label": [{**region("cat")["value"], "original_width": 100, "original_height": 100}],
        }
    ]
    assert read(minimal)[0].boxes.tolist() == [[10, 10, 30, 30]]


def test_via_attributes(tmp_path: Path) -> None:
    """Which attribute is the class, boxes ticked, VIA 1's dictionaries, VIA 3's refusal."""
    make_image(tmp_path / "a.png", 100, 100)
    shape = {"name": "circle", "cx": 50, "cy": 50, "r": 10}

    def read(regions: Any, **settings: str) -> Dataset:
        content = {"a.png1": {"filename": "a.png", "size": 1, "regions": regions}}
        return data.read(make_text(tmp_path / "v.json", json.dumps(content)), "via", **settings)

    ticked = {"kind": {"cat": True, "dog": False}}
    assert read({"0": {"shape_attributes": shape, "region_attributes": ticked}})[0].boxes.tolist() == [
        [40, 40, 60, 60]
    ]
    two = [{"shape_attributes": shape, "region_attributes": {"kind": "cat", "colour": "red"}}]
    with pytest.raises(DataError, match=r"several region attributes \(colour, kind\)"):
        read(two)
    assert read(two, attribute="kind").names == ("cat",)
    only(read([{"shape_attributes": shape, "region_attributes": {}}]), "unknown-class")
    assert read([{"shape_attributes": shape, "region_attributes": {}}], single_class="cell").names == (
        "cell",
    )
    with pytest.raises(RecordError, match="a region without shape_attributes"):
        read([{}])
    three = make_text(tmp_path / "v3.json", json.dumps({"project": {}, "metadata": {}}))
    with pytest.raises(DataError, match="VIA 3 projects are not supported"):
        data.read(three, "via")


def test_via_csv(tmp_path: Path) -> None:
    """Two columns are JSON inside quotes."""
    make_image(tmp_path / "a.png", 100, 100)
    header = "#filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes\n"
    shape, kind = '{""name"":""rect"",""x"":1,""y"":2,""width"":3,""height"":4}', '{""type"":""cat""}'
    file = make_text(tmp_path / "v.csv", header + f'a.png,1,"{{}}",1,0,"{shape}","{kind}"\n')
    assert data.read(file)[0].boxes.tolist() == [[1, 2, 4, 6]]
    make_text(file, header + 'a.png,1,"{}",1,0,"{oops","{}"\n')
    with pytest.raises(RecordError, match=r"v\.csv:2:.* JSON in a column"):
        data.read(file)


# --- CSV
# -----------------------------------------------------------------------------------------------------


def test_csv_faults(tmp_path: Path) -> None:
    """Rows that are no boxes, columns that are missing."""
    make_image(tmp_path / "a.png", 100, 100)
    make_image(tmp_path / "b.png", 100, 100)
    file = tmp_path / "l.csv"
    header = "filename,class,xmin,ymin,xmax,ymax\n"
    dataset = data.read(make_text(file, header + "a.png,cat,1,two,3,4\nb.png,cat,1,2,3,4\n"))
    issue = only(dataset, "parse")
    assert (issue.line, issue.message) == (2, "ymin is 'two', expected a number")
    assert [sample.name for sample in dataset] == ["b.png"]
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
    make_text(
        tmp_path / "train-annotations-bbox.csv",
        "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax\n" + "\n".join(rows),
    )
    dataset = data.read(tmp_path)
    assert [(sample.name, len(sample)) for sample in dataset] == [("b.jpg", 2), ("a.jpg", 1)]
    assert only(dataset, "unknown-class").line == 5


def test_kaggle_faults(tmp_path: Path) -> None:
    """Five words per box."""
    make_image(tmp_path / "a.JPEG", 100, 100)
    file = make_text(tmp_path / "s.csv", "ImageId,PredictionString\na,cat 1 2 3\na,\n")
    dataset = data.read(file)
    assert "4 words are no multiple of 5" in only(dataset, "parse").message
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


# --- YAML and archives
# ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: images\nnc: 3\nnames: [a, b]\n", "nc is 3, but there are 2 names"),
        ("train: images\nnames: {1: a, 2: b}\n", "keys 0 to 1; they start at 1, shift them by one"),
        ("train: images\nnames: [a, a]\n", "must be unique; there twice: a"),
        ("train: images\nnames: {0: a, 0: b}\n", "key 0 is there twice"),
        ("train: images\nnames: 3\n", "names must be a list of names"),
        (
            "train: nowhere/images\nnames: [a]\n",
            r"nowhere/images is nowhere; tried\n  .*\(below the yaml's folder\)",
        ),
        ("train: images\nval: images\nnames: [a]\n", "train and val are the same images; allow_same=yes"),
        ("train: [images\nnames: [a]\n", r"data\.yaml:2:"),
        ("names: [a]\nval:\n", "neither train nor val nor test"),
        ("train: images\nnames: !!python/object/apply:os.system [id]\n", "could not determine a constructor"),
    ],
)
def test_yaml_faults(tmp_path: Path, text: str, message: str) -> None:
    """Everything that can be wrong in a data.yaml, in its own words."""
    make_image(tmp_path / "images/a.png", 10, 10)
    file = make_text(tmp_path / "data.yaml", text)
    with pytest.raises(RecordError, match=message):
        data.read(file, "yolov5")


def test_zip_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An export as it was downloaded gives the same data set as its folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    make_image(tmp_path / "set/train/images/a.png", 100, 100)
    make_text(tmp_path / "set/train/labels/a.txt", "0 0.5 0.5 0.5 0.5\n")
    make_text(tmp_path / "set/data.yaml", "train: ../train/images\nnc: 1\nnames: [cat]\n")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for file in sorted((tmp_path / "set").rglob("*.*")):
            archive.write(file, file.relative_to(tmp_path))
    with tarfile.open(tmp_path / "set.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "set", "set")
    folder = data.read(tmp_path / "set")
    for name in ("set.zip", "set.tar.gz", "set.zip"):
        dataset = data.read(tmp_path / name)
        assert [sample.boxes.tolist() for sample in dataset] == [sample.boxes.tolist() for sample in folder]


@pytest.mark.parametrize("name", ["../x.txt", "/etc/x", "a/../../x", "C:\\x", "..\\x"])
def test_archive_members_stay_inside(tmp_path: Path, name: str) -> None:
    """An archive with a member that climbs out is refused before anything is unpacked."""
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("good.txt", "x")
        archive.writestr(name, "x")
    with pytest.raises(RecordError, match="path-escape"):
        unpacked(tmp_path / "bad.zip", tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_archive_links_and_damage(tmp_path: Path) -> None:
    """Links are refused; a cut-off archive is an error of ours, not a traceback."""
    with tarfile.open(tmp_path / "link.tar", "w") as tar:
        entry = tarfile.TarInfo("x")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(entry)
    with pytest.raises(RecordError, match="member 'x' is a link or device"):
        unpacked(tmp_path / "link.tar", tmp_path / "cache")
    with zipfile.ZipFile(tmp_path / "cut.zip", "w") as archive:
        archive.writestr("a.txt", "hello" * 1000)
    whole = (tmp_path / "cut.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[:20] + b"\0" * 20 + whole[40:])
    with pytest.raises(DataError, match="cannot be unpacked"):
        unpacked(tmp_path / "cut.zip", tmp_path / "cache")


# --- Choosing a format
# ---------------------------------------------------------------------------------------


def test_unknown_format(tmp_path: Path) -> None:
    """Names are checked, with the closest one; unrecognised content lists the formats."""
    make_text(tmp_path / "x.bin", "?")
    with pytest.raises(DataError, match="no data format 'cocoo'; did you mean 'coco'"):
        data.read(tmp_path / "x.bin", "cocoo")
    with pytest.raises(DataError, match=r"x\.bin: the format is not recognised"):
        data.read(tmp_path / "x.bin")
    with pytest.raises(DataError, match="no such file or folder"):
        data.read(tmp_path / "nothing")
    with pytest.raises(DataError, match="format 'coco' has no option 'box'; did you mean 'bbox'"):
        data.read(tmp_path / "x.bin", "coco", box="xyxy")
    with pytest.raises(DataError, match="format 'via' can only be read"):
        data.write(Dataset([], []), tmp_path / "out", "via")


def test_ilsvrc_wrong_root(tmp_path: Path) -> None:
    """The message shows the tree that was expected."""
    with pytest.raises(DataError, match="ILSVRC/Annotations/CLS-LOC/train/<wnid>"):
        data.read(tmp_path, "ilsvrc")
