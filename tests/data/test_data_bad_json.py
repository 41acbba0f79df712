# SPDX-License-Identifier: Apache-2.0
"""Bad JSON files and JSON lines: each fault is reported with its place, and only the faulty part is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from data_files import make_image, make_text, only

from pydarknet import data
from pydarknet.data import Dataset, Status
from pydarknet.errors import DataError, RecordError


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
    """Corners written where sizes belong are noticed, and can be read with an option."""
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
        ('{"shapes": [], "shapes": []}', "duplicate-key", "duplicate key shapes"),
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
    """Empty labels are background, none are unlabelled; URIs map to folders, missing ones are reported."""
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
    points = {"type": "keypointlabels", "value": {"x": 1, "y": 1}}
    only(read(task({"result": [region("cat"), points]})), "unsupported-shape")
    size = {"original_width": 100, "original_height": 100}
    minimal = [{"image": "a.png", "label": [{**region("cat")["value"], **size}]}]
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
    columns = "#filename,file_size,file_attributes,region_count,region_id"
    header = f"{columns},region_shape_attributes,region_attributes\n"
    shape, kind = '{""name"":""rect"",""x"":1,""y"":2,""width"":3,""height"":4}', '{""type"":""cat""}'
    file = make_text(tmp_path / "v.csv", header + f'a.png,1,"{{}}",1,0,"{shape}","{kind}"\n')
    assert data.read(file)[0].boxes.tolist() == [[1, 2, 4, 6]]
    make_text(file, header + 'a.png,1,"{}",1,0,"{oops","{}"\n')
    with pytest.raises(RecordError, match=r"v\.csv:2:.* JSON in a column"):
        data.read(file)
