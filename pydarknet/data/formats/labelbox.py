# SPDX-License-Identifier: Apache-2.0
"""Labelbox: the NDJSON export with ``data_row`` and ``projects``, and the older JSON list with ``Label``.

Boxes are left, top, width, height in pixels. Format: https://docs.labelbox.com/reference/image
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pydarknet.data.dataset import Status
from pydarknet.data.formats._common import (
    ImageFinder,
    images_for,
    json_lines,
    load_json,
    number,
    parse_json,
    size_of,
)
from pydarknet.data.formats._records import boxes_of, file_split, record
from pydarknet.data.formats._shapes import points_envelope
from pydarknet.data.formats._sniff import files_of, first_line, given_files, json_head
from pydarknet.data.issues import Report
from pydarknet.data.joined import joined
from pydarknet.data.records import Box, LabelSource, ReadOptions, Record
from pydarknet.errors import RecordError
from pydarknet.system.text import decode

_ROW = frozenset({"data_row", "projects"})
_Unit = tuple[int, Any]


def sniff(path: Path) -> bool:
    """``data_row`` and ``projects`` in lines or a list, ``Label`` and ``External ID`` in a list; a folder."""
    return bool(_files(path))


def _files(path: Path) -> list[Path]:
    return files_of(path, (".ndjson", ".jsonl", ".json"), lambda file: _is_lines(file) or _is_list(file))


def _is_lines(file: Path) -> bool:
    return first_line(file).members.keys() >= _ROW


def _is_list(file: Path) -> bool:
    keys = json_head(file).first("").keys()
    return keys >= {"Label", "External ID"} or keys >= _ROW


def read(path: Path, options: ReadOptions, report: Report) -> LabelSource:
    """An export, or a folder with some; images by their external id beside it, in ``images``, or given."""
    files = given_files(path, _files(path), "Labelbox export")
    return joined([_read_file(file, options, report) for file in files], path, report)


def _read_file(path: Path, options: ReadOptions, report: Report) -> LabelSource:
    images = images_for(options, path.parent / "images", path.parent)
    parse = functools.partial(_parse, path=str(path), images=images, split=file_split(path))
    if _is_list(path):
        entries = list(enumerate(load_json(path, list[dict[str, Any]], report), 1))
        return LabelSource(functools.partial(iter, entries), parse, options.names)
    return LabelSource(functools.partial(json_lines, path), parse, options.names)


def _parse(unit: _Unit, report: Report, *, path: str, images: ImageFinder, split: str) -> Iterable[Record]:
    place, content = unit
    where = (path, place)
    entry = content
    if isinstance(content, bytes):
        entry = parse_json(decode(content, path, place), dict[str, Any], where, report)
    if entry.keys() >= _ROW:
        row, size = entry.get("data_row"), entry.get("media_attributes") or {}
        objects = _objects(entry.get("projects"))
        names = [row.get("external_id"), row.get("row_data")] if isinstance(row, dict) else []
    else:
        names, size = [entry.get("External ID"), entry.get("Labeled Data")], {}
        label = entry.get("Label")
        objects = label.get("objects") if isinstance(label, dict) else None
    wanted = [unquote(str(name).partition("?")[0]) for name in names if name]
    if not wanted or not isinstance(size, dict):
        raise RecordError("parse", "no external id", *where)
    found = images.locate(wanted, size_of(size.get("width"), size.get("height")), where, report)
    boxes = boxes_of(objects or [], lambda item: _box(item, where, report), report)
    status = Status.UNLABELLED if objects is None else Status.ANNOTATED if objects else Status.BACKGROUND
    return [record(found, Path(found.image).name, boxes, status, split, path)]


def _objects(projects: Any) -> list[Any] | None:
    """The objects of the newest label of each project; ``None`` if no project has labelled the image."""
    found: list[Any] | None = None
    for project in projects.values() if isinstance(projects, dict) else ():
        labels = project.get("labels") if isinstance(project, dict) else None
        if isinstance(labels, list) and labels and isinstance(labels[-1], dict):
            annotations = labels[-1].get("annotations") or {}
            found = [*(found or []), *(annotations.get("objects") or [])]
    return found


def _box(item: Any, where: tuple[str, int], report: Report) -> Box | None:
    if not isinstance(item, dict):
        raise RecordError("parse", "an object that is not a JSON object", *where)
    label = str(item.get("name") or item.get("title") or item.get("value") or "").strip()
    if not label:
        raise RecordError("unknown-class", "an object without a name", *where)
    box = item.get("bounding_box") or item.get("bbox")
    if isinstance(box, dict):
        x, y, w, h = (number(box.get(key), key, where) for key in ("left", "top", "width", "height"))
        return Box(label, x, y, x + w, y + h, 0, None, where[1])
    points = item.get("polygon") or item.get("line")
    if isinstance(points, list) and len(points) > 1 and all(isinstance(point, dict) for point in points):
        xs, ys = ([number(point.get(key), key, where) for point in points] for key in "xy")
        report.add("polygon", f"{label}: polygon", *where, action="envelope taken")
        return Box(label, *points_envelope(xs, ys), 0, None, where[1])
    report.add("unsupported-shape", f"{label}: {item.get('annotation_kind', 'no bounding box')}", *where)
    return None
