# SPDX-License-Identifier: Apache-2.0
"""Supervisely: ``meta.json``, and a folder per data set with images in ``img`` and JSON files in ``ann``.

Points are float pixels. Format: https://docs.supervisely.com/data-organization/00_ann_format_navi
"""

from __future__ import annotations

import base64
import binascii
import functools
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydarknet.data.dataset import Status
from pydarknet.data.formats._common import ImageFinder, load_json, size_of, unlabelled
from pydarknet.data.formats._records import boxes_of, record
from pydarknet.data.formats._shapes import Corners, mask_image_envelope, points_envelope
from pydarknet.data.formats._sniff import json_head
from pydarknet.data.issues import Report
from pydarknet.data.paths import images_below, split_of, walk
from pydarknet.data.records import Box, LabelSource, ReadOptions, Record
from pydarknet.errors import DataError, RecordError

_Unit = tuple[str, str, str, str]  # JSON or "", image, name, split


def sniff(path: Path) -> bool:
    """A folder with ``ann`` whose JSON files have ``objects`` and ``size``, or one with such folders."""
    return bool(_datasets(path))


def _datasets(path: Path) -> list[Path]:
    places = (path, *sorted(path.glob("*/")), *sorted(path.glob("*/*/"))) if path.is_dir() else ()
    return [place for place in places if _has_annotations(place / "ann")]


def _has_annotations(folder: Path) -> bool:
    first = next(walk(folder, (".json",)), None) if folder.is_dir() else None
    return first is not None and {"objects", "size"} <= json_head(first).members.keys()


def read(path: Path, options: ReadOptions, report: Report) -> LabelSource:
    """A project, or one of its data sets.

    Raises:
        DataError: if there is none.
    """
    places = _datasets(path)
    if not places:
        raise DataError(f"{path}: no folder ann with Supervisely's JSON there")
    metas = (folder / "meta.json" for folder in (path, places[0].parent))
    meta = next((file for file in metas if file.is_file()), None)
    names: tuple[str, ...] = ()
    if meta:
        classes = load_json(meta, dict[str, Any], report).get("classes")
        titles = [item.get("title") for item in classes or [] if isinstance(item, dict)]
        names = tuple(dict.fromkeys(str(title).strip() for title in titles))
    parse = functools.partial(_parse, missing=options.missing)
    units = functools.partial(_units, places, options.images)
    return LabelSource(units, parse, options.names or names or None)


def _units(places: list[Path], images: Path | None) -> Iterator[_Unit]:
    for place in places:
        folder, seen = images or place / "img", set()
        split = split_of(place.name)
        for file in walk(place / "ann", (".json",)):
            name = file.name[: -len(".json")]
            seen.add(name)
            yield str(file), str(folder / name), name, split
        for image in images_below(folder) if folder.is_dir() and not images else ():
            if image.name not in seen and image.stem not in seen:
                yield "", str(image), image.name, split


def _parse(unit: _Unit, report: Report, *, missing: str) -> Iterable[Record]:
    path, image, name, split = unit
    if not path:
        return [unlabelled(image, Path(name).stem, split, report)]
    data = load_json(path, dict[str, Any], report)
    objects, size = data.get("objects"), data.get("size") or {}
    if not isinstance(objects, list) or not isinstance(size, dict):
        raise RecordError("parse", "expected the keys objects and size", path)
    finder = ImageFinder([Path(image).parent], missing)
    found = finder.locate([name], size_of(size.get("width"), size.get("height")), (path, 0), report)
    boxes = boxes_of(objects, lambda item: _box(item, path, report), report)
    tags = (str(tag.get("name")) for tag in data.get("tags") or [] if isinstance(tag, dict))
    split = next((s for s in map(split_of, tags) if s), split)
    status = Status.ANNOTATED if objects else Status.BACKGROUND
    full = name if Path(name).suffix else name + Path(found.image).suffix
    return [record(found, full, boxes, status, split, path)]


def _box(item: Any, path: str, report: Report) -> Box | None:
    if not isinstance(item, dict) or not isinstance(item.get("classTitle"), str):
        raise RecordError("parse", "an object without classTitle", path)
    label, kind = item["classTitle"].strip(), str(item.get("geometryType", "rectangle"))
    try:
        corners = _corners(kind, item)
    except (KeyError, TypeError, ValueError, IndexError, zlib.error, binascii.Error) as error:
        raise RecordError("parse", f"{label}: {kind}: {error}", path) from None
    if corners is None:
        report.add("unsupported-shape", f"{label}: {kind}", path)
        return None
    if kind != "rectangle":
        report.add("polygon", f"{label}: {kind}", path, action="envelope taken")
    return Box(label, *corners)


def _corners(kind: str, item: dict[str, Any]) -> Corners | None:
    if kind == "bitmap":
        left, top = item["bitmap"]["origin"]
        data = zlib.decompress(base64.b64decode(item["bitmap"]["data"]))
        x1, y1, x2, y2 = mask_image_envelope(data)
        return left + x1, top + y1, left + x2, top + y2
    if kind == "graph":
        points = [node["loc"] for node in item["nodes"].values()]
    elif kind == "cuboid":
        points = item["points"]
    else:
        points = item["points"]["exterior"]
    if kind == "point" or len(points) < 2:
        return None
    return points_envelope([float(x) for x, _ in points], [float(y) for _, y in points])
