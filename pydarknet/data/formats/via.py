# SPDX-License-Identifier: Apache-2.0
"""VGG Image Annotator (VIA) 1 and 2: annotation JSON, project JSON or CSV.

Shapes are pixels; the class is one of the region attributes. Format:
https://www.robots.ox.ac.uk/~vgg/software/via/
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydarknet.data.dataset import Status, flags_from
from pydarknet.data.formats._common import ImageFinder, choice, images_for, load_json, number
from pydarknet.data.formats._shapes import ellipse_envelope, points_envelope
from pydarknet.data.formats._sniff import files_of, given_files, header, json_head
from pydarknet.data.formats._tables import csv_rows
from pydarknet.data.issues import Report
from pydarknet.data.joined import joined
from pydarknet.data.records import Box, LabelSource, ReadOptions, Record
from pydarknet.errors import DataError, RecordError

SETTINGS = {
    "attribute": "the region attribute that holds the class, if there are several",
    "single_class": "class of regions that have none",
    "empty": "an image without regions is background (default) or unlabelled",
}

_Unit = tuple[str, int, list[tuple[dict[str, Any], dict[str, Any]]]]


def sniff(path: Path) -> bool:
    """A JSON with ``regions``, a VIA project, or a CSV with ``region_shape_attributes``; or a folder with
    some."""
    return bool(_files(path))


def _files(path: Path) -> list[Path]:
    return files_of(path, (".json", ".csv"), _is_via)


def _is_via(file: Path) -> bool:
    if "regionshapeattributes" in header(file):
        return True
    head = json_head(file)
    if "_via_img_metadata" in head.members or {"project", "metadata", "view"} <= head.members.keys():
        return True
    entry = next(iter(head.members.values()), None)
    return head.kind == "object" and isinstance(entry, dict) and {"filename", "regions"} <= entry.keys()


def read(path: Path, options: ReadOptions, report: Report) -> LabelSource:
    """A file, or a folder with some; images are beside it, in ``images``, or given.

    Raises:
        DataError: for a VIA 3 project, which has another structure.
    """
    return joined(
        [_read_file(file, options, report) for file in given_files(path, _files(path), "VIA JSON or CSV")],
        path,
        report,
    )


def _read_file(path: Path, options: ReadOptions, report: Report) -> LabelSource:
    units = _csv_units(path) if path.suffix.lower() == ".csv" else _json_units(path, report)
    attribute = options.settings.get("attribute") or _only_attribute(units, path)
    parse = functools.partial(
        _parse,
        path=str(path),
        images=images_for(options, path.parent / "images", path.parent),
        attribute=attribute,
        single=options.settings.get("single_class"),
        empty=Status(choice(options, "empty", "background", "unlabelled")),
    )
    return LabelSource(functools.partial(iter, units), parse, options.names)


def _json_units(path: Path, report: Report) -> list[_Unit]:
    data: dict[str, Any] = load_json(path, dict[str, Any], report)
    if "_via_img_metadata" in data:
        data = data["_via_img_metadata"]
    elif "project" in data and "metadata" in data:
        raise DataError(f"{path}: VIA 3 projects are not supported; export annotations with VIA 2")
    units = []
    for place, entry in enumerate(data.values(), 1):
        if not isinstance(entry, dict) or not isinstance(entry.get("filename"), str):
            raise RecordError("parse", "expected an object with filename and regions", path, place)
        regions = entry.get("regions") or []
        found = list(regions.values()) if isinstance(regions, dict) else regions
        try:
            pairs = [(region["shape_attributes"], region.get("region_attributes") or {}) for region in found]
        except (KeyError, TypeError, AttributeError):
            raise RecordError(
                "parse", f"{entry['filename']}: a region without shape_attributes", path, place
            ) from None
        units.append((entry["filename"], place, pairs))
    return units


def _csv_units(path: Path) -> list[_Unit]:
    rows = csv_rows(path)
    _, columns = next(rows)
    names = [name.strip().lstrip("#").strip() for name in columns]
    found: dict[str, _Unit] = {}
    for line, row in rows:
        entry = dict(zip(names, row, strict=False))
        try:
            shape = json.loads(entry["region_shape_attributes"] or "{}")
            attributes = json.loads(entry["region_attributes"] or "{}")
        except json.JSONDecodeError as error:
            raise RecordError("parse", f"JSON in a column: {error.msg}", path, line, error.colno) from None
        except KeyError as error:
            raise RecordError(
                "parse", f"no column {error}; the header is {','.join(columns)}", path, line
            ) from None
        name = entry.get("filename", "")
        unit = found.setdefault(name, (name, line, []))
        if shape:
            unit[2].append((shape, attributes))
    return list(found.values())


def _only_attribute(units: list[_Unit], path: Path) -> str | None:
    keys = {key for _, _, pairs in units for _, attributes in pairs for key in attributes}
    if len(keys) > 1:
        listed = ", ".join(sorted(keys))
        raise DataError(
            f"{path}: several region attributes ({listed}); set the one with the class: attribute=NAME"
        )
    return next(iter(keys), None)


def _parse(
    unit: _Unit,
    report: Report,
    *,
    path: str,
    images: ImageFinder,
    attribute: str | None,
    single: str | None,
    empty: Status,
) -> Iterable[Record]:
    name, place, pairs = unit
    where = (path, place)
    found = images.locate([name], None, where, report)
    boxes = list(_boxes(pairs, attribute, single, where, report))
    status = Status.ANNOTATED if pairs else empty
    short = name.rpartition("/")[2]
    return [Record(found.image, short, found.width, found.height, boxes, status.value, "", path)]


def _boxes(
    pairs: list[tuple[dict[str, Any], dict[str, Any]]],
    attribute: str | None,
    single: str | None,
    where: tuple[str, int],
    report: Report,
) -> Iterator[Box]:
    for shape, attributes in pairs:
        corners = _corners(shape, where, report)
        label = _label(attributes.get(attribute or ""), where, report) or single
        if label is None:
            report.add("unknown-class", f"a region without {attribute or 'a class'}", *where)
        elif corners is not None:
            yield Box(label, *corners, flags_from(attributes), None, where[1])


def _label(value: Any, where: tuple[str, int], report: Report) -> str | None:
    """The class in an attribute: text, or a checkbox with exactly one tick."""
    if isinstance(value, dict):
        ticked = [name for name, on in value.items() if on]
        if len(ticked) > 1:
            report.add("unknown-class", f"several classes ticked: {', '.join(ticked)}", *where)
        return ticked[0].strip() if len(ticked) == 1 else None
    return str(value).strip() or None if value is not None else None


def _corners(
    shape: dict[str, Any], where: tuple[str, int], report: Report
) -> tuple[float, float, float, float] | None:
    def get(key: str) -> float:
        return number(shape.get(key), key, where)

    name = str(shape.get("name")).lower()
    if name == "rect":
        return get("x"), get("y"), get("x") + get("width"), get("y") + get("height")
    if name in ("circle", "ellipse"):
        cx, cy = get("cx"), get("cy")
        rx, ry = (get("r"), get("r")) if name == "circle" else (get("rx"), get("ry"))
        theta = float(shape.get("theta") or 0) if name == "ellipse" else 0.0
        corners = ellipse_envelope(cx, cy, rx, ry, math.degrees(theta))
    elif name in ("polygon", "polyline"):
        try:
            corners = points_envelope(shape["all_points_x"], shape["all_points_y"])
        except (KeyError, TypeError, ValueError):
            raise RecordError("parse", f"{name} without points", *where) from None
    else:
        report.add("unsupported-shape", f"shape {name!r}", *where)
        return None
    report.add("polygon", f"{name}", *where, action="envelope taken")
    return corners
