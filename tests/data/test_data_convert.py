# SPDX-License-Identifier: Apache-2.0
"""Conversions as a whole: selection, links, resuming, reports, and what a user sees of it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from data_files import make_image, make_text

from pydarknet import data
from pydarknet.data import Flag, executors, journal
from pydarknet.data.classes import ClassPlan, parse_renames
from pydarknet.data.convert import ConvertJob, ConvertResult, convert
from pydarknet.data.output import Output
from pydarknet.data.records import ReadOptions, Rules, parse_splits
from pydarknet.errors import DataError, RecordError

XML = """<annotation><filename>{name}</filename><source><database>ILSVRC_2012</database></source>
<size><width>{width}</width><height>100</height></size>{objects}</annotation>"""
CORNERS = "<xmin>10</xmin><ymin>10</ymin><xmax>{}</xmax><ymax>49</ymax>"
OBJECT = f"<object><name>{{}}</name><bndbox>{CORNERS}</bndbox></object>"


def run(source: Path, out: Path, *, output: dict[str, Any] | None = None, **job: Any) -> ConvertResult:
    """Convert with the given parts of the job."""
    return convert(ConvertJob(source, **job), Output(out, **(output or {})))


def labels(out: Path) -> dict[str, str]:
    """Every label file below a folder."""
    lists = ("train.txt", "valid.txt", "test.txt")
    files = sorted(file for file in out.rglob("*.txt") if file.name not in lists)
    return {str(file.relative_to(out)): file.read_text() for file in files}


@pytest.fixture
def ilsvrc(tmp_path: Path) -> Path:
    """Three synsets; one training image without XML, and all the dirt of the real set."""
    root = tmp_path / "imagenet"
    ids = {"n01": "tench, Tinca tinca", "n02": "crane", "n03": "crane"}
    make_text(root / "LOC_synset_mapping.txt", "".join(f"{k} {v}\n" for k, v in ids.items()))

    def add(split: str, name: str, objects: Iterable[str], width: int = 100, filename: str = "") -> None:
        make_image(root / f"ILSVRC/Data/CLS-LOC/{split}/{name}.JPEG", 100, 100)
        text = XML.format(name=filename or name, width=width, objects="".join(objects))
        make_text(root / f"ILSVRC/Annotations/CLS-LOC/{split}/{name}.xml", text)

    add("train", "n01/n01_1", [OBJECT.format("n01", 49)])
    add("train", "n01/n01_2", [OBJECT.format("n01", 49), OBJECT.format("n02", 89)])
    add(
        "train", "n02/n02_1", [OBJECT.format("n02", 249)], width=200, filename="%s"
    )  # beyond its own 200 pixels
    add("train", "n03/n03_1", [OBJECT.format("Scottish_deerhound", 49)])
    make_image(root / "ILSVRC/Data/CLS-LOC/train/n01/n01_3.JPEG", 100, 100)
    add("val", "ILSVRC2012_val_00000001", [OBJECT.format("n03", 49)])
    add("val", "ILSVRC2012_val_00000002", [OBJECT.format("n01", 49)])
    make_text(root / "ILSVRC/ImageSets/CLS-LOC/train_cls.txt", "n01/n01_1 1\nn01/n01_3 2\nn02/n02_1 3\n")
    make_text(root / "ILSVRC/ImageSets/CLS-LOC/val.txt", "ILSVRC2012_val_00000002 1\n")
    return root


def test_ilsvrc(ilsvrc: Path, tmp_path: Path) -> None:
    """Both trees; the image without XML is left out and reported; repeated names are distinguished."""
    result = run(ilsvrc, tmp_path / "ds")
    assert result.names == ("tench", "crane", "crane_2")
    assert result.images == {"annotated": 6, "unlabelled": 1, "written": 6}
    found = labels(tmp_path / "ds")
    assert sorted(found) == [
        "train/n01/n01_1.txt",
        "train/n01/n01_2.txt",
        "train/n02/n02_1.txt",
        "train/n03/n03_1.txt",
        "val/ILSVRC2012_val_00000001.txt",
        "val/ILSVRC2012_val_00000002.txt",
    ]
    assert found["train/n01/n01_1.txt"] == "0 0.300000 0.300000 0.400000 0.400000\n"
    assert (
        found["train/n02/n02_1.txt"] == "1 0.525000 0.300000 0.950000 0.400000\n"
    )  # scaled by 100/200, clipped
    assert found["train/n03/n03_1.txt"].startswith("2 ")  # the folder's class
    counts = result.report.counts
    assert (
        counts["size-mismatch"] == counts["clipped"] == counts["missing-label"] == counts["unlabelled"] == 1
    )
    assert not any((tmp_path / "ds").rglob("n01_3*"))


def test_ilsvrc_negatives(ilsvrc: Path, tmp_path: Path) -> None:
    """Unlabelled images become empty ones only when asked for."""
    result = run(ilsvrc, tmp_path / "ds", output={"unlabelled": "negatives"})
    assert labels(tmp_path / "ds")["train/n01/n01_3.txt"] == ""
    assert result.report.examples["unlabelled"][0].action == "written as empty"


def test_ilsvrc_lists(ilsvrc: Path, tmp_path: Path) -> None:
    """The lists may say which images there are; their running number is no class."""
    result = run(ilsvrc, tmp_path / "ds", options=ReadOptions(settings={"lists": "yes"}))
    assert result.images == {"annotated": 3, "unlabelled": 1, "written": 3}


def test_top_classes(ilsvrc: Path, tmp_path: Path) -> None:
    """The most frequent classes, numbered densely; images of other classes only are left out, not emptied."""
    result = run(ilsvrc, tmp_path / "ds", classes=ClassPlan(top=1))
    assert result.names == ("tench",)
    assert sorted(labels(tmp_path / "ds")) == [
        "train/n01/n01_1.txt",
        "train/n01/n01_2.txt",
        "val/ILSVRC2012_val_00000002.txt",
    ]
    assert result.deselected == {"crane": 2, "crane_2": 2}
    assert result.report.counts["emptied"] == 3
    two = run(ilsvrc, tmp_path / "two", classes=ClassPlan(top=2))
    assert two.names == ("tench", "crane")


def test_merge_and_map(ilsvrc: Path, tmp_path: Path) -> None:
    """Merged classes keep their boxes; a class mapped to nothing is gone."""
    whole = run(ilsvrc, tmp_path / "whole")
    merged = run(ilsvrc, tmp_path / "merged", classes=ClassPlan(parse_renames(merges=["bird=crane,crane_2"])))
    assert merged.names == ("tench", "bird")
    assert merged.boxes["written"] == whole.boxes["written"]
    dropped = run(ilsvrc, tmp_path / "dropped", classes=ClassPlan(parse_renames(["crane=", "tench=fish"])))
    assert dropped.names == ("fish", "crane_2")
    assert dropped.deselected == {"crane": 2}


def test_unknown_classes(ilsvrc: Path, tmp_path: Path) -> None:
    """Names are found in any case; unknown ones are refused with close matches."""
    assert run(ilsvrc, tmp_path / "a", classes=ClassPlan(keep=("TENCH",))).names == ("tench",)
    with pytest.raises(DataError, match="no class 'crame': did you mean 'crane'"):
        run(ilsvrc, tmp_path / "b", classes=ClassPlan(keep=("crame",)))
    with pytest.raises(DataError, match="cannot rename class 'tenhc': did you mean 'tench'"):
        run(ilsvrc, tmp_path / "c", classes=ClassPlan({"tenhc": "x"}))


def test_limit_per_class(tools: Path, tmp_path: Path) -> None:
    """No class is in more images than asked for, and every class is there; the seed decides which."""
    chosen = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(tools, tmp_path / name, limit=5, seed=seed)
        dataset = data.read(tmp_path / name)
        counts = [sum(i in sample.classes for sample in dataset) for i in range(3)]
        assert counts == [5, 5, 4]
        chosen.append(sorted(sample.name for sample in dataset))
    assert chosen[0] == chosen[1] != chosen[2]


@pytest.mark.parametrize(("network", "left"), [((416, 416), 40 + 4), ((80, 80), 4), (None, 40 + 4)])
def test_min_size(tools: Path, tmp_path: Path, network: tuple[int, int] | None, left: int) -> None:
    """12x8 pixels are 25x33 in a network of 416, and 4.8x6.4 in one of 80."""
    result = run(tools, tmp_path / "ds", rules=Rules(min_size=5, network=network))
    assert result.boxes["written"] == left
    assert result.report.counts["too-small"] == 44 - left


def digests(root: Path) -> dict[Path, str]:
    return {file: hashlib.sha256(file.read_bytes()).hexdigest() for file in root.rglob("*") if file.is_file()}


@pytest.mark.parametrize("link", ["hard", "sym", "copy"])
def test_links(tools: Path, tmp_path: Path, link: str) -> None:
    """However the images get there: the source is untouched, and the result is the same."""
    before = digests(tools)
    run(tools, tmp_path / "ds", output={"link": link})
    assert digests(tools) == before
    image = tmp_path / "ds/train/7.png"
    assert image.is_symlink() == (link == "sym")
    assert (image.stat().st_ino == (tools / "7.png").stat().st_ino) == (link != "copy")
    entries = (tmp_path / "ds/train.txt").read_text().splitlines()
    assert len(entries) == 40
    assert all(Path(entry).is_absolute() and Path(entry).is_file() for entry in entries)


def test_labels_beside_the_source(ilsvrc: Path, tmp_path: Path) -> None:
    """Without links labels go where Darknet looks, beside the images; other labels there stay."""
    run(ilsvrc, tmp_path / "ds", output={"link": "none"})
    source = ilsvrc / "ILSVRC/Data/CLS-LOC/train/n01"
    assert (source / "n01_1.txt").read_text() == "0 0.300000 0.300000 0.400000 0.400000\n"
    assert not (source / "n01_3.txt").exists()
    assert len((tmp_path / "ds/train.txt").read_text().splitlines()) == 4
    with pytest.raises(DataError, match=r"n01_1\.txt exists with other content"):
        run(ilsvrc, tmp_path / "other", output={"link": "none"}, options=ReadOptions(coords="edge"))


@pytest.mark.parametrize(
    ("rename", "names"), [(None, ["a.png"]), ("prefix", ["a.png", "y_a.png"]), ("hash", None)]
)
def test_name_collision(tmp_path: Path, rename: str | None, names: list[str] | None) -> None:
    """Two images of one name: the second is refused with advice, or renamed."""
    for folder in "xy":
        make_image(tmp_path / folder / "a.png", 10, 10)
        make_text(tmp_path / folder / "a.txt", "0 0.5 0.5 0.5 0.5\n")
    make_text(tmp_path / "train.txt", "x/a.png\ny/a.png\n")
    result = run(tmp_path / "train.txt", tmp_path / "ds", output={"rename": rename})
    found = sorted(file.name for file in (tmp_path / "ds").rglob("*.png"))
    assert len(found) == (1 if rename is None else 2)
    assert names is None or found == names
    issue = result.report.examples["name-collision" if rename is None else "renamed"][0]
    assert ("--rename prefix" in issue.message) == (rename is None)


def test_dots_in_names(tmp_path: Path) -> None:
    """The stem ends at the last dot."""
    make_image(tmp_path / "in/a.b.c.png", 10, 10)
    make_text(tmp_path / "in/a.b.c.txt", "0 0.5 0.5 0.5 0.5\n")
    run(tmp_path / "in", tmp_path / "ds")
    assert list(labels(tmp_path / "ds")) == ["train/a.b.c.txt"]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("keep", {"val/a.txt": 1, "val/a.ignore.txt": 1}),
        (
            "difficult",
            {"val/a.txt": 1, "val/a.ignore.txt": 1, "val/difficult_a.txt": 1, "difficult_valid.txt": 1},
        ),
        ("drop", {"val/a.txt": 1}),
        ("box", {"val/a.txt": 2}),
    ],
)
def test_ignore_policies(tmp_path: Path, policy: str, expected: dict[str, int]) -> None:
    """A crowd in Darknet's files."""
    make_image(tmp_path / "in/val/a.png", 100, 100)
    make_text(tmp_path / "in/val/a.txt", "0 0.5 0.5 0.5 0.5\n")
    make_text(tmp_path / "in/val/a.ignore.txt", "0 0.2 0.2 0.2 0.2\n")
    result = run(tmp_path / "in", tmp_path / "ds", output={"ignore": policy})
    assert result.report.counts["lost-flag"] == (policy == "drop")
    found = {name: len(text.splitlines()) for name, text in labels(tmp_path / "ds").items()}
    assert found == expected
    if policy == "difficult":
        assert f"difficult = {tmp_path}/ds/difficult_valid.txt" in (tmp_path / "ds/obj.data").read_text()
        (sample,) = data.read(tmp_path / "ds/obj.data")  # in two side files, but there once
        assert [Flag(int(flag)) for flag in sample.flags] == [Flag(0), Flag.IGNORE]
        (tmp_path / "ds/val/a.ignore.txt").unlink()
        (sample,) = data.read(tmp_path / "ds/obj.data")
        assert [Flag(int(flag)) for flag in sample.flags] == [Flag(0), Flag.DIFFICULT]
        make_text(tmp_path / "ds/difficult_valid.txt", "difficult_a.png\ndifficult_b.png\n")
        with pytest.raises(
            DataError, match=r"difficult_valid.txt: 2 images, but .*valid.txt has 1; they belong"
        ):
            data.read(tmp_path / "ds/obj.data")


