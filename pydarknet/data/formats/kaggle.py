# SPDX-License-Identifier: Apache-2.0
"""Kaggle "ImageNet Object Localization" CSV: ``ImageId,PredictionString``, five words per box.

A solution names classes by synset id; a submission by number (the mapping's line, from 1), at most five,
best first. Corners are 0-based inclusive pixels. Format:
https://www.kaggle.com/c/imagenet-object-localization-challenge
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from pydarknet.data.coords import Convention, convention, from_edges, to_edges
from pydarknet.data.dataset import Sample, Status
from pydarknet.data.formats._common import ImageFinder, choice, images_for, number
from pydarknet.data.formats._sniff import files_of, given_files, header
from pydarknet.data.formats._tables import csv_line, csv_rows, plain_name
from pydarknet.data.formats.ilsvrc import read_mapping
from pydarknet.data.issues import Report
from pydarknet.data.joined import joined
from pydarknet.data.output import Output
from pydarknet.data.paths import split_of
from pydarknet.data.records import Box, LabelSource, ReadOptions, Record
from pydarknet.errors import DataError, RecordError

SETTINGS = {
    "mapping": "LOC_synset_mapping.txt, if not beside the CSV; for writing: class names become synset ids",
    "class_names": "synonym (default): the first word of the mapping, or wnid: the synset id",
    "style": "file to write: solution (default) or submission",
}

_HEADER = ["ImageId", "PredictionString"]
_WORDS = 5


def sniff(path: Path) -> bool:
    """A CSV whose header is ``ImageId,PredictionString``, or a folder with some."""
    return bool(_files(path))


def _files(path: Path) -> list[Path]:
    wanted = [plain_name(name) for name in _HEADER]
    return files_of(path, (".csv",), lambda file: header(file) == wanted)


def read(path: Path, options: ReadOptions, report: Report) -> LabelSource:
    """One solution (or submission) CSV, or a folder with one per split."""
    return joined(
        [
            _read_file(file, options, report)
            for file in given_files(path, _files(path), "CSV with ImageId,PredictionString")
        ],
        path,
        report,
    )


def _read_file(path: Path, options: ReadOptions, report: Report) -> LabelSource:
    wnids = read_mapping(options, [path.parent], report)
    data = path.parent / "ILSVRC" / "Data" / "CLS-LOC"
    split = next((s for s in map(split_of, path.stem.split("_")) if s), "")
    folder = path.parent / "images"
    images = images_for(options, data, folder / (split or "train"), folder, path.parent)
    parse = functools.partial(
        _parse,
        path=str(path),
        wnids=wnids,
        images=images,
        rule=convention(options.coords or "ilsvrc"),
        split=split,
    )
    return LabelSource(functools.partial(_units, path), parse, tuple(wnids.values()) or options.names)


def _units(path: Path) -> Iterator[tuple[int, str, str]]:
    rows = csv_rows(path)
    line, columns = next(rows, (1, []))
    if columns != _HEADER:
        text = f"expected the header ImageId,PredictionString, found {','.join(columns)}"
        raise RecordError("parse", text, path, line)
    for line, row in rows:
        yield line, row[0], row[1] if len(row) > 1 else ""


def _parse(
    unit: tuple[int, str, str],
    report: Report,
    *,
    path: str,
    wnids: Mapping[str, str],
    images: ImageFinder,
    rule: Convention,
    split: str,
) -> Iterable[Record]:
    line, image_id, text = unit
    where, words = (path, line), text.split()
    if len(words) % _WORDS:
        raise RecordError(
            "parse", f"{len(words)} words are not a multiple of 5 (class xmin ymin xmax ymax)", *where
        )
    wnid = image_id.partition("_")[0]
    found = images.locate(
        [f"{wnid}/{image_id}", f"train/{wnid}/{image_id}", f"val/{image_id}", image_id], None, where, report
    )
    boxes = []
    for start in range(0, len(words), _WORDS):
        label, *corners = words[start : start + _WORDS]
        values = [number(word, "a corner", where) for word in corners]
        boxes.append(Box(_name(label, wnids), *to_edges(rule, *values), 0, None, line))
    status = Status.ANNOTATED if boxes else Status.BACKGROUND
    name = Path(found.image).name
    return [Record(found.image, name, found.width, found.height, boxes, status.value, split, path)]


def _name(label: str, wnids: Mapping[str, str]) -> str:
    if label in wnids or not label.isdigit() or not 0 < int(label) <= len(wnids):
        return wnids.get(label, label)
    return list(wnids.values())[int(label) - 1]


def write(samples: Iterable[Sample], names: tuple[str, ...], out: Output) -> None:
    """``LOC_<split>_solution.csv`` or ``submission.csv``; whole pixels.

    Raises:
        DataError: if a class name has a blank, which this format cannot hold.
    """
    style = choice(ReadOptions(settings=out.settings), "style", "solution", "submission")
    rule = convention(out.coords or "ilsvrc")
    wnids = (
        read_mapping(ReadOptions(settings=out.settings), [], out.report) if "mapping" in out.settings else {}
    )
    by_name = {name: wnid for wnid, name in wnids.items()}
    words = [by_name.get(name, name) for name in names]
    if style == "submission":
        order = list(wnids) or words
        words = [str(order.index(word) + 1) for word in words]
    elif blank := next((word for word in words if len(word.split()) != 1), None):
        raise DataError(f"class {blank!r} has a blank; give mapping=LOC_synset_mapping.txt or rename it")
    pattern = "submission.csv" if style == "submission" else "LOC_{split}_solution.csv"
    started = set()
    with out.growing() as append:
        for sample, _, name in out.place_all(samples, lambda sample: f"images/{sample.split or 'train'}"):
            file = out.file(pattern, sample.split)
            if file not in started:
                started.add(file)
                append(file, ",".join(_HEADER) + "\n")
            append(file, csv_line((name.rpartition("/")[2], _text(out.plain(sample), words, rule, style))))


def _text(sample: Sample, words: list[str], rule: Convention, style: str) -> str:
    rows = range(len(sample))
    if style == "submission":
        best = rows if sample.scores is None else np.argsort(-sample.scores, kind="stable").tolist()
        rows = list(best)[:_WORDS]  # type: ignore[assignment]
    found = []
    for row in rows:
        xmin, ymin, xmax, ymax = from_edges(rule, *sample.boxes[row].tolist())
        found.append(f"{words[sample.classes[row]]} {xmin} {ymin} {xmax} {ymax} ")
    return "".join(found)
