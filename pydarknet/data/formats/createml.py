# SPDX-License-Identifier: Apache-2.0
"""Create ML (Apple): a JSON list of images with boxes by centre and size in pixels.

Format: https://developer.apple.com/documentation/createml/building-an-object-detector-data-source
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydarknet.data.dataset import Sample, Status
from pydarknet.data.formats._common import ImageFinder, load_json, number, split_images
from pydarknet.data.formats._sniff import files_of, given_files, json_head
from pydarknet.data.issues import Report
from pydarknet.data.joined import joined
from pydarknet.data.output import Output
from pydarknet.data.paths import split_of
from pydarknet.data.records import Box, LabelSource, ReadOptions, Record
from pydarknet.errors import RecordError

_IMAGES, _LISTS = ("image", "imagefilename"), ("annotations", "annotation")
_Unit = tuple[int, dict[str, Any]]


def sniff(path: Path) -> bool:
    """A JSON list of objects with ``image`` and ``annotations``, or a folder with some."""
    return bool(_files(path))


def _files(path: Path) -> list[Path]:
    return files_of(path, (".json",), _is_createml)


def _is_createml(file: Path) -> bool:
    entry = json_head(file).first("")
    named = any(isinstance(entry.get(key), str) for key in _IMAGES)
    return named and any(isinstance(entry.get(key), list) for key in _LISTS)


def read(path: Path, options: ReadOptions, report: Report) -> LabelSource:
    """A file, or a folder with one per split; images are beside it, in ``images``, or given."""
    files = given_files(path, _files(path), "Create ML JSON")
    return joined([_read_file(file, options, report) for file in files], path, report)


def _read_file(path: Path, options: ReadOptions, report: Report) -> LabelSource:
    words = (*re.split(r"[_.-]", path.stem), path.parent.name)
    split = next((s for s in map(split_of, words) if s), "")
    units = list(enumerate(load_json(path, list[dict[str, Any]], report), 1))
    images = split_images(options, path.parent, split)
    parse = functools.partial(_parse, path=str(path), images=images, split=split)
    return LabelSource(functools.partial(iter, units), parse, options.names)


def _parse(unit: _Unit, report: Report, *, path: str, images: ImageFinder, split: str) -> Iterable[Record]:
    place, entry = unit
    where = (path, place)
    name = next((entry[key] for key in _IMAGES if isinstance(entry.get(key), str)), None)
    items = next((entry[key] for key in _LISTS if isinstance(entry.get(key), list)), None)
    if name is None or items is None:
        raise RecordError("parse", "expected the keys image and annotations", *where)
    found = images.locate([name], None, where, report)
    boxes = []
    for item in items:
        try:
            boxes.append(_box(item, where))
        except RecordError as error:
            report.add(error.code, error.reason, error.file, error.line)
    status = Status.ANNOTATED if items else Status.BACKGROUND
    return [Record(found.image, name, found.width, found.height, boxes, status.value, split, path)]


def _box(item: Any, where: tuple[str, int]) -> Box:
    box = item.get("coordinates") if isinstance(item, dict) else None
    if not isinstance(box, dict) or not isinstance(item.get("label"), str):
        raise RecordError("parse", "an annotation without label or coordinates", *where)
    x, y, w, h = (number(box.get(key), key, where) for key in ("x", "y", "width", "height"))
    score = item.get("confidence")
    score = float(score) if isinstance(score, int | float) else None
    return Box(item["label"].strip(), x - w / 2, y - h / 2, x + w / 2, y + h / 2, 0, score, where[1])


def write(samples: Iterable[Sample], names: tuple[str, ...], out: Output) -> None:
    """``<split>/_annotations.createml.json`` beside the images."""
    started = set()
    with out.growing() as append:
        for sample, image, name in out.place_all(samples, lambda sample: sample.split or "train"):
            boxes, items = out.plain(sample), []
            for class_id, (x1, y1, x2, y2) in zip(boxes.classes.tolist(), boxes.boxes.tolist(), strict=True):
                box = {"x": (x1 + x2) / 2, "y": (y1 + y2) / 2, "width": x2 - x1, "height": y2 - y1}
                items.append({"label": names[class_id], "coordinates": box})
            file = out.file("{split}/_annotations.createml.json", sample.split)
            append(file, ",\n" if file in started else "[\n")
            started.add(file)
            append(file, json.dumps({"image": name + image.suffix, "annotations": items}))
        for file in started:
            append(file, "\n]\n")