def test_fill_blurs_a_copy(tmp_path: Path) -> None:
    """Ignored boxes are blurred in the copy; targets, the rest and the source keep their pixels."""
    pixels = np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8)
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in/a.png"), pixels)
    make_text(tmp_path / "in/a.txt", "0 0.5 0.5 0.2 0.2\n")
    make_text(tmp_path / "in/a.ignore.txt", "-1 0.3 0.3 0.6 0.6\n")
    before = digests(tmp_path / "in")
    run(tmp_path / "in", tmp_path / "ds", output={"ignore": "fill"})
    assert digests(tmp_path / "in") == before
    assert list(labels(tmp_path / "ds")) == ["train/a.txt"]
    result = cv2.imread(str(tmp_path / "ds/train/a.png"))
    changed = (result != pixels).any(axis=2)
    assert changed[:40, :40].mean() > 0.9
    assert result[:40, :40].std() < pixels[:40, :40].std() / 2
    assert not changed[40:60, 40:60].any()
    assert not changed[60:, 60:].any()
    with pytest.raises(DataError, match="ignore=fill changes images, so it needs a folder"):
        Output(tmp_path / "x", link="none", ignore="fill")


def test_min_size_of_some_splits(tmp_path: Path) -> None:
    """Small boxes may go from training and stay in validation."""
    for split in ("train", "val"):
        make_image(tmp_path / f"in/{split}/a.png", 100, 100)
        make_text(tmp_path / f"in/{split}/a.txt", "0 0.5 0.5 0.2 0.2\n0 0.5 0.5 0.02 0.02\n")
    run(tmp_path / "in", tmp_path / "ds", rules=Rules(min_size=5, splits=parse_splits("train")))
    found = {name: len(text.splitlines()) for name, text in labels(tmp_path / "ds").items()}
    assert found == {"train/a.txt": 1, "val/a.txt": 2}
    with pytest.raises(DataError, match="expected some of train, val and test, not 'trian'"):
        parse_splits("trian")


