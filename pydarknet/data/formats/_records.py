# SPDX-License-Identifier: Apache-2.0
"""Parts that most formats of one JSON object per image share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from pydarknet.data.dataset import Status
from pydarknet.data.formats._common import FoundImage
from pydarknet.data.issues import Report
from pydarknet.data.paths import split_of
from pydarknet.data.records import Box, Record
from pydarknet.errors import RecordError

T = TypeVar("T")


def file_split(path: Path) -> str:
    """The split in a file's name or in that of its folder."""
    words = (*re.split(r"[_.-]", path.stem), path.parent.name)
    return next((split for split in map(split_of, words) if split), "")


def boxes_of(items: Iterable[T], box: Callable[[T], Box | None], report: Report) -> list[Box]:
    """The boxes of an image's annotations; one that cannot be read is reported, and the others stay.

    Args:
        items: the annotations.
        box: gives the box of one, ``None`` if it has none; may raise ``RecordError``.
        report: receives the errors.
    """
    boxes = []
    for item in items:
        try:
            found = box(item)
        except RecordError as error:
            report.add(error.code, error.reason, error.file, error.line)
            continue
        if found is not None:
            boxes.append(found)
    return boxes


def record(found: FoundImage, name: str, boxes: list[Box], status: Status, split: str, source: str) -> Record:
    """The record of an image, with its boxes scaled from the annotation's pixels to its own."""
    for box in boxes:
        box.x1, box.x2, box.y1, box.y2 = (
            box.x1 * found.sx,
            box.x2 * found.sx,
            box.y1 * found.sy,
            box.y2 * found.sy,
        )
    return Record(found.image, name, found.width, found.height, boxes, status.value, split, source)
