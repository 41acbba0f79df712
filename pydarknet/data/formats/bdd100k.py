# SPDX-License-Identifier: Apache-2.0
"""BDD100K and Scalabel: a JSON list of images with labels, or one JSON per image; corners in float pixels.

Lanes and drivable areas, which have no ``box2d``, are not objects. Format:
https://doc.bdd100k.com/format.html
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydarknet.data.dataset import Status, flags_from
from pydarknet.data.formats._common import ImageFinder, images_for, load_json, number
from pydarknet.data.formats._jsonstream import JsonStream
from pydarknet.data.formats._records import boxes_of, file_split, record
from pydarknet.data.formats._sniff import files_of, given_files, json_head
from pydarknet.data.issues import Report
from pydarknet.data.paths import split_of
from pydarknet.data.records import Box, LabelSource, ReadOptions, Record
from pydarknet.errors import RecordError

_Unit = tuple[str, int, Any]


def sniff(path: Path) -> bool:
    """A JSON whose images have a ``name`` and ``labels`` with ``category``; or a folder with some."""
    return bool(_files(path))


def _files(path: Path) -> list[Path]:
    return files_of(path, (".json",), _is_bdd) or files_of(path / "labels", (".json",), _is_bdd)


def _is_bdd(file: Path) -> bool:
    head = json_head(file)
    entry = head.first("") or head.first("frames")
    labels = entry.get("labels") or entry.get("objects")
    first = labels[0] if isinstance(labels, list) and labels else None
    named = isinstance(entry.get("name", head.members.get("name")), str)
    return named and isinstance(first, dict) and "category" in first


def read(path: Path, options: ReadOptions, report: Report) -> LabelSource:
    """A file, or a folder of files; images in ``images``, ``images/100k/<split>``, beside it, or given."""
    files = given_files(path, _files(path), "BDD100K JSON")
    folders = dict.fromkeys(file.parent for file in files)
    images = {str(folder): _images(folder, options) for folder in folders}
    parse = functools.partial(_parse, images=images)
    return LabelSource(functools.partial(_units, files, report), parse, options.names)


def _images(folder: Path, options: ReadOptions) -> ImageFinder:
    split = split_of(folder.name)
    roots = (folder, folder.parent, folder.parent.parent, folder.parent.parent.parent)
    sizes = [root / "images" / size for root in roots for size in ("100k", "10k", "")]
    splits = [split] if split else ["train", "val", "test"]
    places = [place / name for place in sizes for name in splits]
    return images_for(options, *places, *sizes, *(folder / name for name in splits), folder)


def _units(files: list[Path], report: Report) -> Iterator[_Unit]:
    """The images of all files; lists are streamed, since the published ones have more than a gigabyte."""
    for path in files:
        if json_head(path).kind == "list":
            for place, (_, entry) in enumerate(JsonStream(path, lists=True), 1):
                yield str(path), place, entry
            continue
        data = load_json(path, dict[str, Any], report)
        frames = data.get("frames") or [data]
        if not isinstance(frames, list):
            raise RecordError("parse", "expected a list of frames", path)
        for place, frame in enumerate(frames, 1):
            one = isinstance(frame, dict) and "name" in data  # one image: its only frame has the objects
            yield str(path), place, {**frame, "name": data["name"]} if one else frame


def _parse(unit: _Unit, report: Report, *, images: Mapping[str, ImageFinder]) -> Iterable[Record]:
    path, place, entry = unit
    where, split = (path, place), file_split(Path(path))
    entry = entry if isinstance(entry, dict) else {}
    name, labels = entry.get("name"), entry.get("labels", entry.get("objects")) or []
    if not isinstance(name, str) or not isinstance(labels, list):
        raise RecordError("parse", "expected the keys name and labels", *where)
    found = images[str(Path(path).parent)].locate([name], None, where, report)
    objects = [label for label in labels if not isinstance(label, dict) or label.get("box2d") is not None]
    if len(objects) < len(labels):
        left = f"{len(labels) - len(objects)} labels without box2d, such as lanes"
        report.add("note", left, *where, action="left out")
    boxes = boxes_of(objects, lambda label: _box(label, where), report)
    status = Status.ANNOTATED if objects else Status.BACKGROUND
    full = name if Path(name).suffix else name + Path(found.image).suffix
    return [record(found, full, boxes, status, split, path)]


def _box(label: Any, where: tuple[str, int]) -> Box:
    if not isinstance(label, dict) or not isinstance(label.get("box2d"), dict):
        raise RecordError("parse", "a label without box2d", *where)
    x1, y1, x2, y2 = (number(label["box2d"].get(key), key, where) for key in ("x1", "y1", "x2", "y2"))
    attributes = label.get("attributes")
    flags = flags_from(attributes) if isinstance(attributes, dict) else 0
    score = label.get("score")
    score = float(score) if isinstance(score, int | float) else None
    return Box(str(label.get("category", "")).strip(), x1, y1, x2, y2, flags, score, where[1])
