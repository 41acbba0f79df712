# SPDX-License-Identifier: Apache-2.0
"""COCO: one JSON per split with ``images``, ``annotations`` and ``categories``.

Boxes are left, top, width, height in float pixels. Category ids have gaps; the class index is the rank of
the id. The file is streamed: memory holds one small row per annotation and none of its polygons.
Format: https://cocodataset.org/#format-data
"""

from __future__ import annotations

import functools
import json
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pydarknet.data.dataset import SET_ASIDE, Flag, Sample, Status, flag_names, flags_from
from pydarknet.data.formats._common import (
    ImageFinder,
    choice,
    size_of,
    split_images,
    unique_names,
)
from pydarknet.data.formats._jsonstream import JsonStream
from pydarknet.data.formats._shapes import envelope
from pydarknet.data.issues import Report
from pydarknet.data.output import Output
from pydarknet.data.paths import split_of
from pydarknet.data.records import Box, LabelSource, ReadOptions, Record
from pydarknet.errors import DataError, RecordError

SETTINGS = {
    "bbox": "the four numbers: xywh (default) or xyxy, which some writers put there by mistake",
    "categories": "id (default): files share one table of categories; name: each has its own, joined by name",
}

_Row = tuple[str, float, float, float, float, int, float | None, int]
_Unit = tuple[str, str, tuple[int, int] | None, str, list[_Row], bool]


def sniff(path: Path) -> bool:
    """A JSON object with ``images`` and ``annotations`` or ``categories`` at the top, or a folder with such
    files."""
    return any(map(_is_coco, _files(path)))


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if path.suffix.lower() == ".json" else []
    folders = [path / "annotations", path, *sorted(entry for entry in path.iterdir() if entry.is_dir())]
    for pattern in ("instances_*.json", "_annotations.coco.json", "*.json"):
        found = [file for folder in folders if folder.is_dir() for file in sorted(folder.glob(pattern))]
        found = [file for file in dict.fromkeys(found) if _is_coco(file)]
        if found:
            return found
    return []


def _is_coco(file: Path) -> bool:
    """Judged by the first image or annotation, so that a large file is not read through."""
    keys = set()
    try:
        for key, value in JsonStream(file):
            if key == "images":
                return isinstance(value, dict) and "file_name" in value
            if (
                key == "annotations"
                and isinstance(value, dict)
                and {"image_id", "category_id"} <= value.keys()
            ):
                return True
            keys.add(key)
    except RecordError:
        return False
    return {"annotations", "categories"} <= keys


_LARGEST_ID = (1 << 63) - 1


@dataclass
class _Table:
    """One file's annotations as columns, its images, and the ids of those that lost an annotation."""

    path: Path
    images: dict[str, tuple[str, tuple[int, int] | None]] = field(default_factory=dict)
    categories: dict[int, str] = field(default_factory=dict)
    image_ids: dict[str, int] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    image: array[int] = field(default_factory=lambda: array("q"))
    category: array[int] = field(default_factory=lambda: array("q"))
    boxes: array[float] = field(default_factory=lambda: array("d"))
    flags: array[int] = field(default_factory=lambda: array("B"))
    scores: array[float] = field(default_factory=lambda: array("d"))
    records: array[int] = field(default_factory=lambda: array("q"))


def read(path: Path, options: ReadOptions, report: Report) -> LabelSource:
    """A JSON file, or a folder with one per split (``annotations/instances_<split>.json`` and the like)."""
    corners = choice(options, "bbox", "xywh", "xyxy") == "xyxy"
    files = _files(path)
    if not files:
        raise DataError(f"{path}: no COCO annotation file there")
    tables = [_load(file, report) for file in files]
    if not corners:
        for table in tables:
            _refuse_corners(table)
    names = _class_names(tables, choice(options, "categories", "id", "name") == "name", path, report)
    splits = {table.path: _split(table.path) for table in tables}
    units = functools.partial(_units, tables, names, splits, corners, report)
    images = {str(path): split_images(options, path.parent, split) for path, split in splits.items()}
    parse = functools.partial(_parse, images=images)
    return LabelSource(units, parse, tuple(dict.fromkeys(n for known in names for n in known.values())))


def _class_names(tables: list[_Table], by_name: bool, path: Path, report: Report) -> list[dict[int, str]]:
    """Category id → class name for each file, in class order.

    Raises:
        DataError: if an id has two names, unless categories are joined by name.
    """
    if by_name:
        return [{key: table.categories[key] for key in sorted(table.categories)} for table in tables]
    categories: dict[int, str] = {}
    for table in tables:
        for key, name in table.categories.items():
            if categories.setdefault(key, name) != name:
                text = f"category {key} is {name!r}, elsewhere it is {categories[key]!r}"
                raise DataError(f"{table.path}: {text}; if each file has its own table, set categories=name")
    ids = sorted(categories)
    names = dict(zip(ids, unique_names((categories[key] for key in ids), path, report), strict=True))
    return [names] * len(tables)


