# SPDX-License-Identifier: Apache-2.0
"""LabelMe: one JSON beside each image, shapes with points in float pixels.

Format: https://github.com/wkentaro/labelme
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from pydarknet.data.dataset import Sample, Status, flag_names, flags_from
from pydarknet.data.formats._common import ImageFinder, images_for, load_json, paired, size_of, unlabelled
from pydarknet.data.formats._shapes import ellipse_envelope, points_envelope
from pydarknet.data.formats._sniff import json_head
from pydarknet.data.issues import Report
from pydarknet.data.label_files import write_text
from pydarknet.data.output import Output
from pydarknet.data.paths import inner_name, walk
from pydarknet.data.records import Box, LabelSource, ReadOptions, Record
from pydarknet.errors import DataError, RecordError

SETTINGS = {
    "group": "yes: shapes with the same label and group_id are one object; no (default)",
    "label_regex": "the class is the first group of this pattern, for labels such as cat-1: ([a-z]+)",
}

_POINTS = ("point", "points")  # prompts and landmarks, which outline nothing


class _Shape(msgspec.Struct):
    label: str | int | float  # old versions and scripts write numbers
    points: list[tuple[float, float]]
    shape_type: str | None = "polygon"
    group_id: int | float | str | None = None
    flags: dict[str, Any] | None = None


class _File(msgspec.Struct):
    shapes: list[Any]
    imagePath: str = ""  # noqa: N815 - the file's own keys
    imageWidth: float | None = None  # noqa: N815
    imageHeight: float | None = None  # noqa: N815


def sniff(path: Path) -> bool:
    """A JSON file (or a folder with some) that has ``shapes`` and ``imagePath``."""
    files = [path] if path.is_file() else islice(walk(path, (".json",)), 10)
    return any(file.suffix.lower() == ".json" and _is_labelme(file) for file in files)


def _is_labelme(file: Path) -> bool:
    return isinstance(json_head(file).members.get("shapes"), list)


def read(path: Path, options: ReadOptions, _report: Report) -> LabelSource:
    """A folder of JSON files beside their images, or one file."""
    root = path if path.is_dir() else path.parent
    pattern = options.settings.get("label_regex")
    try:
        regex = re.compile(pattern) if pattern else None
    except re.error as error:
        raise DataError(f"label_regex={pattern}: {error}") from None
    parse = functools.partial(
        _parse,
        images=images_for(options, root),
        given=options.images is not None,
        group=options.settings.get("group") == "yes",
        regex=regex,
    )
    if path.is_file():
        return LabelSource(lambda: [(str(path), path.stem, "")], parse, options.names)
    return LabelSource(functools.partial(paired, root, ".json", options.images or root), parse, options.names)


def _parse(
    unit: tuple[str, str, str],
    report: Report,
    *,
    images: ImageFinder,
    given: bool,
    group: bool,
    regex: re.Pattern[str] | None,
) -> Iterable[Record]:
    path, name, split = unit
    if not path.lower().endswith(".json"):
        return [unlabelled(path, name, split, report)]
    content = load_json(path, _File, report)
    where = (path, 0)
    finder = images if given else ImageFinder([Path(path).parent, *map(Path, images.folders)], images.missing)
    relative = content.imagePath.replace("\\", "/")
    wanted = [part for part in (relative, relative.rpartition("/")[2], name) if part]
    found = finder.locate(wanted, size_of(content.imageWidth, content.imageHeight), where, report)
    groups: dict[Any, Box] = {}
    boxes = []
    for item in content.shapes:
        try:
            shape = msgspec.convert(item, _Shape)
        except msgspec.ValidationError as error:
            report.add("parse", f"a shape: {error}", *where)
            continue
        box = _box(shape, regex, path, report)
        if box is None:
            continue
        box.x1, box.x2, box.y1, box.y2 = (
            box.x1 * found.sx,
            box.x2 * found.sx,
            box.y1 * found.sy,
            box.y2 * found.sy,
        )
        if group and shape.group_id is not None:
            first = groups.setdefault((box.label, shape.group_id), box)
            if first is not box:
                first.x1, first.y1 = min(first.x1, box.x1), min(first.y1, box.y1)
                first.x2, first.y2 = max(first.x2, box.x2), max(first.y2, box.y2)
                continue
        boxes.append(box)
    status = Status.ANNOTATED if content.shapes else Status.BACKGROUND
    full = inner_name(name) + Path(found.image).suffix
    return [Record(found.image, full, found.width, found.height, boxes, status.value, split, path)]


def _box(shape: _Shape, regex: re.Pattern[str] | None, path: str, report: Report) -> Box | None:
    label, kind = str(shape.label).strip(), (shape.shape_type or "polygon").lower()
    if regex:
        match = regex.search(label)
        if not match or not match.groups():
            raise RecordError("parse", f"label {label!r} does not match {regex.pattern!r} with a group", path)
        label = match[1]
    xs, ys = [x for x, _ in shape.points], [y for _, y in shape.points]
    if kind in _POINTS or len(xs) < 2:
        report.add("unsupported-shape", f"{label}: {kind} with {len(xs)} points", path)
        return None
    if kind == "circle":
        radius = math.hypot(xs[1] - xs[0], ys[1] - ys[0])
        corners = ellipse_envelope(xs[0], ys[0], radius, radius)
    else:
        corners = points_envelope(xs, ys)
    if kind != "rectangle":
        report.add("polygon", f"{label}: {kind}", path, action="envelope taken")
    return Box(label, *corners, flags_from(shape.flags or {}))


def write(samples: Iterable[Sample], names: tuple[str, ...], out: Output) -> None:
    """A folder per split with a JSON beside each image; flags of boxes become shape flags."""
    for sample, image, _ in out.place_all(samples, lambda sample: sample.split or "train"):
        shapes = []
        rows = zip(sample.classes.tolist(), sample.flags.tolist(), sample.boxes.tolist(), strict=True)
        for class_id, flags, (x1, y1, x2, y2) in rows:
            if class_id < 0:
                text = "LabelMe cannot ignore a region for every class"
                out.report.add("lost-flag", text, sample.source or sample.image)
                continue
            shapes.append(
                {
                    "label": names[class_id],
                    "points": [[x1, y1], [x2, y2]],
                    "group_id": None,
                    "shape_type": "rectangle",
                    "flags": flag_names(flags),
                }
            )
        content: dict[str, Any] = {
            "version": "5.0.0",
            "flags": {},
            "shapes": shapes,
            "imagePath": image.name,
            "imageData": None,
            "imageHeight": sample.height,
            "imageWidth": sample.width,
        }
        write_text(image.with_suffix(".json"), json.dumps(content, indent=1))