def test_parallel_is_the_same(tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes and many small chunks give the same files as one."""
    monkeypatch.setattr(journal, "CHUNK_UNITS", 7)
    trees = []
    for name, jobs in (("one", 1), ("two", 2)):
        convert(ConvertJob(tools), Output(tmp_path / name), jobs=jobs)
        trees.append({k.replace(str(tmp_path / name), ""): v for k, v in labels(tmp_path / name).items()})
    assert trees[0] == trees[1]


def test_resume(tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupted conversion resumes with the chunks it has, unless their files have changed since."""
    monkeypatch.setattr(journal, "CHUNK_UNITS", 8)
    parsed: list[int] = []

    def engine(work: Callable[[Any], Any], chunks: Iterable[Any], jobs: int) -> Iterator[Any]:
        for chunk in chunks:
            if len(parsed) == 3:
                parsed.append(-1)
                raise KeyboardInterrupt
            parsed.append(chunk[0])
            yield work(chunk)

    job, out = ConvertJob(tools), Output(tmp_path / "ds")
    with pytest.raises(KeyboardInterrupt):
        convert(job, out, engine=engine)
    assert not (tmp_path / "ds/obj.data").exists()
    later = (tmp_path / "ds/.convert/00000001.chunk").stat().st_mtime + 5
    os.utime(tools / "9.txt", (later, later))  # natural order: 9.txt is in the second chunk of eight
    result = convert(job, Output(tmp_path / "ds"), engine=engine)
    assert parsed == [0, 1, 2, -1, 1, 3, 4]
    assert result.images["written"] == 40
    run(tools, tmp_path / "fresh")
    assert labels(tmp_path / "ds") == labels(tmp_path / "fresh")
    assert not (tmp_path / "ds/.convert").exists()


def test_interrupted_while_writing(tools: Path, tmp_path: Path) -> None:
    """Lists appear only when everything is there; the next run completes them."""

    def stop(stage: str, done: int, total: int | None) -> None:
        if stage == "write":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(ConvertJob(tools), Output(tmp_path / "ds"), progress=stop)
    assert labels(tmp_path / "ds")
    assert not (tmp_path / "ds/train.txt").exists()
    assert not list((tmp_path / "ds").rglob("*.tmp"))
    convert(ConvertJob(tools), Output(tmp_path / "ds"))
    assert len((tmp_path / "ds/train.txt").read_text().splitlines()) == 40


def test_occupied_target(tools: Path, tmp_path: Path) -> None:
    """Nothing is written over unless allowed, and then no image is replaced by another."""
    make_text(tmp_path / "ds/precious.txt", "x")
    with pytest.raises(DataError, match=r"ds is not empty; choose another path"):
        run(tools, tmp_path / "ds")
    make_image(tmp_path / "ds/train/7.png", 3, 3)
    with pytest.raises(DataError, match=r"7\.png exists and is another file"):
        convert(ConvertJob(tools), Output(tmp_path / "ds"), overwrite=True)
    assert (tmp_path / "ds/precious.txt").read_text() == "x"


def test_raise_writes_nothing(tools: Path, tmp_path: Path) -> None:
    """With raise the first fault ends it, before anything is written."""
    make_text(tools / "3.txt", "0 0.99 0.5 0.1 0.1\n")
    with pytest.raises(RecordError, match=r"3\.txt:1: hammer .* leaves"):
        run(tools, tmp_path / "ds", rules=Rules("raise"))
    assert not (tmp_path / "ds").exists()


def test_report_lists_everything(tools: Path, tmp_path: Path) -> None:
    """The JSON holds counts and every single issue with its place."""
    make_text(tools / "3.txt", "0 0.99 0.5 0.1 0.1\n7 0.5 0.5 0.1 0.1\n")
    result = run(tools, tmp_path / "ds")
    report = json.loads(result.report_file.read_text())
    assert report["counts"] == {"clipped": 1, "class-range": 1}
    assert report["images"] == {"annotated": 40, "written": 40}
    assert sorted((Path(i["file"]).name, i["line"], i["action"]) for i in report["issues"]) == [
        ("3.txt", 1, "clipped"),
        ("3.txt", 2, "dropped"),
    ]


def test_archive_is_converted(tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ZIP goes in like a folder."""
    import shutil

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    archive = shutil.make_archive(str(tmp_path / "tools"), "zip", tools)
    assert run(Path(archive), tmp_path / "ds").images["written"] == 40


def test_engines_keep_order() -> None:
    """Results come in the order of the chunks, from worker processes too."""
    assert list(executors.local(abs, iter(range(-20, 0)), 2)) == list(range(20, 0, -1))


def test_single_file(tools: Path, tmp_path: Path) -> None:
    """A target with an extension is one file for all splits; images stay, and the report stands beside it."""
    result = run(tools, tmp_path / "out/labels.csv", to="csv")
    assert sorted(entry.name for entry in (tmp_path / "out").iterdir()) == [
        "labels.csv",
        "labels.csv.convert_report.json",
    ]
    assert result.report_file.is_file()
    assert data.read(tmp_path / "out/labels.csv", images=tools).box_count == 44
    with pytest.raises(DataError, match=r"labels\.csv is not empty"):
        run(tools, tmp_path / "out/labels.csv", to="csv")


def test_other_options_start_again(tools: Path, tmp_path: Path) -> None:
    """Chunks parsed with other options are not used; a folder with nothing else in it may be used."""

    def stop(stage: str, done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(ConvertJob(tools), Output(tmp_path / "ds"), progress=stop)
    assert [entry.name for entry in (tmp_path / "ds").iterdir()] == [".convert"]
    result = run(tools, tmp_path / "ds", rules=Rules(min_size=10))
    assert result.boxes["written"] == 4


def test_target_inside_the_source(tools: Path) -> None:
    """A conversion does not find its own output, neither when it resumes nor the next time."""

    def stop(stage: str, done: int, total: int | None) -> None:
        if stage == "write":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(ConvertJob(tools), Output(tools / "ds"), progress=stop)
    assert convert(ConvertJob(tools), Output(tools / "ds")).images["written"] == 40
    assert run(tools, tools / "again").images["written"] == 40
    assert len(data.read(tools / "ds")) == 40
