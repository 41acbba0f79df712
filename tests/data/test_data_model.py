# SPDX-License-Identifier: Apache-2.0
"""The data set itself, the rules for paths, image headers, text files and class plans."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from data_files import make_image, make_text
from hypothesis import given
from hypothesis import strategies as st

from pydarknet.data import Dataset, Flag, Sample, Status
from pydarknet.data.coords import CONVENTIONS, from_edges, to_edges
from pydarknet.data.issues import Report
from pydarknet.data.label_files import atomic, write_text
from pydarknet.data.output import safe_name
from pydarknet.data.paths import (
    find_image,
    find_label,
    images_below,
    inner_name,
    label_candidates,
    natural_key,
)
from pydarknet.data.records import Box, Record, Rules, clean, parse_min_size
from pydarknet.engine.darknet_files import resolve
from pydarknet.errors import DataError, RecordError
from pydarknet.system.text import read_text


def test_sample_defaults() -> None:
    """No boxes means background, boxes mean annotated; arrays have their types and cannot be changed."""
    empty = Sample(Path("a.jpg"), size=(10, 20))
    assert (empty.status, empty.boxes.shape, empty.name, empty.width, empty.height) == (
        Status.BACKGROUND,
        (0, 4),
        "a.jpg",
        10,
        20,
    )
    sample = Sample(Path("a.jpg"), np.array([[1, 2, 3, 4]]), np.array([0]))
    assert (sample.status, sample.boxes.dtype, sample.classes.dtype) == (
        Status.ANNOTATED,
        np.float64,
        np.int64,
    )
    with pytest.raises(ValueError, match="read-only"):
        sample.boxes[0, 0] = 7
    assert sample.select([]).status is Status.ANNOTATED  # losing boxes is no knowledge of an empty image


def test_sample_flags() -> None:
    """Flags are bits; a target has none of difficult, crowd and ignore."""
    flags = np.array([0, Flag.DIFFICULT, Flag.CROWD, Flag.IGNORE, Flag.OCCLUDED])
    sample = Sample(Path("a.jpg"), np.tile([0, 0, 1, 1], (5, 1)), np.zeros(5), flags)
    assert sample.difficult.tolist() == [False, True, False, False, False]
    assert sample.crowd.tolist() == [False, False, True, False, False]
    assert sample.ignore.tolist() == [False, False, False, True, False]
    assert sample.target.tolist() == [True, False, False, False, True]
    assert sample.select(sample.target).flags.tolist() == [0, Flag.OCCLUDED]


def test_sample_faults() -> None:
    """Arrays of different lengths and impossible states are refused."""
    with pytest.raises(DataError, match="differ in length"):
        Sample(Path("a.jpg"), np.array([[1, 2, 3, 4]]), np.array([0, 1]))
    with pytest.raises(DataError, match="a background image cannot have 1 boxes"):
        Sample(Path("a.jpg"), np.array([[1, 2, 3, 4]]), np.array([0]), status=Status.BACKGROUND)


def test_dataset_faults() -> None:
    """Names are unique, and every class index has one."""
    box = np.array([[1, 2, 3, 4]])
    with pytest.raises(DataError, match="given twice: cat"):
        Dataset([], ["cat", "dog", "cat"])
    with pytest.raises(DataError, match=r"a\.jpg: class 2 is outside 0…1"):
        Dataset([Sample(Path("a.jpg"), box, np.array([2]))], ["cat", "dog"])
    with pytest.raises(DataError, match=r"must have Flag\.IGNORE"):
        Dataset([Sample(Path("a.jpg"), box, np.array([-1]))], ["cat", "dog"])


def test_dataset_is_a_sequence() -> None:
    """Length, index, iteration, splits."""
    samples = [Sample(Path(f"{i}.jpg"), size=(1, 1), split="train" if i else "val") for i in range(3)]
    dataset = Dataset(samples, ["cat"])
    assert (len(dataset), dataset[1], list(dataset), dataset.splits) == (
        3,
        samples[1],
        samples,
        ("val", "train"),
    )
    assert [sample.image.name for sample in dataset.only("train")] == ["1.jpg", "2.jpg"]
    assert repr(dataset) == "Dataset(3 images, 0 boxes, 1 classes)"


# Paths


def test_label_candidates() -> None:
    """Beside first; then the last component that is called images; never a part of a name."""
    found = [str(path) for path in label_candidates("/d/images/x/images/image1.JPEG")]
    assert found == ["/d/images/x/images/image1.txt", "/d/images/x/labels/image1.txt"]
    assert str(label_candidates("/VOC/JPEGImages/a.jpg")[1]) == "/VOC/labels/a.txt"
    assert str(label_candidates("/my_images/a.jpg", "/L")[0]) == "/L/a.txt"
    assert len(label_candidates("/my_images/a.jpg")) == 1


def test_find_label_prefers_the_image_folder(tmp_path: Path) -> None:
    """Two equal files are no contradiction."""
    image = make_image(tmp_path / "images/a.png", 4, 4)
    beside, tree = make_text(tmp_path / "images/a.txt", ""), make_text(tmp_path / "labels/a.txt", "")
    report = Report()
    assert find_label(image, report=report) == beside
    assert len(report) == 0
    beside.unlink()
    assert find_label(image) == tree
    tree.unlink()
    assert find_label(image) is None


def test_resolve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Working directory, then the list's folder, then the .data folder."""
    for folder in ("cwd", "list", "data"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    order = [tmp_path / "list", tmp_path / "data"]
    for folder in ("data", "list", "cwd"):
        make_text(tmp_path / folder / "a b.jpg", "")
        assert resolve(" a b.jpg ", *order) == tmp_path / folder / "a b.jpg"
    assert resolve(str(tmp_path / "list/a b.jpg"), *order) == tmp_path / "list/a b.jpg"
    assert resolve("gone.jpg", *order) == tmp_path / "data/gone.jpg"


@pytest.mark.parametrize("name", ["a.JPEG", "a.Jpg", "a.png", "a.TIF", "a.webp"])
def test_find_image_by_stem(tmp_path: Path, name: str) -> None:
    """All spellings of the extensions that are all lower or upper case are found by stem, others by name."""
    make_text(tmp_path / name, "")
    if name == "a.Jpg":
        assert find_image(str(tmp_path), "a") is None
        assert find_image(str(tmp_path), name) == str(tmp_path / name)
    else:
        assert find_image(str(tmp_path), "a") == str(tmp_path / name)
        assert find_image(str(tmp_path), f"a{Path(name).suffix.swapcase()}") == str(tmp_path / name)


def test_walk(tmp_path: Path) -> None:
    """Natural order, folders after files; hidden folders and links back up are left out."""
    names = ["img10.png", "img2.PNG", "b/1.png", "a/1.png", "a/notes.txt", ".hidden/1.png"]
    for name in names:
        make_text(tmp_path / "set" / name, "")
    make_text(tmp_path / "else/x.png", "")
    (tmp_path / "set/a/up").symlink_to(tmp_path / "set")
    (tmp_path / "set/c").symlink_to(tmp_path / "else")
    found = [str(path.relative_to(tmp_path / "set")) for path in images_below(tmp_path / "set")]
    assert found == ["img2.PNG", "img10.png", "a/1.png", "b/1.png", "c/x.png"]


def test_names_inside() -> None:
    """Redundant parts of a path are removed; parts that leave the folder are cut."""
    assert inner_name("images/train/x/a.jpg") == "x/a.jpg"
    assert inner_name("train.jpg") == "train.jpg"
    assert safe_name("../../etc/passwd") == "etc/passwd"
    assert safe_name("C:\\data\\a.jpg") == "data/a.jpg"
    assert safe_name("..") == "image"


def test_natural_order() -> None:
    """img2 comes before img10."""
    assert sorted(["img10", "img2", "a", "1"], key=natural_key) == ["1", "a", "img2", "img10"]


# Text files


def test_atomic_files(tmp_path: Path) -> None:
    """A failed write leaves the old file and nothing else; an equal text leaves even the time stamp."""
    path = make_text(tmp_path / "a.txt", "old")
    with pytest.raises(TypeError), atomic(path) as file:
        file.writelines([b"new", "no bytes"])  # type: ignore[list-item]
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("a.txt", "old")]
    inode = path.stat().st_ino
    write_text(path, "old")
    assert path.stat().st_ino == inode
    write_text(path, "new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == make_text(tmp_path / "b.txt", "").stat().st_mode & 0o777


def test_read_text_faults(tmp_path: Path) -> None:
    """A folder is no text."""
    with pytest.raises(RecordError, match="cannot be read"):
        read_text(tmp_path)


# Coordinates and cleaning


@pytest.mark.parametrize("rule", CONVENTIONS.values(), ids=CONVENTIONS)
@given(
    corners=st.tuples(st.integers(0, 500), st.integers(0, 500), st.integers(1, 500), st.integers(1, 500)),
)
def test_conventions_round_trip(rule: tuple[int, int], corners: tuple[int, int, int, int]) -> None:
    """Whole pixels survive both ways."""
    x, y, w, h = corners
    box = (float(x), float(y), float(x + w), float(y + h))
    assert to_edges(rule, *from_edges(rule, *box)) == box


@given(st.floats(0, 100), st.floats(0.001, 3))
def test_rounding_never_makes_a_box_vanish(start: float, size: float) -> None:
    """However thin, a box keeps a pixel."""
    xmin, ymin, xmax, ymax = from_edges(CONVENTIONS["edge"], start, start, start + size, start + size)
    assert xmax > xmin
    assert ymax > ymin


@given(
    st.lists(st.tuples(*[st.floats(-50, 250) | st.just(float("nan"))] * 4), max_size=6),
    st.sampled_from(["clip", "skip"]),
)
def test_cleaning_leaves_boxes_inside(boxes: list[tuple[float, float, float, float]], policy: str) -> None:
    """Whatever goes in: what comes out lies inside the image, and the rest is reported."""
    report = Report()
    record = Record("a.jpg", "a.jpg", 200, 100, [Box("cat", *corners) for corners in boxes])
    kept = clean(record, Rules(policy), report).boxes
    for box in kept:
        assert 0 <= box.x1 < box.x2 <= 200
        assert 0 <= box.y1 < box.y2 <= 100
    dropped = [issue for issue in report.issues if issue.action == "dropped"]
    assert len(kept) + len(dropped) == len(boxes)


def test_min_visible() -> None:
    """A box of which too little is in the image goes."""
    report = Report()
    boxes = [Box("cat", -30, 0, 10, 10), Box("cat", -10, 0, 30, 10)]
    kept = clean(Record("a.jpg", "a.jpg", 200, 100, boxes), Rules(min_visible=0.5), report).boxes
    assert [box.x2 for box in kept] == [30]
    assert report.counts == {"clipped": 2, "hidden": 1}


def test_min_size_text() -> None:
    """The option's forms."""
    assert parse_min_size("5") == (5, None)
    assert parse_min_size("2.5@416x320") == (2.5, (416, 320))
    with pytest.raises(DataError, match="0x416 is not a valid network size"):
        parse_min_size("5@0x416")


def test_report_limits() -> None:
    """Too many errors end the work; examples stay few; a sink takes the list's place."""
    report = Report(max_errors=1)
    report.add("parse", "one", "a.txt", 1)
    with pytest.raises(
        DataError, match=r"more than 1 errors; the last one: a\.txt:2: two \(parse, dropped\)"
    ):
        report.add("parse", "two", "a.txt", 2)
    sink = io.StringIO()
    report = Report(sink=lambda issue: sink.write(f"{issue.line};") and None)
    for line in range(5):
        report.add("clipped", "x", "a.txt", line)
    assert (sink.getvalue(), report.issues, len(report.examples["clipped"])) == ("0;1;2;3;4;", [], 3)
    assert str(report).startswith("clipped: 5\n  a.txt: x (clipped, dropped)\n")