def numbers(path: Path) -> tuple[dict[str, int], dict[str, int]]:
    """The ids that a data set in this format has: of each image by its file's name, of each category by its
    name.  Images whose ids are not numbers are left out."""
    images: dict[str, int] = {}
    categories: dict[str, int] = {}
    for file in _files(path):
        table = _load(file, Report())
        images |= {Path(name).name: int(key) for key, (name, _) in table.images.items() if key.isdigit()}
        categories |= {name: key for key, name in table.categories.items()}
    return images, categories


def _split(path: Path) -> str:
    words = path.stem.replace("2017", "").replace("2014", "").replace("-", "_").split("_")
    return next((s for s in map(split_of, (*words, path.parent.name)) if s), "")


def _load(path: Path, report: Report) -> _Table:
    table, count = _Table(path), 0
    for key, value in JsonStream(path):
        if key not in ("images", "annotations", "categories"):
            continue
        if not isinstance(value, dict):
            raise RecordError("parse", f"{key} must be a list of objects", path)
        try:
            if key == "images":
                _add_image(table, value, report)
            elif key == "categories":
                table.categories[int(value["id"])] = str(value["name"]).strip()
            else:
                count += 1
                _add_annotation(table, value, count, report)
        except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
            if key == "annotations":
                table.lost.add(str(value.get("image_id")))
            what = f"key {error} is missing" if isinstance(error, KeyError) else str(error)
            report.add("parse", f"{key[:-1]} {count or value.get('id', '?')}: {what}", path, count)
    return table


def _add_image(table: _Table, value: dict[str, Any], report: Report) -> None:
    key = str(value["id"])
    if key in table.images:
        report.add("duplicate-image", f"duplicate image id {key}", table.path, action="first used")
        return
    table.images[key] = (str(value["file_name"]), size_of(value.get("width"), value.get("height")))


def _add_annotation(table: _Table, value: dict[str, Any], count: int, report: Report) -> None:
    box = value.get("bbox")
    if not box:
        x1, y1, x2, y2 = envelope(value["segmentation"])
        box = [x1, y1, x2 - x1, y2 - y1]
        report.add("polygon", f"annotation {count} has no bbox", table.path, count, action="envelope taken")
    x, y, w, h = map(float, box)
    flags = flags_from(value.get("attributes") or {})
    if value.get("iscrowd") and not flags & SET_ASIDE:
        flags |= Flag.CROWD
    if value.get("ignore"):
        flags |= Flag.IGNORE
    score = float("nan") if value.get("score") is None else float(value["score"])
    category = int(value["category_id"])
    if abs(category) > _LARGEST_ID:
        raise ValueError(f"category_id is {category}, expected at most {_LARGEST_ID}")
    key = str(value["image_id"])
    # Nothing below can fail, so that the columns keep one length.
    table.image.append(table.image_ids.setdefault(key, len(table.image_ids)))
    table.category.append(category)
    table.boxes.extend((x, y, w, h))
    table.flags.append(flags)
    table.scores.append(score)
    table.records.append(count)


def _refuse_corners(table: _Table) -> None:
    """Corners in place of sizes show as boxes that leave their image, yet fit if read as corners."""
    sizes = np.full((len(table.image_ids), 2), np.nan)
    for key, row in table.image_ids.items():
        _, size = table.images.get(key, ("", None))
        if size:
            sizes[row] = size
    boxes = np.frombuffer(table.boxes).reshape(-1, 4) if table.boxes else np.empty((0, 4))
    limit = sizes[np.frombuffer(table.image, np.int64)] if table.image else np.empty((0, 2))
    leaves = ((boxes[:, :2] + boxes[:, 2:]) > limit + 2).any(axis=1)
    fits = (boxes[:, 2:] <= limit + 2).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    if len(boxes) >= 10 and (leaves & fits).mean() > 0.3:
        share = 100 * (leaves & fits).mean()
        raise DataError(
            f"{table.path}: {share:.0f} % of the boxes leave their image but fit as corners x1 y1 x2 y2; "
            "if they are, read with bbox=xyxy"
        )


