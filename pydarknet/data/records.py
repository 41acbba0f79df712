# SPDX-License-Identifier: Apache-2.0
"""Records of a label source as they are read, and the rules that clean them.

A :class:`LabelSource` is a stream of small units and a function that turns one unit into records. Units are
cheap and can be pickled, so a conversion can parse them in several processes and hold only a few in memory.

Every reader takes the same steps: ``io.open_source``, :func:`cleaned`, ``LabelSource.class_names``,
:func:`to_samples`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from pydarknet.data.dataset import ANY_CLASS, SET_ASIDE, Flag, Sample, Status
from pydarknet.data.issues import Report
from pydarknet.data.paths import natural_key, split_of
from pydarknet.errors import DataError, RecordError
from pydarknet.system.text import is_utf8


class Box(msgspec.Struct, array_like=True):
    """One box as read: the class by name (``""`` = any class), corners in pixels on edges."""

    label: str
    x1: float
    y1: float
    x2: float
    y2: float
    flags: int = 0
    score: float | None = None
    line: int = 0


class Record(msgspec.Struct, array_like=True):
    """One image as read; see :class:`~pydarknet.data.dataset.Sample` for the meaning of the fields."""

    image: str
    name: str
    width: int
    height: int
    boxes: list[Box]
    status: str = Status.ANNOTATED.value
    split: str = ""
    source: str = ""


Unit = Any  #: defined by the format; can be pickled
Order = Callable[[set[str]], tuple[str, ...]]


def alphabetical(labels: set[str]) -> tuple[str, ...]:
    """Class order of a format that fixes none."""
    return tuple(sorted(labels, key=natural_key))


@dataclass(frozen=True)
class LabelSource:
    """An opened data set, ready to be streamed.

    Attributes:
        units: starts the stream of units from the beginning; the same units each time.
        parse: turns one unit into records; can be pickled; raises ``RecordError`` when the unit is lost.
        names: class names if the format fixes them (and their order), else ``None``.
        order: puts the labels that occurred into class order when ``names`` is ``None``.
        format: name of the format, set by ``io.open_source``.
    """

    units: Callable[[], Iterable[Unit]]
    parse: Callable[[Unit, Report], Iterable[Record]]
    names: tuple[str, ...] | None = None
    order: Order = alphabetical
    format: str = ""

    def class_names(self, labels: set[str]) -> tuple[str, ...]:
        """Class names in order: those of the format, else the labels that occurred."""
        return self.names if self.names is not None else self.order(labels)


@dataclass(frozen=True)
class ReadOptions:
    """Options for reading a data set.

    Attributes:
        images: folder of the images if the format does not record it.
        names: class names in order, for formats that do not fix them.
        coords: corner convention (``"voc"``, ``"ilsvrc"`` or ``"edge"``) instead of the format's own.
        missing: ``"skip"`` leaves out annotations whose image file is missing, ``"keep"`` keeps those of
            known size.
        settings: options of one format only, see its module's ``SETTINGS``.
        trusted: unpack an archive that grows to more than 100 times its size.
    """

    images: Path | None = None
    names: tuple[str, ...] | None = None
    coords: str | None = None
    missing: str = "skip"
    settings: Mapping[str, str] = field(default_factory=dict)
    trusted: bool = False


@dataclass(frozen=True)
class Rules:
    """Rules for cleaning boxes.

    Attributes:
        on_error: ``"clip"`` repairs what can be repaired and drops the rest, ``"skip"`` drops every faulty
            box, ``"raise"`` stops at the first (through ``Report.strict``).
        min_visible: drop boxes of which less than this share of the area lies inside the image.
        min_size: drop boxes narrower or lower than this many pixels…
        network: …of an image resized to this (width, height); ``None`` = of the image itself.
        splits: the splits in which small boxes are dropped; ``None`` = all.
    """

    on_error: str = "clip"
    min_visible: float = 0.0
    min_size: float = 0.0
    network: tuple[int, int] | None = None
    splits: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.on_error not in ("clip", "skip", "raise"):
            raise DataError(f"on_error must be raise, skip or clip, not {self.on_error!r}")
        if not 0 <= self.min_visible <= 1:
            raise DataError(f"min_visible must lie in 0…1, not {self.min_visible}")


def parse_min_size(text: str) -> tuple[float, tuple[int, int] | None]:
    """``"5"`` → 5 image pixels, ``"5@416x416"`` → 5 pixels of a 416×416 network.

    Raises:
        DataError: if the text has another form.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(?:@(\d+)x(\d+))?", text.strip())
    if not match:
        raise DataError(f"--min-size must look like 5 or 5@416x416, not {text!r}")
    network = (int(match[2]), int(match[3])) if match[2] else None
    if network and min(network) == 0:
        raise DataError(f"--min-size: {match[2]}x{match[3]} is not a valid network size")
    return float(match[1]), network


def parse_splits(text: str) -> tuple[str, ...]:
    """``"train,valid"`` → ``("train", "val")``.

    Raises:
        DataError: if a word is not a split.
    """
    splits = tuple(split_of(word.strip()) for word in text.split(","))
    if "" in splits:
        raise DataError(f"expected some of train, val and test, not {text!r}")
    return splits


