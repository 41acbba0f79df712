# SPDX-License-Identifier: Apache-2.0
"""Formats of several files: VisDrone, MOT, DOTA, Supervisely and TFRecord, with hand values.

Images are 200x100 and the box is 20 10 60 40.
"""

from __future__ import annotations

import base64
import json
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from data_files import make_image, make_text

from pydarknet import data
from pydarknet.data import formats
from pydarknet.data.formats import _protobuf, visdrone
from pydarknet.errors import DataError, RecordError

BOX = [20, 10, 60, 40]


def make_visdrone(root: Path) -> None:
    folder = root / "VisDrone2019-DET-train"
    make_image(folder / "images/a.jpg", 200, 100)
    make_text(folder / "annotations/a.txt", "20,10,40,30,1,4,0,1\n0,0,9,9,0,0,0,0\n100,50,9,9,0,11,0,0,\n")


def make_mot(root: Path) -> None:
    make_image(root / "train/MOT17-02/img1/000001.jpg", 200, 100)
    make_image(root / "train/MOT17-02/img1/000002.jpg", 200, 100)
    rows = "1,1,21,11,40,30,1,3,1\n1,2,1,1,9,9,0,1,0.5\n"
    make_text(root / "train/MOT17-02/gt/gt.txt", rows)


def make_dota(root: Path) -> None:
    make_image(root / "images/a.png", 200, 100)
    text = "imagesource:GoogleEarth\ngsd:0.14\n20 25 40 10 60 25 40 40 car 0\n1 1 9 1 9 9 1 9 ship 1\n"
    make_text(root / "labelTxt/a.txt", text)


def make_supervisely(root: Path) -> None:
    mask = np.zeros((30, 40), np.uint8)
    mask[0, 0] = mask[29, 39] = 255
    png = cv2.imencode(".png", mask)[1].tobytes()
    bitmap = {"data": base64.b64encode(zlib.compress(png)).decode(), "origin": [20, 10]}
    shapes = [
        {"classTitle": "car", "geometryType": "rectangle", "points": {"exterior": [[20, 10], [60, 40]]}},
        {"classTitle": "bus", "geometryType": "bitmap", "bitmap": bitmap},
        {
            "classTitle": "van",
            "geometryType": "graph",
            "nodes": {"1": {"loc": [20, 40]}, "2": {"loc": [60, 10]}},
        },
        {"classTitle": "car", "geometryType": "point", "points": {"exterior": [[1, 1]]}},
    ]
    make_image(root / "ds1/img/a.jpg", 200, 100)
    make_text(root / "meta.json", json.dumps({"classes": [{"title": t} for t in ("van", "car", "bus")]}))
    content = {"size": {"width": 200, "height": 100}, "tags": [{"name": "val"}], "objects": shapes}
    make_text(root / "ds1/ann/a.jpg.json", json.dumps(content))


