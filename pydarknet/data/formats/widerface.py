# SPDX-License-Identifier: Apache-2.0
"""WIDER FACE: one text per split with the name of an image, the number of its faces, and a line for each.

A line is ``x y width height blur expression illumination invalid occlusion pose`` in whole pixels. Format:
http://shuoyang1213.me/WIDERFACE/
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from pydarknet.data.coords import convention, from_edges
from pydarknet.data.dataset import SET_ASIDE, Flag, Sample, Status
from pydarknet.data.formats._common import ImageFinder, images_for, number
from pydarknet.data.formats._sniff import files_of, given_files
from pydarknet.data.issues import Report
from pydarknet.data.joined import joined
from pydarknet.data.output import Output
from pydarknet.data.paths import split_of
from pydarknet.data.records import Box, LabelSource, ReadOptions, Record
from pydarknet.engine.image_header import is_image
from pydarknet.errors import DataError, RecordError
from pydarknet.system.text import read_text

_INVALID, _OCCLUSION = 7, 8  # columns
_Unit = tuple[str, int, list[str]]  # image, line of the first face, faces


def sniff(path: Path) -> bool:
    """A text that names an image, a number, and so on; or a folder with some."""
    return bool(_files(path))


def _files(path: Path) -> list[Path]:
    return files_of(path, (".txt",), _is_list)


def _is_list(file: Path) -> bool:
    with suppress(RecordError, OSError):
        lines = _lines(file)[:3]
        faces = lines[2].split() if len(lines) == 3 else []
        return len(faces) >= 4 and is_image(lines[0]) and lines[1].strip().isdigit()
    return False


def read(path: Path, options: ReadOptions, report: Report) -> LabelSource:
    """``wider_face_train_bbx_gt.txt`` and the like, or the folder around it; images in
    ``WIDER_train/images``, beside the file, or given.
    """
    files = given_files(path, _files(path), "WIDER FACE text")
    return joined([_read_file(file, options) for file in files], path, report)


def _read_file(path: Path, options: ReadOptions) -> LabelSource:
    split = next((s for s in map(split_of, path.stem.split("_")) if s), "")
    roots = [root / f"WIDER_{split or 'train'}" / "images" for root in (path.parent, path.parent.parent)]
    images = images_for(options, *roots, path.parent / "images", path.parent)
    parse = functools.partial(_parse, path=str(path), images=images, split=split)
    return LabelSource(functools.partial(_units, path), parse, ("face",))


def _lines(path: Path) -> list[str]:
    """Lines with their blanks, which names of images may begin with."""
    return read_text(path).rstrip().split("\n")


def _units(path: Path) -> Iterator[_Unit]:
    lines = _lines(path)
    at = 0
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        count = lines[at + 1].strip() if at + 1 < len(lines) else ""
        if not is_image(lines[at]) or not count.isdigit():
            text = (
                f"expected the name of an image and the number of its faces, found {lines[at]!r}, {count!r}"
            )
            raise RecordError("parse", text, path, at + 1)
        rows = max(int(count), 1)  # an image without faces has a line of zeros
        faces = lines[at + 2 : at + 2 + rows]
        if not int(count):
            rows = 1 if faces and not is_image(faces[0]) else 0
        yield lines[at], at + 3, faces[: int(count)]
        at += 2 + rows


def _parse(unit: _Unit, report: Report, *, path: str, images: ImageFinder, split: str) -> Iterable[Record]:
    name, first, faces = unit
    found = images.locate([name], None, (path, first - 2), report)
    boxes = []
    for line, text in enumerate(faces, first):
        try:
            values = [number(word, "a column", (path, line)) for word in text.split()]
            if len(values) < 4:
                raise RecordError("parse", f"{len(values)} columns, expected at least 4", path, line)
        except RecordError as error:
            report.add(error.code, error.reason, error.file, error.line)
            continue
        x, y, w, h = values[:4]
        flags = Flag.IGNORE if len(values) > _INVALID and values[_INVALID] else Flag(0)
        flags |= Flag.OCCLUDED if len(values) > _OCCLUSION and values[_OCCLUSION] else Flag(0)
        boxes.append(Box("face", x, y, x + w, y + h, int(flags), None, line))
    status = Status.ANNOTATED if faces else Status.BACKGROUND
    return [Record(found.image, name, found.width, found.height, boxes, status.value, split, path)]


def write(samples: Iterable[Sample], names: tuple[str, ...], out: Output) -> None:
    """``wider_face_<split>_bbx_gt.txt`` and ``WIDER_<split>/images``; whole pixels.

    Raises:
        DataError: if there are several classes.
    """
    if len(names) > 1:
        raise DataError(f"WIDER FACE has one class, found {len(names)}; choose one with --classes")
    rule = convention("edge")
    with out.growing() as append:
        placed = out.place_all(samples, lambda sample: f"WIDER_{sample.split or 'train'}/images")
        for sample, image, name in placed:
            rows = []
            for class_id, flags, corners in zip(
                sample.classes.tolist(), sample.flags.tolist(), sample.boxes.tolist(), strict=True
            ):
                if flags & SET_ASIDE and out.ignore == "drop":
                    continue
                x1, y1, x2, y2 = from_edges(rule, *corners)
                aside = int(bool(flags & SET_ASIDE) and (out.ignore != "box" or class_id < 0))
                hidden = int(bool(flags & Flag.OCCLUDED))
                rows.append(f"{x1} {y1} {x2 - x1} {y2 - y1} 0 0 0 {aside} {hidden} 0\n")
            file = out.file("wider_face_{split}_bbx_gt.txt", sample.split)
            faces = "".join(rows) or "0 0 0 0 0 0 0 0 0 0\n"
            append(file, f"{name}{image.suffix}\n{len(rows)}\n{faces}")
