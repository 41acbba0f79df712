# SPDX-License-Identifier: Apache-2.0
"""VisDrone: one text per image in ``annotations``, images in ``images``.

A line is ``left,top,width,height,score,category,truncation,occlusion`` in whole pixels. Category 0 is a
region to ignore, and a score of 0 a box that is not evaluated. Format:
https://github.com/VisDrone/VisDrone2018-DET-toolkit
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from pydarknet.data.coords import convention, from_edges
from pydarknet.data.dataset import SET_ASIDE, Flag, Sample, Status
from pydarknet.data.formats._common import ImageFinder, images_for, number, paired, unlabelled
from pydarknet.data.issues import Report
from pydarknet.data.joined import joined
from pydarknet.data.label_files import write_text
from pydarknet.data.output import Output
from pydarknet.data.paths import inner_name, split_of, walk
from pydarknet.data.records import Box, LabelSource, ReadOptions, Record
from pydarknet.engine.darknet_files import read_names
from pydarknet.errors import DataError, RecordError
from pydarknet.system.text import lines_of

NAMES = (
    "pedestrian", "people", "bicycle", "car", "van", "truck", "tricycle", "awning-tricycle", "bus", "motor",
    "others",
)  # fmt: skip
_LINE = re.compile(r"(-?\d+(\.\d+)?,){7}-?\d+,?")
_NAME_FILE = "classes.txt"  # names of other categories, which the format itself cannot hold


def sniff(path: Path) -> bool:
    """A folder with ``annotations`` whose texts have eight numbers between commas, or a folder of such."""
    return bool(_roots(path))


def _roots(path: Path) -> list[Path]:
    if not path.is_dir():
        return []
    places = [path, *sorted(entry for entry in path.iterdir() if entry.is_dir())]
    return [place for place in places if _has_annotations(place / "annotations")]


def _has_annotations(folder: Path) -> bool:
    """Whether texts have VisDrone's lines; all may be empty, if the images are where they belong."""
    empty = False
    for file in itertools.islice(walk(folder, (".txt",)), 20) if folder.is_dir() else ():
        with suppress(RecordError):
            lines = [line for line in lines_of(file) if line]
            if lines:
                return any(map(_LINE.fullmatch, lines[:20]))
            empty = True
    return empty and (folder.parent / "images").is_dir()


def read(path: Path, options: ReadOptions, report: Report) -> LabelSource:
    """A folder with ``annotations`` and ``images``, or one with such a folder per split.

    Raises:
        DataError: if there is none.
    """
    roots = _roots(path)
    if not roots:
        raise DataError(f"{path}: no folder annotations with VisDrone's lines there")
    return joined([_read_root(root, path, options) for root in roots], path, report)


def _read_root(root: Path, path: Path, options: ReadOptions) -> LabelSource:
    file = next((folder / _NAME_FILE for folder in (root, path) if (folder / _NAME_FILE).is_file()), None)
    names = options.names or (read_names(file, strict=True) if file else NAMES)
    images = options.images or root / "images"
    split = next((s for s in map(split_of, re.split(r"[-_]", root.name)) if s), "")
    parse = functools.partial(_parse, images=images_for(options, images), names=names)
    return LabelSource(functools.partial(_units, root, images, split), parse, names)


def _units(root: Path, images: Path, split: str) -> Iterator[tuple[str, str, str]]:
    for file, name, own in paired(root / "annotations", ".txt", images):
        yield file, name, own or split


def _parse(
    unit: tuple[str, str, str], report: Report, *, images: ImageFinder, names: tuple[str, ...]
) -> Iterable[Record]:
    path, name, split = unit
    if not path.endswith(".txt"):
        return [unlabelled(path, name, split, report)]
    found = images.locate([name], None, (path, 0), report)
    boxes = []
    lines = [(line, text) for line, text in enumerate(lines_of(path), 1) if text]
    for line, text in lines:
        try:
            boxes.append(_box(text, names, (path, line)))
        except RecordError as error:
            report.add(error.code, error.reason, error.file, error.line)
    status = Status.ANNOTATED if lines else Status.BACKGROUND
    full = inner_name(name) + Path(found.image).suffix
    return [Record(found.image, full, found.width, found.height, boxes, status.value, split, path)]


def _box(text: str, names: tuple[str, ...], where: tuple[str, int]) -> Box:
    words = text.rstrip(",").split(",")
    if len(words) != 8:
        raise RecordError("parse", f"{len(words)} columns, expected 8", *where)
    x, y, w, h, score, category, truncation, occlusion = (number(word, "a column", where) for word in words)
    if not 0 <= category <= len(names) or not category.is_integer():
        text = f"category {category:g}; expected 0 (ignored) to {len(names)}, the number of classes"
        raise RecordError("class-range", text, *where)
    flags = Flag.IGNORE if not score or not category else Flag(0)
    flags |= Flag.TRUNCATED if truncation > 0 else Flag(0)
    flags |= Flag.OCCLUDED if occlusion > 0 else Flag(0)
    label = names[int(category) - 1] if category else ""
    return Box(label, x, y, x + w, y + h, int(flags), None, where[1])


def write(samples: Iterable[Sample], names: tuple[str, ...], out: Output) -> None:
    """``<split>/annotations`` and ``<split>/images``; whole pixels.

    Classes that are not VisDrone's are numbered from 1 and named in ``classes.txt``.
    """
    known = set(names) <= set(NAMES)
    numbers = [NAMES.index(name) + 1 for name in names] if known else list(range(1, len(names) + 1))
    rule = convention("edge")
    with out.growing() as append:
        for sample, _, name in out.place_all(samples, lambda sample: f"{sample.split or 'train'}/images"):
            rows = []
            for class_id, flags, corners in zip(
                sample.classes.tolist(), sample.flags.tolist(), sample.boxes.tolist(), strict=True
            ):
                aside = bool(flags & SET_ASIDE) and (out.ignore != "box" or class_id < 0)
                if aside and out.ignore == "drop":
                    continue
                x1, y1, x2, y2 = from_edges(rule, *corners)
                category = numbers[class_id] if class_id >= 0 else 0
                cut, hidden = int(bool(flags & Flag.TRUNCATED)), int(bool(flags & Flag.OCCLUDED))
                rows.append(f"{x1},{y1},{x2 - x1},{y2 - y1},{int(not aside)},{category},{cut},{hidden}\n")
            write_text(out.root / (sample.split or "train") / "annotations" / f"{name}.txt", "".join(rows))
        if not known:
            append(_NAME_FILE, "".join(f"{name}\n" for name in names))