def _varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _masked(data: bytes) -> bytes:
    check = _protobuf._crc32c(data)
    return struct.pack("<I", ((check >> 15 | check << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def tfrecord(features: dict[str, list]) -> bytes:
    """A record with one Example, written by the definitions of both formats."""
    entries = b""
    for name, values in features.items():
        if isinstance(values[0], bytes):
            kind, content = 1, b"".join(_field(1, value) for value in values)
        elif isinstance(values[0], float):
            kind, content = 2, _field(1, struct.pack(f"<{len(values)}f", *values))
        else:
            kind, content = 3, _field(1, b"".join(map(_varint, values)))
        entries += _field(1, _field(1, name.encode()) + _field(2, _field(kind, content)))
    message = _field(1, entries)
    head = struct.pack("<Q", len(message))
    return head + _masked(head) + message + _masked(message)


def make_tfrecord(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    features = {
        "image/encoded": [cv2.imencode(".jpg", np.zeros((100, 200, 3), np.uint8))[1].tobytes()],
        "image/filename": [b"a.jpg"],
        "image/object/bbox/xmin": [0.1, 0.5],
        "image/object/bbox/ymin": [0.1, 0.5],
        "image/object/bbox/xmax": [0.3, 0.6],
        "image/object/bbox/ymax": [0.4, 0.6],
        "image/object/class/label": [2, 1],
        "image/object/difficult": [0, 1],
    }
    (root / "train.tfrecord-00000-of-00001").write_bytes(tfrecord(features))
    make_text(root / "label_map.pbtxt", "item {\n id: 2\n name: 'car'\n}\nitem { name: \"bus\" id: 1 }\n")


#: format -> builder, split of the first image, its first box's class, statuses of all boxes (ignored or not)
CASES: dict[str, tuple[Callable[[Path], None], str, str, list[bool]]] = {
    "visdrone": (make_visdrone, "train", "car", [False, True, True]),
    "mot": (make_mot, "train", "car", [False, True]),
    "dota": (make_dota, "", "car", [False, True]),
    "supervisely": (make_supervisely, "val", "car", [False, False, False]),
    "tfrecord": (make_tfrecord, "train", "car", [False, True]),
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("name", CASES)
def test_folder_and_archive(tmp_path: Path, name: str) -> None:
    """Recognised by exactly one format; hand values, as folder and as archive."""
    make, split, label, aside = CASES[name]
    make(tmp_path / "in")
    archive = Path(shutil.make_archive(str(tmp_path / "e"), "zip", tmp_path / "in"))
    assert [f for f in formats.FORMATS if formats.load(f).sniff(tmp_path / "in")] == [name]
    for place in (tmp_path / "in", archive):
        dataset = data.read(place)
        first = dataset[0]
        assert (first.split, dataset.names[first.classes[0]], first.width) == (split, label, 200)
        assert first.boxes[0].tolist() == pytest.approx(BOX, abs=1e-4)
        assert (~first.target).tolist() == aside


def test_class_names(tmp_path: Path) -> None:
    """Fixed by the format, by its files, or given."""
    make_visdrone(tmp_path / "v")
    assert data.read(tmp_path / "v").names == visdrone.NAMES
    make_supervisely(tmp_path / "s")
    dataset = data.read(tmp_path / "s")
    assert dataset.names == ("van", "car", "bus")
    assert dataset[0].boxes.tolist() == [BOX, BOX, BOX]
    assert dataset.report.counts["unsupported-shape"] == 1
    make_tfrecord(tmp_path / "t")
    assert data.read(tmp_path / "t").names == ("bus", "car")
    make_mot(tmp_path / "m")
    assert len(data.read(tmp_path / "m")) == 2  # a frame without rows is background
    assert data.read(tmp_path / "m", coords="edge")[0].boxes[0].tolist() == [21, 11, 61, 41]


def test_checksum() -> None:
    """The check value of CRC-32C in its definition (RFC 3720)."""
    assert _protobuf._crc32c(b"123456789") == 0xE3069283


def test_tfrecord_images_can_be_written(tmp_path: Path) -> None:
    """Images in the file become files of the written set."""
    make_tfrecord(tmp_path / "t")
    data.write(data.read(tmp_path / "t"), tmp_path / "out")
    shutil.rmtree(tmp_path / "cache")
    assert data.read(tmp_path / "out")[0].boxes[0].tolist() == pytest.approx(BOX, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "file", "text", "message"),
    [
        (
            "visdrone",
            "in/VisDrone2019-DET-train/annotations/a.txt",
            "1,2,3,4,1,99,0,0",
            "category 99; expected 0",
        ),
        (
            "visdrone",
            "in/VisDrone2019-DET-train/annotations/a.txt",
            "1,2,3,4,1,99,0,0\n1,2,3",
            "3 columns, expected 8",
        ),
        ("mot", "in/train/MOT17-02/gt/gt.txt", "1,1,x,11,40,30,1,3,1", "a column is 'x', expected a number"),
        ("mot", "in/train/MOT17-02/gt/gt.txt", "1,1,1,11,40,30,1,99,1", "class 99; they go from 1 to 13"),
        ("dota", "in/labelTxt/a.txt", "1 2 3 4 5 6 7 8", "8 columns, expected 9 or 10"),
        (
            "supervisely",
            "in/ds1/ann/a.jpg.json",
            '{"size": {}, "objects": [{}]}',
            "an object without classTitle",
        ),
    ],
)
def test_bad_lines(tmp_path: Path, name: str, file: str, text: str, message: str) -> None:
    """Reported with the place; the image has lost its only box and is not background."""
    CASES[name][0](tmp_path / "in")
    (tmp_path / file).write_text(text)
    dataset = data.read(tmp_path / "in", name)
    assert any(message in issue.message for issue in dataset.report.issues)
    assert dataset[0].emptied


def test_damaged_tfrecord(tmp_path: Path) -> None:
    """A file that is cut off is an error with the number of the record."""
    make_tfrecord(tmp_path)
    file = tmp_path / "train.tfrecord-00000-of-00001"
    file.write_bytes(2 * file.read_bytes()[:-9])
    with pytest.raises(RecordError, match="not a TFRecord, or cut off"):
        data.read(file, "tfrecord")
    with pytest.raises(DataError, match="no TFRecord there"):
        data.read(make_text(tmp_path / "e/a.txt", "").parent, "tfrecord")


@pytest.mark.parametrize("encode", [lambda text: "\ufeff" + text.replace("\n", "\r\n"), None])
@pytest.mark.parametrize("name", CASES)
def test_text_of_other_systems(tmp_path: Path, name: str, encode: Callable[[str], str] | None) -> None:
    """A byte order mark with the line ends of Windows, and UTF-16."""
    CASES[name][0](tmp_path)
    for file in tmp_path.rglob("*"):
        if file.suffix in (".txt", ".json", ".pbtxt"):
            text = file.read_text()
            file.write_bytes(encode(text).encode() if encode else text.encode("utf-16"))
    dataset = data.read(tmp_path)
    assert dataset[0].boxes[0].tolist() == pytest.approx(BOX, abs=1e-4)
    assert not dataset.report.errors