def _units(
    tables: list[_Table],
    classes: list[dict[int, str]],
    splits: dict[Path, str],
    corners: bool,
    report: Report,
) -> Iterator[_Unit]:
    """Images in the order of the file, each with its annotations."""
    for table, names in zip(tables, classes, strict=True):
        image = np.frombuffer(table.image, np.int64) if table.image else np.empty(0, np.int64)
        order = np.argsort(image, kind="stable")
        starts = np.searchsorted(image[order], np.arange(len(table.image_ids) + 1))
        for key, (file_name, size) in table.images.items():
            row = table.image_ids.get(key)
            places = order[starts[row] : starts[row + 1]].tolist() if row is not None else []
            rows = [_row(table, place, names, corners) for place in places]
            yield str(table.path), file_name, size, splits[table.path], rows, key in table.lost
        for key, row in table.image_ids.items():
            if key not in table.images:
                place = int(order[starts[row]])
                text = f"annotation of image id {key}, which is not among the images"
                report.add("missing-image", text, table.path, table.records[place])


def _row(table: _Table, place: int, names: dict[int, str], corners: bool) -> _Row:
    x, y, w, h = table.boxes[4 * place : 4 * place + 4]
    score = table.scores[place]
    label = names.get(table.category[place], f"id {table.category[place]}")
    x2, y2 = (w, h) if corners else (x + w, y + h)
    return label, x, y, x2, y2, table.flags[place], None if score != score else score, table.records[place]


def _parse(unit: _Unit, report: Report, *, images: Mapping[str, ImageFinder]) -> Iterable[Record]:
    path, file_name, size, split, rows, lost = unit
    line = rows[0][-1] if rows else 0
    found = images[path].locate([file_name], size, (path, line), report)
    boxes = [
        Box(label, x1 * found.sx, y1 * found.sy, x2 * found.sx, y2 * found.sy, flags, score, record)
        for label, x1, y1, x2, y2, flags, score, record in rows
    ]
    status = Status.ANNOTATED if rows or lost else Status.BACKGROUND
    return [Record(found.image, file_name, found.width, found.height, boxes, status.value, split, path)]


def write(samples: Iterable[Sample], names: tuple[str, ...], out: Output) -> None:
    """``annotations/instances_<split>.json`` and ``images/<split>``; ids from 1, category id = class index
    + 1."""
    files: dict[str, _Writer] = {}
    with out.growing() as append:
        for sample, image, name in out.place_all(samples, lambda sample: f"images/{sample.split or 'train'}"):
            file = out.file("annotations/instances_{split}.json", sample.split)
            if file not in files:
                files[file] = _Writer(functools.partial(append, file))
            files[file].add(sample, name + image.suffix, out.report)
        if not files:
            file = out.file("annotations/instances_{split}.json", "train")
            files[file] = _Writer(functools.partial(append, file))
        for writer in files.values():
            writer.finish(names)


class _Writer:
    """One file: images go straight out, annotations wait in a temporary file until the images are all
    there."""

    def __init__(self, append: functools.partial[None]) -> None:
        self._append = append
        self._annotations = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by finish
        self._images = self._boxes = 0
        append('{"images": [')

    def add(self, sample: Sample, name: str, report: Report) -> None:
        self._append(",\n" if self._images else "\n")
        self._images += 1
        entry = {"id": self._images, "file_name": name, "width": sample.width, "height": sample.height}
        self._append(json.dumps(entry))
        scores = [None] * len(sample) if sample.scores is None else sample.scores.tolist()
        rows = zip(sample.classes.tolist(), sample.flags.tolist(), scores, sample.boxes.tolist(), strict=True)
        for class_id, flags, score, (x1, y1, x2, y2) in rows:
            if class_id < 0:
                where = sample.source or sample.image
                report.add("lost-flag", "COCO cannot ignore a region for every class", where)
                continue
            self._annotations.write(",\n" if self._boxes else "\n")
            self._boxes += 1
            box: dict[str, Any] = {
                "id": self._boxes,
                "image_id": self._images,
                "category_id": class_id + 1,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": (x2 - x1) * (y2 - y1),
                "iscrowd": int(bool(flags & SET_ASIDE)),
            }
            if score is not None:
                box["score"] = score
            if flags:
                box["attributes"] = flag_names(flags)
            self._annotations.write(json.dumps(box))

    def finish(self, names: tuple[str, ...]) -> None:
        categories = [{"id": i, "name": name, "supercategory": ""} for i, name in enumerate(names, 1)]
        self._append('\n],\n"annotations": [')
        self._annotations.seek(0)
        while block := self._annotations.read(1 << 20):
            self._append(block)
        self._annotations.close()
        self._append(f'\n],\n"categories": {json.dumps(categories)}}}\n')
