# SPDX-License-Identifier: Apache-2.0
"""``pydarknet data``: commands, their output and their errors."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import cv2
import pytest
import yaml
from click.testing import CliRunner, Result
from data_files import make_image, make_text
from data_sets import shapes, split_sizes

from pydarknet.cli import cli
from pydarknet.data import Dataset, ops, read, write
from pydarknet.engine.draw import class_colour
from pydarknet.errors import DarknetError, DataError


def run(*arguments: object) -> Result:
    """Run a command as ``cli.main`` does; errors of ours and broken assumptions both come out."""
    result = CliRunner().invoke(cli, ["data", *map(str, arguments)], standalone_mode=False)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture(scope="module")
def voc(tmp_path_factory) -> Path:
    return shapes().write_voc(tmp_path_factory.mktemp("voc"), 40)


@pytest.fixture(scope="module")
def darknet(tmp_path_factory) -> Path:
    return shapes().write_darknet(tmp_path_factory.mktemp("darknet"), 40).parent


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_both_generators_agree(voc, darknet):
    """The same shapes, written by hand in two formats, read as the same boxes within rounding."""
    by_name = {Path(s.name).stem: s for s in read(voc)}
    assert len(by_name) == 40
    names = read(voc).names
    for s in read(darknet):
        other = by_name[Path(s.name).stem]
        expected = {(names[c], *map(round, b)) for c, b in zip(other.classes, other.boxes, strict=True)}
        found = {(shapes().NAMES[c], *map(round, b)) for c, b in zip(s.classes, s.boxes, strict=True)}
        assert found == expected


def test_split_of_darknet_labels_writes_lists_only(darknet, tmp_path):
    before = content(darknet)
    result = run("split", darknet, "--ratios", "0.75,0.125,0.125", "--seed", 42, "--out", tmp_path / "s")
    assert result.return_value == 0
    assert sorted(p.name for p in (tmp_path / "s").iterdir()) == [
        "backup",
        "obj.data",
        "obj.names",
        "test.txt",
        "train.txt",
        "valid.txt",
    ]
    assert split_sizes(read(tmp_path / "s")) == {"train": 30, "val": 5, "test": 5}
    assert content(darknet) == before
    assert "images: 40 -> 40" in result.output


def test_split_of_other_labels_writes_a_darknet_set(voc, tmp_path):
    before = content(voc)
    run("split", voc, "--ratios", "0.8,0.2", "--stratify", "--out", tmp_path / "s")
    done = read(tmp_path / "s")
    assert split_sizes(done) == {"train": 32, "val": 8}
    assert ops.class_counts(done).total() == ops.class_counts(read(voc)).total()
    assert content(voc) == before
    with pytest.raises(
        DataError, match="the labels are not in Darknet's format, so lists alone are not enough"
    ):
        run("split", voc, "--ratios", "0.8,0.2", "--to", "lists", "--out", tmp_path / "l")


def test_split_into_folds(darknet, tmp_path):
    run("split", darknet, "--folds", 4, "--out", tmp_path / "f")
    validated = Counter(
        s.name for fold in (tmp_path / "f").iterdir() for s in read(fold / "obj.data").only("val")
    )
    assert len(validated) == 40
    assert set(validated.values()) == {1}
    shown = json.loads(run("split", darknet, "--folds", 4, "--json").output)
    assert [fold["images"] for fold in shown] == [{"train": 30, "val": 10}] * 4


def test_split_to_another_format(darknet, tmp_path):
    run("split", darknet, "--ratios", "0.5,0.5", "--to", "coco", "--out", tmp_path / "c")
    assert split_sizes(read(tmp_path / "c")) == {"train": 20, "val": 20}


def test_without_out_nothing_is_written(darknet, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("split", darknet, "--ratios", "0.5,0.5")
    assert "nothing is written without --out" in result.output
    assert list(tmp_path.iterdir()) == []


def test_json(darknet):
    found = json.loads(run("filter", darknet, "--drop-images", "count(square) > 1", "--json").output)
    assert sum(found["before"]["images"].values()) == 40
    assert found["after"]["classes"]["square"] < found["before"]["classes"]["square"]


def test_balance(darknet, tmp_path):
    counts = ops.class_counts(read(darknet).only("train"))
    run("balance", darknet, "--max-ratio", 1.5, "--out", tmp_path / "b")
    after = ops.class_counts(read(tmp_path / "b").only("train"))
    assert max(after.values()) / min(after.values()) < max(counts.values()) / min(counts.values())
    assert len(read(tmp_path / "b").only("val")) == 10


def test_balance_by_repeating(darknet, tmp_path):
    run("balance", darknet, "--how", "repeat", "--max-ratio", 1.2, "--out", tmp_path / "b")
    lines = (tmp_path / "b" / "train.txt").read_text().split()
    assert len(lines) > len(set(lines)) == 30
    with pytest.raises(DataError, match="can only be written as lists; use --to lists"):
        run("balance", darknet, "--how", "repeat", "--to", "voc", "--out", tmp_path / "v")


def test_filter_boxes_writes_new_labels(darknet, tmp_path):
    before = content(darknet)
    run("filter", darknet, "--drop-boxes", "label == 'disc'", "--keep-emptied", "--out", tmp_path / "f")
    done = read(tmp_path / "f")
    assert 1 not in ops.class_counts(done)
    assert len(done) == 40
    assert content(darknet) == before
    with pytest.raises(DataError, match="lists alone would refer to the old labels"):
        run("filter", darknet, "--drop-boxes", "label == 'disc'", "--to", "lists", "--out", tmp_path / "g")


def test_filter_by_network_size(darknet):
    """Shapes are at least 16 of 96 pixels: 8.7 px at 52 and 5.3 px at 32."""
    unchanged = json.loads(run("filter", darknet, "--min-size", "8@64x64", "--json").output)
    assert unchanged["before"] == unchanged["after"]
    strict = json.loads(run("filter", darknet, "--min-size", "8@32x32", "--json").output)
    assert strict["after"]["boxes"] < strict["before"]["boxes"]
    only = json.loads(
        run("filter", darknet, "--min-size", "99@32x32", "--min-size-splits", "val", "--json").output
    )
    assert only["after"]["images"]["train"] == only["before"]["images"]["train"]


def test_filter_duplicates(tmp_path):
    for name in "ab":
        make_text(make_image(tmp_path / "p" / f"{name}.png", 9, 9).with_suffix(".txt"), "0 0.5 0.5 0.5 0.5\n")
    found = json.loads(run("filter", tmp_path / "p", "--drop-duplicates", "exact", "--json").output)
    assert found["after"]["boxes"] == 1


def test_remap(darknet, tmp_path):
    run("remap", darknet, "--merge", "round=disc", "--map", "triangle=", "--out", tmp_path / "r")
    done = read(tmp_path / "r")
    assert done.names == ("square", "round")
    with pytest.raises(DataError, match="no class 'circle'"):
        run("remap", darknet, "--classes", "circle", "--out", tmp_path / "x")


def test_remap_ids_that_start_at_one(tmp_path):
    """The recipe of the help: a place holder for id 0, then only the real classes."""
    make_text(make_image(tmp_path / "p" / "x.png", 9, 9).with_suffix(".txt"), "2 0.5 0.5 0.5 0.5\n")
    run("remap", tmp_path / "p", "--names", "none,cat,dog", "--classes", "cat,dog", "--out", tmp_path / "q")
    assert next((tmp_path / "q").rglob("x.txt")).read_text().startswith("1 ")


def test_merge(darknet, voc, tmp_path):
    """Images of the same name in both sets are distinguished on demand."""
    run("merge", darknet, voc, "--rename", "hash", "--out", tmp_path / "m")
    done = read(tmp_path / "m")
    assert len(done) == 80
    assert set(done.names) == {"square", "disc", "triangle"}
    one = ops.class_counts(read(darknet))
    assert ops.class_counts(done) == {c: 2 * n for c, n in one.items()}


def test_merge_keeps_some_classes(darknet, voc, tmp_path):
    run("merge", darknet, voc, "--rename", "hash", "--classes", "disc,square", "--out", tmp_path / "m")
    done = read(tmp_path / "m")
    assert done.names == ("disc", "square")
    one = read(darknet)
    counts = ops.class_counts(one)
    assert ops.class_counts(done) == {
        number: 2 * counts[one.names.index(name)] for number, name in enumerate(done.names)
    }


def test_merge_drops_boxes_that_are_hardly_visible(darknet, tmp_path):
    """Of two boxes that leave the image, that with a tenth inside goes, that with nine tenths stays."""
    image = make_image(tmp_path / "voc" / "edge.png", 100, 100)
    objects = "".join(
        f"<object><name>disc</name><bndbox><xmin>{left}</xmin><ymin>11</ymin><xmax>{left + 99}</xmax>"
        "<ymax>50</ymax></bndbox></object>"
        for left in (91, 11)
    )
    make_text(
        image.with_suffix(".xml"),
        f"<annotation><filename>edge.png</filename><size><width>100</width><height>100</height></size>{objects}"
        "</annotation>",
    )
    result = run("merge", darknet, tmp_path / "voc", "--min-visible", "0.5", "--out", tmp_path / "m")
    (edge,) = [sample for sample in read(tmp_path / "m") if sample.image.name == "edge.png"]
    assert edge.boxes.round(1).tolist() == [[11, 11, 100, 50]]
    assert "hidden" in result.stderr
    with pytest.raises(DataError, match=r"min_visible must lie in 0…1, not 2"):
        run("merge", darknet, "--min-visible", "2", "--out", tmp_path / "n")


def test_merge_reports_collisions(darknet, voc, tmp_path):
    result = run("merge", darknet, voc, "--out", tmp_path / "m")
    assert result.return_value == 1
    assert "name-collision: 40" in result.stderr


def test_new_beside_labels(tmp_path):
    for i in range(10):
        make_text(make_image(tmp_path / "p" / f"{i}.jpg", 9, 9).with_suffix(".txt"), "0 0.5 0.5 0.5 0.5\n")
    result = run("new", tmp_path / "p", "--names", "cat", "--ratios", "0.8,0.2", "--yaml")
    assert result.return_value == 0
    assert split_sizes(read(tmp_path / "p" / "obj.data")) == {"train": 8, "val": 2}
    content_ = yaml.safe_load((tmp_path / "p" / "data.yaml").read_text())
    assert content_["val"] == str(tmp_path / "p" / "valid.txt")


def test_new_from_other_labels(voc, tmp_path):
    with pytest.raises(DataError, match=r"the labels are not in Darknet's format; give a folder .* --out"):
        run("new", voc)
    run("new", voc, "--out", tmp_path / "n", "--yaml")
    done = read(tmp_path / "n" / "obj.data")
    assert split_sizes(done) == {"train": 30, "val": 10}
    assert all(s.image.is_relative_to(tmp_path / "n") for s in done)


def test_new_from_yolov5(darknet, tmp_path):
    """A yaml with relative paths gets lists and a yaml with absolute ones; no label is written again."""
    write(read(darknet), tmp_path / "y", format="yolov5")
    before = content(tmp_path / "y")
    run("new", tmp_path / "y" / "data.yaml", "--out", tmp_path / "lists", "--yaml")
    assert content(tmp_path / "y") == before
    assert split_sizes(read(tmp_path / "lists" / "obj.data")) == {"train": 30, "val": 10}
    made = yaml.safe_load((tmp_path / "lists" / "data.yaml").read_text())
    assert all(Path(made[split]).is_absolute() for split in ("train", "val"))
    assert made["names"] == ["square", "disc", "triangle"]


def test_stats(darknet, tmp_path):
    result = run("stats", darknet, "--out", tmp_path / "s", "--images", "--duplicates", "near")
    assert result.return_value == 0
    assert sorted(p.name for p in (tmp_path / "s").iterdir()) == ["images.png", "labels.png", "stats.json"]
    stored = json.loads((tmp_path / "s" / "stats.json").read_text())
    truth = Counter(kind for _, found in shapes().images(40, 96, 0) for kind, *_ in found)
    assert [c["boxes"] for c in stored["classes"]] == [truth[0], truth[1], truth[2]]
    assert stored["counters_per_class"] == f"{truth[0]},{truth[1]},{truth[2]}"
    assert {remark["code"] for remark in stored["advice"]} >= {"few"}
    assert "image width: 96 to 96" in result.output
    assert f"counters_per_class={stored['counters_per_class']}" in result.output


def test_stats_of_many_classes(tmp_path):
    """A thousand classes do not fill the screen; JSON has them all."""
    make_text(make_image(tmp_path / "x.png", 9, 9).with_suffix(".txt"), "99 0.5 0.5 0.5 0.5\n")
    names = ",".join(f"c{i}" for i in range(100))
    assert "and 50 more classes" in run("stats", tmp_path, "--names", names).output
    assert len(json.loads(run("stats", tmp_path, "--names", names, "--json").output)["classes"]) == 100


def test_stats_at_sizes(darknet):
    found = json.loads(run("stats", darknet, "--size", "96", "--size", "64x32", "--json").output)
    assert [(n["width"], n["height"]) for n in found["networks"]] == [(96, 96), (64, 32)]
    with pytest.raises(DataError, match="418 is not, 416 and 448 are"):
        run("stats", darknet, "--size", "418")
    assert_usage("--size big: expected 416 or 640x352", "stats", darknet, "--size", "big")


def assert_usage(message: str, *arguments: object) -> None:
    result = CliRunner().invoke(cli, ["data", *map(str, arguments)])
    assert result.exit_code == 2
    assert message in result.output


def test_view_saves_pictures(darknet, tmp_path):
    """Five images, whose box corners have the colour of their class."""
    alone = ops.drop_images(read(darknet), "boxes != 1")  # captions may cover corners of neighbours
    write(alone, tmp_path / "ds")
    run("view", tmp_path / "ds", "--save", tmp_path / "v", "--number", 5, "--only", "square")
    pictures = sorted((tmp_path / "v").iterdir())
    assert len(pictures) == 5
    chosen = list(ops.only_class(read(tmp_path / "ds"), "square"))[:5]
    for path, sample in zip(pictures, chosen, strict=True):
        picture = cv2.imread(str(path))
        for x1, y1, x2, y2 in sample.boxes.round().astype(int).tolist():
            for x, y in ((x1, y1), (x2 - 1, y1), (x1, y2 - 1), (x2 - 1, y2 - 1)):
                assert picture[y, x].tolist() == list(class_colour(0))


def test_view_sheet(darknet, tmp_path):
    run("view", darknet, "--sheet", tmp_path / "a.png", "--seed", 1, "--number", 6, "--columns", 3)
    assert cv2.imread(str(tmp_path / "a.png")).shape[1] == 3 * 320
    run("view", darknet, "--sheet", tmp_path / "b.png", "--seed", 2, "--number", 6, "--columns", 3)
    run("view", darknet, "--sheet", tmp_path / "c.png", "--seed", 2, "--number", 6, "--no-captions")
    assert len({(tmp_path / name).read_bytes() for name in ("a.png", "b.png", "c.png")}) == 3


def test_view_needs_a_place(darknet):
    assert_usage("expected --save FOLDER, --sheet FILE or --show", "view", darknet)
    with pytest.raises(DataError, match="no split 'vall'; there are: train, val"):
        run("view", darknet, "--sheet", "x.png", "--split", "vall")


def test_view_without_windows(darknet, monkeypatch):
    """A headless OpenCV is distinguished from a broken image."""

    def refuse(*_: object) -> None:
        raise cv2.error("The function is not implemented")

    monkeypatch.setattr(cv2, "imshow", refuse)
    with pytest.raises(DarknetError, match=r"cannot open windows .* use --save or --sheet"):
        run("view", darknet, "--show")


def test_view_keys(darknet, monkeypatch):
    """n shows the next image, p the previous one, q quits."""
    shown, keys = [], iter([ord("n"), ord("n"), ord("p"), ord(" "), ord("q")])
    monkeypatch.setattr(cv2, "imshow", lambda _, picture: shown.append(picture.tobytes()))
    monkeypatch.setattr(cv2, "waitKey", lambda _: next(keys))
    monkeypatch.setattr(cv2, "destroyAllWindows", lambda: None)
    run("view", darknet, "--show")
    first, second, third, again, fourth = shown
    assert again == second
    assert fourth == third
    assert len({first, second, third}) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["split"], "give either --ratios or --folds"),
        (["split", "--ratios", "0.8,0.2", "--folds", "3"], "give either --ratios or --folds"),
        (["split", "--ratios", "most"], "--ratios most: expected numbers such as 0.8,0.2"),
        (["stats", "--set", "labels"], "--set labels: expected KEY=VALUE"),
    ],
)
def test_wrong_usage(darknet, arguments, message):
    assert_usage(message, arguments[0], darknet, *arguments[1:])


def test_occupied_folders_are_refused(voc, tmp_path):
    make_text(tmp_path / "full" / "notes.txt", "mine")
    with pytest.raises(DataError, match="is not empty"):
        run("split", voc, "--ratios", "0.5,0.5", "--out", tmp_path / "full")
    assert (tmp_path / "full" / "notes.txt").read_text() == "mine"


def test_lost_records_are_no_success(tmp_path):
    """A label with a class out of range is lost: reported on stderr, exit code 1."""
    image = make_image(tmp_path / "p" / "x.png", 9, 9)
    make_text(image.with_suffix(".txt"), "7 0.5 0.5 0.5 0.5\n0 0.5 0.5 0.5 0.5\n")
    for command in (["stats"], ["view", "--sheet", tmp_path / "sheet.png"], ["new"], ["filter"]):
        result = run(command[0], tmp_path / "p", "--names", "a,b", *command[1:])
        assert result.return_value == 1
        assert "x.txt:1: class 7" in result.stderr


def test_every_command_has_examples():
    listed = CliRunner().invoke(cli, ["data", "--help"]).output
    for name in ("new", "split", "balance", "filter", "remap", "merge", "stats", "view"):
        assert name in listed
        text = CliRunner().invoke(cli, ["data", name, "--help"]).output
        assert f"pydarknet data {name}" in text


def test_blood_cells_from_labels_to_lists(bccd, tmp_path):
    """convert, stats, view, split on real data."""
    converted = CliRunner().invoke(cli, ["convert", str(bccd), "--out", str(tmp_path / "ds")])
    assert converted.exit_code == 0
    run("stats", tmp_path / "ds", "--out", tmp_path / "stats")
    run("view", tmp_path / "ds", "--sheet", tmp_path / "sheet.png")
    run("split", tmp_path / "ds", "--ratios", "0.8,0.2", "--stratify", "--out", tmp_path / "s")
    done: Dataset = read(tmp_path / "s" / "obj.data")
    assert split_sizes(done) == {"train": 291, "val": 73}
    shares = {c: n / ops.class_counts(done)[c] for c, n in ops.class_counts(done.only("val")).items()}
    assert all(0.15 < share < 0.25 for share in shares.values())
