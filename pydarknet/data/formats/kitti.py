# SPDX-License-Identifier: Apache-2.0
"""KITTI: one text per image with 15 columns (16 with a score), ``label_2`` beside ``image_2``.

Corners are float pixels on edges; ``DontCare`` regions are ignored for every class. Tracking labels (17
columns, one file per sequence) are read too. Format: https://www.cvlibs.net/datasets/kitti/eval_object.php
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from pydarknet.data.dataset import SET_ASIDE, Flag, Sample, Status
from pydarknet.data.formats._common import ImageFinder, choice, images_for, number, paired, unlabelled
from pydarknet.data.issues import Report
from pydarknet.data.label_files import write_text
from pydarknet.data.output import Output
from pydarknet.data.paths import inner_name, walk
from pydarknet.data.records import Box, LabelSource, ReadOptions, Record
from pydarknet.errors import RecordError
from pydarknet.system.text import lines_of

SETTINGS = {"difficulty": "objects harder than easy, moderate or hard are set aside; all (default): none is"}

_COLUMNS, _TRACKING = (15, 16), 17
_LABEL_FOLDERS, _IMAGE_FOLDERS = ("label_2", "label_02", "labels"), ("image_2", "image_02", "images")
# Smallest height in pixels, highest occlusion, highest truncation: the benchmark's own classes of difficulty.
_LIMITS = {"easy": (40, 0, 0.15), "moderate": (25, 1, 0.30), "hard": (25, 2, 0.50)}


def sniff(path: Path) -> bool:
    """A folder with ``label_2`` and ``image_2``, or with texts of 15 to 17 columns, the first a word."""
    if not path.is_dir():
        return False
    if (path / "label_2").is_dir() and (path / "image_2").is_dir():
        return True
    return any(map(_is_label, islice(walk(path, (".txt",)), 5)))


def _is_label(file: Path) -> bool:
    rows = [line.split() for line in lines_of(file)[:5] if line]
    return bool(rows) and all(
        (len(row) in _COLUMNS and row[0][:1].isalpha()) or (len(row) == _TRACKING and row[2][:1].isalpha())
        for row in rows
    )


def read(path: Path, options: ReadOptions, _report: Report) -> LabelSource:
    """A folder with ``label_2`` and ``image_2`` (maybe below ``training``), or texts beside their images."""
    roots = [path, path / "training"]
    labels = next((root / name for root in roots for name in _LABEL_FOLDERS if (root / name).is_dir()), path)
    base = labels.parent if labels != path else path
    folder = next((base / name for name in _IMAGE_FOLDERS if (base / name).is_dir()), base)
    parse = functools.partial(
        _parse,
        images=images_for(options, folder),
        difficulty=choice(options, "difficulty", "all", *_LIMITS),
    )
    return LabelSource(
        functools.partial(paired, labels, ".txt", options.images or folder), parse, options.names
    )


def _parse(
    unit: tuple[str, str, str], report: Report, *, images: ImageFinder, difficulty: str
) -> Iterable[Record]:
    path, name, split = unit
    if not path.endswith(".txt"):
        return [unlabelled(path, name, split, report)]
    frames: dict[str, list[Box]] = {}
    for line, text in enumerate(lines_of(path), 1):
        row = text.split()
        if not row:
            continue
        image = name
        if len(row) == _TRACKING:
            image, row = f"{name}/{row[0].zfill(6)}", row[2:]
        elif len(row) not in _COLUMNS:
            raise RecordError("parse", f"{len(row)} columns, expected 15, 16 or 17", path, line)
        frames.setdefault(image, []).append(_box(row, difficulty, (path, line)))
    records = []
    for image, boxes in (frames or {name: []}).items():
        found = images.locate([image], None, (path, 0), report)
        status = Status.ANNOTATED if boxes else Status.BACKGROUND
        full = inner_name(image) + Path(found.image).suffix
        records.append(Record(found.image, full, found.width, found.height, boxes, status.value, split, path))
    return records


def _box(row: list[str], difficulty: str, where: tuple[str, int]) -> Box:
    values = [number(word, "a column", where) for word in row[1:]]
    truncated, occluded = values[0], values[1]
    x1, y1, x2, y2 = values[3:7]
    score = values[14] if len(values) == 15 else None
    if row[0] == "DontCare":
        return Box("", x1, y1, x2, y2, Flag.IGNORE, None, where[1])
    flags = (Flag.OCCLUDED if occluded > 0 else 0) | (Flag.TRUNCATED if truncated > 0 else 0)
    if difficulty in _LIMITS:
        height, hidden, cut = _LIMITS[difficulty]
        if y2 - y1 < height or occluded > hidden or truncated > cut:
            flags |= Flag.IGNORE
    return Box(row[0], x1, y1, x2, y2, int(flags), score, where[1])


def write(samples: Iterable[Sample], names: tuple[str, ...], out: Output) -> None:
    """``image_2`` and ``label_2`` with a folder per split; boxes set aside become ``DontCare``."""
    words = [name.replace(" ", "_") for name in names]
    for sample, _, name in out.place_all(samples, lambda sample: f"image_2/{sample.split or 'train'}"):
        label = out.root / "label_2" / (sample.split or "train") / f"{name}.txt"
        write_text(label, _text(sample, words, out))


def _text(sample: Sample, words: list[str], out: Output) -> str:
    lines = []
    scores = [None] * len(sample) if sample.scores is None else sample.scores.tolist()
    rows = zip(sample.classes.tolist(), sample.flags.tolist(), scores, sample.boxes.tolist(), strict=True)
    for class_id, flags, score, corners in rows:
        box = " ".join(f"{value:.6f}" for value in corners)
        if flags & SET_ASIDE and out.ignore != "box":
            if out.ignore == "drop" or class_id >= 0:
                text = "KITTI cannot set a box of one class aside"
                action = "dropped" if out.ignore == "drop" else "written as DontCare"
                out.report.add("lost-flag", text, sample.source or sample.image, action=action)
            if out.ignore != "drop":
                lines.append(f"DontCare -1 -1 -10 {box} -1 -1 -1 -1000 -1000 -1000 -10\n")
        elif class_id >= 0:
            hidden = f"{int(bool(flags & Flag.TRUNCATED))}.00 {int(bool(flags & Flag.OCCLUDED))}"
            end = "" if score is None else f" {score:.6f}"
            lines.append(f"{words[class_id]} {hidden} -10 {box} -1 -1 -1 -1000 -1000 -1000 -10{end}\n")
    return "".join(lines)
