# SPDX-License-Identifier: Apache-2.0
"""Datumaro JSON: ``annotations/<split>.json`` with categories and items, images in ``images/<split>``.

Boxes are left, top, width, height in float pixels. Format:
https://openvinotoolkit.github.io/datumaro/latest/docs/data-formats/formats/datumaro.html
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydarknet.data.dataset import Status, flags_from
from pydarknet.data.formats._common import ImageFinder, load_json, size_of, split_images
from pydarknet.data.formats._records import boxes_of, file_split, record
from pydarknet.data.formats._shapes import Corners, ellipse_envelope, envelope, points_envelope
from pydarknet.data.formats._sniff import files_of, given_files, json_head
from pydarknet.data.issues import Report
from pydarknet.data.joined import joined
from pydarknet.data.records import Box, LabelSource, ReadOptions, Record
from pydarknet.errors import RecordError

_OUTLINES = ("polygon", "polyline", "cuboid_2d", "rotated_bbox", "skeleton")
_Unit = tuple[int, dict[str, Any]]


def sniff(path: Path) -> bool:
    """A JSON with ``categories`` and ``items``, or a folder with some."""
    return bool(_files(path))


def _files(path: Path) -> list[Path]:
    return files_of(path, (".json",), lambda file: {"categories", "items"} <= json_head(file).members.keys())


def read(path: Path, options: ReadOptions, report: Report) -> LabelSource:
    """A JSON file, or the folder around ``annotations``."""
    files = given_files(path, _files(path), "Datumaro JSON")
    return joined([_read_file(file, options, report) for file in files], path, report)


def _read_file(path: Path, options: ReadOptions, report: Report) -> LabelSource:
    data = load_json(path, dict[str, Any], report)
    try:
        labels = data["categories"]["label"]["labels"]
        names = tuple(str(label["name"]).strip() for label in labels)
        items = list(enumerate(data["items"], 1))
    except (KeyError, TypeError):
        raise RecordError("parse", "expected categories.label.labels with names, and items", path) from None
    split = file_split(path)
    images = split_images(
        options, path.parent.parent if path.parent.name == "annotations" else path.parent, split
    )
    parse = functools.partial(_parse, path=str(path), images=images, split=split, names=names)
    return LabelSource(functools.partial(iter, items), parse, names)


def _parse(
    unit: _Unit, report: Report, *, path: str, images: ImageFinder, split: str, names: tuple[str, ...]
) -> Iterable[Record]:
    place, item = unit
    where = (path, place)
    if not isinstance(item, dict) or "id" not in item or not isinstance(item.get("annotations"), list):
        raise RecordError("parse", "expected an item with id and annotations", *where)
    image: dict[str, Any] = item["image"] if isinstance(item.get("image"), dict) else {}
    size = image.get("size") or (None, None)
    stated = size_of(size[1], size[0]) if isinstance(size, list) and len(size) == 2 else None
    wanted = [str(name) for name in (image.get("path"), item["id"]) if name]
    found = images.locate(wanted, stated, where, report)
    shapes = [
        a for a in item["annotations"] if not isinstance(a, dict) or a.get("type") not in ("label", "caption")
    ]
    boxes = boxes_of(shapes, lambda shape: _box(shape, names, where, report), report)
    status = Status.ANNOTATED if shapes else Status.BACKGROUND
    name = str(item["id"]) + Path(found.image).suffix
    return [record(found, name, boxes, status, split, path)]


def _box(shape: Any, names: tuple[str, ...], where: tuple[str, int], report: Report) -> Box | None:
    if not isinstance(shape, dict) or not isinstance(shape.get("label_id"), int):
        raise RecordError("parse", "an annotation without label_id", *where)
    if not 0 <= shape["label_id"] < len(names):
        raise RecordError(
            "class-range", f"label_id {shape['label_id']}, there are {len(names)} labels", *where
        )
    label, kind = names[shape["label_id"]], str(shape.get("type"))
    try:
        corners = _corners(kind, shape)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise RecordError("parse", f"{label}: {kind}: {error}", *where) from None
    if corners is None:
        report.add("unsupported-shape", f"{label}: {kind}", *where)
        return None
    if kind != "bbox":
        report.add("polygon", f"{label}: {kind}", *where, action="envelope taken")
    attributes = shape.get("attributes")
    flags = (
        flags_from({**attributes, "crowd": attributes.get("is_crowd")}) if isinstance(attributes, dict) else 0
    )
    return Box(label, *corners, flags, None, where[1])


def _corners(kind: str, shape: dict[str, Any]) -> Corners | None:
    if kind == "bbox":
        x, y, w, h = map(float, shape["bbox"])
        return x, y, x + w, y + h
    if kind == "mask":
        return envelope(shape["rle"])
    if kind == "skeleton":
        points = [value for element in shape["elements"] for value in element["points"]]
    else:
        points = shape.get("points") or []
    if kind == "ellipse":
        x1, y1, x2, y2 = map(float, points)
        return ellipse_envelope((x1 + x2) / 2, (y1 + y2) / 2, (x2 - x1) / 2, (y2 - y1) / 2)
    if kind not in _OUTLINES:
        return None
    if points and isinstance(points[0], list):
        points = [value for point in points for value in point]
    values = [float(value) for value in points]
    return points_envelope(values[0::2], values[1::2])