def clean(record: Record, rules: Rules, report: Report) -> Record:
    """The record with its boxes repaired or dropped in the documented order, every change reported."""
    seen: set[tuple[str, float, float, float, float]] = set()
    kept = []
    for box in record.boxes:
        fixed = _clean_box(box, record, rules, report)
        if fixed is None:
            continue
        key = (fixed.label, fixed.x1, fixed.y1, fixed.x2, fixed.y2)
        if key in seen:
            report.add("duplicate", f"{_show(box)} is a duplicate", record.source, box.line)
            continue
        seen.add(key)
        kept.append(fixed)
    record.boxes = kept
    return record


def _show(box: Box) -> str:
    return f"{box.label or 'any class'} ({box.x1:.6g}, {box.y1:.6g}, {box.x2:.6g}, {box.y2:.6g})"


def _clean_box(box: Box, record: Record, rules: Rules, report: Report) -> Box | None:
    """The box in order and inside the image, or ``None``."""
    where = (record.source or record.image, box.line)
    repair = rules.on_error != "skip"
    if not all(map(math.isfinite, (box.x1, box.y1, box.x2, box.y2))):
        report.add("nan", f"{_show(box)} is not finite", *where)
        return None
    x1, x2 = min(box.x1, box.x2), max(box.x1, box.x2)
    y1, y2 = min(box.y1, box.y2), max(box.y1, box.y2)
    if x1 != box.x1 or y1 != box.y1:
        report.add("swapped", f"{_show(box)} has swapped corners", *where, action=_action(repair, "swapped"))
        if not repair:
            return None
    width, height = record.width, record.height
    inside = Box(
        box.label, max(x1, 0.0), max(y1, 0.0), min(x2, width), min(y2, height), box.flags, box.score, box.line
    )
    w, h = inside.x2 - inside.x1, inside.y2 - inside.y1
    if w <= 0 or h <= 0:
        if x1 >= width or y1 >= height or x2 <= 0 or y2 <= 0:
            report.add("outside", f"{_show(box)} lies outside the {width}x{height} image", *where)
        else:
            report.add("degenerate", f"{_show(box)} has no area", *where)
        return None
    visible = w * h / ((x2 - x1) * (y2 - y1))
    # Fractions with six decimals have this rounding error: such an overhang is not an error of the label.
    slack = 1e-6 * max(width, height)
    if max(inside.x1 - x1, inside.y1 - y1, x2 - inside.x2, y2 - inside.y2) > slack:
        lost = f"with {100 * (1 - visible):.3g} % of its area"
        text = f"{_show(box)} leaves the {width}x{height} image {lost}"
        report.add("clipped", text, *where, action=_action(repair, "clipped"))
        if not repair:
            return None
    return inside if _wanted(inside, visible, record, rules, report) else None


def _wanted(box: Box, visible: float, record: Record, rules: Rules, report: Report) -> bool:
    """Whether enough of the box can be seen."""
    where = (record.source or record.image, box.line)
    if visible < rules.min_visible:
        report.add("hidden", f"only {100 * visible:.3g} % of {_show(box)} is inside the image", *where)
        return False
    if rules.splits is not None and record.split not in rules.splits:
        return True
    w, h = box.x2 - box.x1, box.y2 - box.y1
    at = ""
    if rules.network:
        w, h = w * rules.network[0] / record.width, h * rules.network[1] / record.height
        at = f" at {rules.network[0]}x{rules.network[1]}"
    if w < rules.min_size or h < rules.min_size:
        report.add("too-small", f"{_show(box)} is smaller than {rules.min_size:g} px{at}", *where)
        return False
    return True


def _action(repair: bool, done: str) -> str:
    return done if repair else "dropped"


def cleaned(source: LabelSource, units: Iterable[Unit], rules: Rules, report: Report) -> Iterator[Record]:
    """Parse units of a source and clean their records; a unit that cannot be parsed is reported and skipped.

    Raises:
        RecordError: the first issue, if the report is strict.
    """
    known = None if source.names is None else frozenset(source.names)
    for unit in units:
        try:
            for record in source.parse(unit, report):
                if not record.image.isascii() and not is_utf8(record.image):
                    raise RecordError("encoding", "the name is not UTF-8; rename it", record.image)
                if known is not None:
                    record.boxes = [box for box in record.boxes if _known(box, known, record, report)]
                yield clean(record, rules, report)
        except RecordError as error:
            if report.strict:
                raise
            report.add(error.code, error.reason, error.file, error.line, column=error.column)


def _known(box: Box, known: frozenset[str], record: Record, report: Report) -> bool:
    if box.label in known or (not box.label and box.flags & SET_ASIDE):
        return True
    report.add("unknown-class", f"class {box.label!r} is not in the class list", record.source, box.line)
    return False


def to_samples(records: Iterable[Record], names: Sequence[str]) -> Iterator[Sample]:
    """Convert cleaned records to samples.

    Args:
        records: every label in them must be one of ``names``.
        names: class names in order.
    """
    index = {name: number for number, name in enumerate(names)}
    return (_to_sample(record, index) for record in records)


def _to_sample(record: Record, index: Mapping[str, int]) -> Sample:
    boxes = record.boxes
    scores = [box.score for box in boxes if box.score is not None]
    return Sample(
        image=Path(record.image),
        boxes=np.array([(box.x1, box.y1, box.x2, box.y2) for box in boxes]),
        classes=np.array([index[box.label] if box.label else ANY_CLASS for box in boxes]),
        flags=np.array([box.flags if box.label else box.flags | Flag.IGNORE for box in boxes]),
        scores=np.array(scores) if boxes and len(scores) == len(boxes) else None,
        size=(record.width, record.height),
        status=Status(record.status),
        split=record.split,
        name=record.name,
        source=record.source,
    )
