# SPDX-License-Identifier: Apache-2.0
"""Bad Darknet and YOLOv5 files, and archives: each fault is reported with its place, the rest is kept."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import pytest
from data_files import make_image, make_text, only

from pydarknet import data
from pydarknet.data import Dataset, Status
from pydarknet.data.archives import unpacked
from pydarknet.errors import DataError, RecordError


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
        ("0 0.5 0.5 0.1 0.1 0.9 0.9 0.9", "parse", "found 8 columns"),
        ("0.5 0.5 0.5 0.1 0.1", "parse", "found 5 columns"),
        ("cat 0.5 0.5 0.1 0.1", "parse", "expected numbers"),
        (" , ", "parse", "expected numbers"),
        ("inf 0.5 0.5 0.1 0.1", "parse", "expected 'class cx cy w h'"),
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
    """Repairable labels are kept, and reported."""
    dataset = darknet(tmp_path, line, lines="polygon")
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
    """Label files of Windows and other tools are read."""
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


def test_wild_class_without_names(tmp_path: Path) -> None:
    """Without names the largest number makes the number of classes; a wild one is not believed."""
    make_image(tmp_path / "a.png", 10, 10)
    make_text(tmp_path / "a.txt", "2 0.5 0.5 0.5 0.5\n999999999 0.5 0.5 0.5 0.5\n")
    dataset = data.read(tmp_path)
    assert dataset.names == ("0", "1", "2")
    assert only(dataset, "class-range").line == 2


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
    assert only(dataset, "two-labels").action == "first used"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train train.txt\n", r"obj\.data:1: expected 'key = value'"),
        (
            "classes = 3\ntrain = train.txt\nnames = obj.names\n",
            r"obj\.data:1: classes = 3, but .* has 2 names",
        ),
        ("train = nowhere.txt\n", r"obj\.data:1: train list nowhere\.txt is not there"),
        (
            "valid = train.txt\ndifficult = nowhere.txt\n",
            r"obj\.data:2: difficult list nowhere\.txt is not there",
        ),
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
        ("cat\ncat\n", "obj.names:2: duplicate class 'cat'"),
        ("", "is empty; expected one class name per line"),
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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: images\nnc: 3\nnames: [a, b]\n", "nc is 3, but there are 2 names"),
        ("train: images\nnames: {1: a, 2: b}\n", "keys 0 to 1; they start at 1, shift them by one"),
        ("train: images\nnames: [a, a]\n", "must be unique; duplicate: a"),
        ("train: images\nnames: {0: a, 0: b}\n", "duplicate key 0"),
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
