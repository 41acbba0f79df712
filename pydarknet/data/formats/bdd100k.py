# SPDX-License-Identifier: Apache-2.0
"""BDD100K and Scalabel: a JSON list of images with labels, or one JSON per image; corners in float pixels.

Lanes and drivable areas, which have no ``box2d``, are not objects. Format:
https://doc.bdd100k.com/format.html
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydarknet.data.dataset import Status, flags_from
from pydarknet.data.formats._common import ImageFinder, images_for, load_json, number
from pydarknet.data.formats._records import boxes_of, file_split, record
from pydarknet.data.formats._sniff import files_of, given_files, json_head
from pydarknet.data.issues import Report
from pydarknet.data.joined import joined
from pydarknet.data.records import Box, LabelSource, ReadOptions, Record
from pydarknet.errors import RecordError

_Unit = tuple[int, dict[str, Any]]


def sniff(path: Path) -> bool:
    """A JSON whose images have a ``name`` and ``labels`` with ``category``; or a folder with some."""
    return bool(_files(path))


def _files(path: Path) -> list[Path]:
    return files_of(path, (".json",), _is_bdd)


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
    return joined([_read_file(file, options, report) for file in files], path, report)


def _read_file(path: Path, options: ReadOptions, report: Report) -> LabelSource:
    data: Any = load_json(path, object, report)
    if isinstance(data, list):
        entries = [entry for entry in data if isinstance(entry, dict)]
    elif not isinstance(data, dict):
        raise RecordError("parse", "expected a list of images, or an object with frames", path)
    elif isinstance(data.get("frames"), list) and "name" not in data:
        entries = [entry for entry in data["frames"] if isinstance(entry, dict)]
    else:  # one image: its only frame has the objects
        entries = [{**frame, "name": data.get("name")} for frame in data.get("frames") or [{}]]
    split = file_split(path)
    roots = (path.parent, path.parent.parent, path.parent.parent.parent)
    folders = [root / "images" / size / split for root in roots for size in ("100k", "10k", "")]
    images = images_for(
        options, *folders, *(root / "images" for root in roots), path.parent / split, path.parent
    )
    parse = functools.partial(_parse, path=str(path), images=images, split=split)
    return LabelSource(functools.partial(iter, list(enumerate(entries, 1))), parse, options.names)


def _parse(unit: _Unit, report: Report, *, path: str, images: ImageFinder, split: str) -> Iterable[Record]:
    place, entry = unit
    where = (path, place)
    name, labels = entry.get("name"), entry.get("labels", entry.get("objects")) or []
    if not isinstance(name, str) or not isinstance(labels, list):
        raise RecordError("parse", "expected the keys name and labels", *where)
    found = images.locate([name], None, where, report)
    objects = [label for label in labels if not isinstance(label, dict) or label.get("box2d")]
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
