# SPDX-License-Identifier: Apache-2.0
"""VoTT (Microsoft): the JSON export of version 2, its files per image, and the JSON of version 1.

Format: https://github.com/microsoft/VoTT
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pydarknet.data.dataset import Status
from pydarknet.data.formats._common import ImageFinder, images_for, load_json, number, size_of
from pydarknet.data.formats._records import boxes_of, file_split, record
from pydarknet.data.formats._shapes import points_envelope
from pydarknet.data.formats._sniff import files_of, given_files, json_head
from pydarknet.data.issues import Report
from pydarknet.data.joined import joined
from pydarknet.data.records import Box, LabelSource, ReadOptions, Record
from pydarknet.errors import RecordError

_NOT_VISITED = 0  # state of an asset
_Unit = tuple[int, str, dict[str, Any]]  # number, name of the image (version 1), entry


def sniff(path: Path) -> bool:
    """A JSON with ``assets``, ``asset`` and ``regions``, or ``frames`` and ``inputTags``; or a folder."""
    return bool(_files(path))


def _files(path: Path) -> list[Path]:
    return files_of(path, (".json",), _is_vott)


def _is_vott(file: Path) -> bool:
    head = json_head(file)
    entry = next(iter(head.first("assets").values()), None)
    export = isinstance(entry, dict) and "asset" in entry
    return export or bool(head.first("asset") and "regions" in head.members) or "inputTags" in head.members


def read(path: Path, options: ReadOptions, report: Report) -> LabelSource:
    """An export, or a folder with some; images are beside it, in the folder above, or given."""
    files = given_files(path, _files(path), "VoTT JSON")
    exports = [file for file in files if "asset" not in json_head(file).members]
    return joined([_read_file(file, options, report) for file in exports or files], path, report)


def _read_file(path: Path, options: ReadOptions, report: Report) -> LabelSource:
    data = load_json(path, dict[str, Any], report)
    if isinstance(data.get("frames"), dict):
        frames = data["frames"].items()
        units = [(n, name, {"boxes": boxes}) for n, (name, boxes) in enumerate(frames, 1)]
    else:
        assets = data["assets"].values() if isinstance(data.get("assets"), dict) else [data]
        units = [(n, "", entry) for n, entry in enumerate(assets, 1) if isinstance(entry, dict)]
    tags = data.get("tags")
    names = (
        [str(tag.get("name")).strip() for tag in tags if isinstance(tag, dict)]
        if isinstance(tags, list)
        else []
    )
    images = images_for(options, path.parent, path.parent / "images", path.parent.parent)
    parse = functools.partial(_parse, path=str(path), images=images, split=file_split(path))
    return LabelSource(
        functools.partial(iter, units), parse, options.names or tuple(dict.fromkeys(names)) or None
    )


def _parse(unit: _Unit, report: Report, *, path: str, images: ImageFinder, split: str) -> Iterable[Record]:
    place, name, entry = unit
    where = (path, place)
    if name:
        return _parse_frame(name, entry["boxes"], images, split, where, report)
    asset, regions = entry.get("asset"), entry.get("regions")
    if not isinstance(asset, dict) or not isinstance(asset.get("name"), str) or not isinstance(regions, list):
        raise RecordError("parse", "expected the keys asset and regions", *where)
    name = unquote(asset["name"].partition("?")[0]).rpartition("/")[2]
    size: dict[str, Any] = asset["size"] if isinstance(asset.get("size"), dict) else {}
    found = images.locate([name], size_of(size.get("width"), size.get("height")), where, report)
    parts = [(region, tag) for region in regions for tag in _tags(region, where)]
    boxes = boxes_of(parts, lambda part: _box(*part, where, report), report)
    empty = Status.UNLABELLED if asset.get("state") == _NOT_VISITED else Status.BACKGROUND
    return [record(found, name, boxes, Status.ANNOTATED if regions else empty, split, path)]


def _tags(region: Any, where: tuple[str, int]) -> list[str]:
    tags = region.get("tags") if isinstance(region, dict) else None
    if not isinstance(tags, list) or not tags:
        raise RecordError("unknown-class", "a region without a tag", *where)
    return [str(tag).strip() for tag in tags]


def _box(region: dict[str, Any], label: str, where: tuple[str, int], report: Report) -> Box | None:
    points, box = region.get("points"), region.get("boundingBox")
    if str(region.get("type", "RECTANGLE")).upper() != "RECTANGLE" and isinstance(points, list):
        xs, ys = ([number(p.get(key), key, where) for p in points] for key in "xy")
        if len(points) < 2:
            report.add("unsupported-shape", f"{label}: {region.get('type')}", *where)
            return None
        report.add("polygon", f"{label}: {region.get('type')}", *where, action="envelope taken")
        return Box(label, *points_envelope(xs, ys), 0, None, where[1])
    if not isinstance(box, dict):
        raise RecordError("parse", f"{label}: a region without boundingBox", *where)
    x, y, w, h = (number(box.get(key), key, where) for key in ("left", "top", "width", "height"))
    return Box(label, x, y, x + w, y + h, 0, None, where[1])


def _parse_frame(
    name: str, items: Any, images: ImageFinder, split: str, where: tuple[str, int], report: Report
) -> Iterable[Record]:
    """Version 1: corners in pixels of the size at which each box was drawn."""
    found = images.locate([name], None, where, report)

    def box(part: tuple[dict[str, Any], str]) -> Box:
        item, label = part
        width, height = size_of(item.get("width"), item.get("height")) or (found.width, found.height)
        x1, y1, x2, y2 = (number(item.get(key), key, where) for key in ("x1", "y1", "x2", "y2"))
        sx, sy = found.width / width, found.height / height
        return Box(label, x1 * sx, y1 * sy, x2 * sx, y2 * sy, 0, None, where[1])

    regions = items if isinstance(items, list) else []
    boxes = boxes_of([(item, tag) for item in regions for tag in _tags(item, where)], box, report)
    status = Status.ANNOTATED if regions else Status.BACKGROUND
    return [record(found, name, boxes, status, split, where[0])]
