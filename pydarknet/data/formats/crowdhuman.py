# SPDX-License-Identifier: Apache-2.0
"""CrowdHuman ``.odgt``: one JSON object per line with full-body, visible and head boxes of every person.

Boxes are left, top, width, height in pixels and may leave the image. Format:
https://www.crowdhuman.org/download.html
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydarknet.data.dataset import Flag, Status
from pydarknet.data.formats._common import ImageFinder, images_for, json_lines, number, parse_json
from pydarknet.data.formats._sniff import files_of, first_line, given_files
from pydarknet.data.issues import Report
from pydarknet.data.joined import joined
from pydarknet.data.paths import split_of
from pydarknet.data.records import Box, LabelSource, ReadOptions, Record
from pydarknet.errors import DataError, RecordError
from pydarknet.system.text import decode

SETTINGS = {
    "boxes": "class:kind pairs, kind = fbox (full body), vbox (visible) or hbox (head); "
    "default head:hbox,person:fbox"
}

_KINDS = ("fbox", "vbox", "hbox")


def sniff(path: Path) -> bool:
    """A file whose first line has the key ``gtboxes``, or a folder with some."""
    return bool(_files(path))


def _files(path: Path) -> list[Path]:
    suffixes = (".odgt", ".json", ".jsonl")
    return files_of(path, suffixes, lambda file: "gtboxes" in first_line(file).members)


def read(path: Path, options: ReadOptions, report: Report) -> LabelSource:
    """An ``.odgt`` file, or a folder with one per split; images are in ``Images``, ``images``, its folder,
    or given.
    """
    return joined(
        [_read_file(file, options) for file in given_files(path, _files(path), ".odgt file")], path, report
    )


def _read_file(path: Path, options: ReadOptions) -> LabelSource:
    kinds = _kinds(options.settings.get("boxes", "head:hbox,person:fbox"))
    images = images_for(options, path.parent / "Images", path.parent / "images", path.parent)
    split = next((s for s in map(split_of, path.stem.split("_")) if s), "")
    parse = functools.partial(_parse, path=str(path), kinds=kinds, images=images, split=split)
    return LabelSource(functools.partial(json_lines, path), parse, tuple(kinds))


def _kinds(text: str) -> dict[str, str]:
    kinds: dict[str, str] = {}
    for pair in text.split(","):
        name, _, kind = (part.strip() for part in pair.partition(":"))
        if not name or kind not in _KINDS or name in kinds:
            raise DataError(
                f"boxes={text}: expected class:kind pairs with kind fbox, vbox or hbox, each class once"
            )
        kinds[name] = kind
    return kinds


def _parse(
    unit: tuple[int, bytes],
    report: Report,
    *,
    path: str,
    kinds: dict[str, str],
    images: ImageFinder,
    split: str,
) -> Iterable[Record]:
    line, data = unit
    where = (path, line)
    entry = parse_json(decode(data, path, line), dict[str, Any], where, report)
    name, persons = entry.get("ID"), entry.get("gtboxes")
    if not isinstance(name, str) or not isinstance(persons, list):
        raise RecordError("parse", "expected the keys ID and gtboxes", *where)
    found = images.locate([f"{name}.jpg", name], None, where, report)
    boxes: list[Box] = []
    for person in persons:
        if not isinstance(person, dict):
            raise RecordError("parse", "gtboxes contains a value that is not an object", *where)
        boxes += _boxes(person, kinds, where, report)
    status = Status.ANNOTATED if persons else Status.BACKGROUND
    suffix = Path(found.image).suffix
    return [Record(found.image, name + suffix, found.width, found.height, boxes, status.value, split, path)]


def _boxes(
    person: dict[str, Any], kinds: dict[str, str], where: tuple[str, int], report: Report
) -> list[Box]:
    tag = person.get("tag")
    if tag not in ("person", "mask"):
        report.add("unknown-class", f"tag {tag!r} is neither person nor mask", *where)
        return []
    extra, head = person.get("extra") or {}, person.get("head_attr") or {}
    boxes: list[Box] = []
    for label, kind in kinds.items():
        if kind not in person:
            report.add("parse", f"a {tag} without {kind}", *where, action=f"no {label} box")
            continue
        corners = _corners(person[kind], kind, where)
        if tag == "mask":  # a crowd, a poster or a reflection: not evaluated
            box = Box("", *corners, Flag.IGNORE, None, where[1])
            boxes += [box] if box not in boxes else []
            continue
        flags = Flag.IGNORE if extra.get("ignore") == 1 else Flag(0)
        if kind == "hbox":
            flags |= Flag.IGNORE if head.get("ignore") == 1 else Flag(0)
            flags |= Flag.OCCLUDED if head.get("occ") == 1 else Flag(0)
        elif extra.get("occ") == 1:
            flags |= Flag.OCCLUDED
        boxes.append(Box(label, *corners, int(flags), None, where[1]))
    return boxes


def _corners(values: Any, kind: str, where: tuple[str, int]) -> tuple[float, float, float, float]:
    if not isinstance(values, list) or len(values) != 4:
        raise RecordError("parse", f"{kind} is {values!r}, expected [x, y, width, height]", *where)
    x, y, w, h = (number(value, kind, where) for value in values)
    return x, y, x + w, y + h
