# SPDX-License-Identifier: Apache-2.0
"""Amazon SageMaker GroundTruth ``output.manifest``: one JSON object per image and line.

Boxes are left, top, width, height in whole pixels. Class ids are resolved through the class maps of all
lines.
Format: https://docs.aws.amazon.com/sagemaker/latest/dg/sms-data-output.html
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from pydarknet.data.coords import convention, from_edges
from pydarknet.data.dataset import Sample, Status
from pydarknet.data.formats._common import ImageFinder, choice, json_lines, number, parse_json, size_of
from pydarknet.data.formats._sniff import files_of, first_line, given_files
from pydarknet.data.issues import Report
from pydarknet.data.joined import joined
from pydarknet.data.output import Output
from pydarknet.data.paths import split_of
from pydarknet.data.records import Box, LabelSource, ReadOptions, Record
from pydarknet.errors import DataError, RecordError
from pydarknet.system.text import decode, read_text

SETTINGS = {
    "attribute": "the label attribute to read; default: the newest object detection job",
    "labels_json": 'the job\'s label category file ({"labels": [{"label": …}]}); fixes the class order',
    "uri_map": "where URIs are on this machine: s3://bucket/prefix=DIR, several separated by commas",
    "human_only": "yes: leave out boxes that no annotator confirmed; no (default)",
    "drop_rejected": "yes: leave out images that a label verification job rejected; no (default)",
}

_DETECTION, _VERIFICATION = "groundtruth/object-detection", "groundtruth/label-verification"


def sniff(path: Path) -> bool:
    """A file whose first line has the key ``source-ref``, or a folder with some."""
    return bool(_files(path))


def _files(path: Path) -> list[Path]:
    suffixes = (".manifest", ".json", ".jsonl")
    return files_of(path, suffixes, lambda file: "source-ref" in first_line(file).members)


def read(path: Path, options: ReadOptions, report: Report) -> LabelSource:
    """One manifest, or a folder with one per split; images in the folder given, through ``uri_map``, or
    beside the manifest.

    Raises:
        RecordError: if two lines give one class id two names, or one name two ids.
        DataError: if no label attribute is there, or the one asked for is not.
    """
    return joined(
        [_read_file(file, options, report) for file in given_files(path, _files(path), "manifest")],
        path,
        report,
    )


def _read_file(path: Path, options: ReadOptions, report: Report) -> LabelSource:
    attributes, classes = _survey(path)
    attribute = options.settings.get("attribute")
    if attribute is None:
        if not attributes:
            raise DataError(f"{path}: no line has labels of an object detection job")
        attribute = max(attributes, key=lambda name: attributes[name])
        if len(attributes) > 1:
            report.add("note", f"label attributes {', '.join(attributes)}", path, action=f"{attribute} taken")
    elif attribute not in attributes:
        raise DataError(
            f"{path}: no label attribute {attribute!r}; there are {', '.join(attributes) or 'none'}"
        )
    names = classes.get(attribute, {})
    order = _category_file(options) or tuple(names[key] for key in sorted(names))
    parse = functools.partial(
        _parse,
        path=str(path),
        attribute=attribute,
        names=names,
        finder=_Finder(options, path.parent),
        human_only=choice(options, "human_only", "no", "yes") == "yes",
        drop_rejected=choice(options, "drop_rejected", "no", "yes") == "yes",
        split=split_of(path.stem),
    )
    return LabelSource(functools.partial(json_lines, path), parse, order)


def _survey(path: Path) -> tuple[dict[str, str], dict[str, dict[int, str]]]:
    """Label attribute → newest creation date, and → class id → name, from all lines that can be read."""
    dates: dict[str, str] = {}
    classes: dict[str, dict[int, str]] = {}
    origin: dict[tuple[str, int | str], int] = {}
    for line, data in json_lines(path):
        try:
            entry = msgspec.json.decode(data, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
        for key in entry:
            meta = entry.get(f"{key}-metadata")
            if not isinstance(meta, dict) or meta.get("type", _DETECTION) != _DETECTION:
                continue
            if "type" not in meta and not isinstance(entry[key], dict):
                continue
            dates[key] = max(dates.get(key, ""), str(meta.get("creation-date", "")))
            known = classes.setdefault(key, {})
            for text, name in (meta.get("class-map") or {}).items():
                _add_class(known, origin, key, (text, str(name).strip()), (path, line))
    return dates, classes


def _add_class(
    known: dict[int, str],
    origin: dict[tuple[str, int | str], int],
    attribute: str,
    pair: tuple[str, str],
    where: tuple[Path, int],
) -> None:
    text, name = pair
    if not text.isdigit():
        raise RecordError("parse", f"class-map has the key {text!r}, expected a number", *where)
    class_id, line = int(text), where[1]
    if known.setdefault(class_id, name) != name:
        first = origin[attribute, class_id]
        message = f"class {class_id} is {name!r} here, but {known[class_id]!r} in line {first}"
        raise RecordError("parse", message, *where)
    origin.setdefault((attribute, class_id), line)
    other = next((i for i, n in known.items() if n == name and i != class_id), None)
    if other is not None:
        message = f"{name!r} is class {class_id} here, but class {other} in line {origin[attribute, other]}"
        raise RecordError("parse", message, *where)


def _category_file(options: ReadOptions) -> tuple[str, ...] | None:
    given = options.settings.get("labels_json")
    if not given:
        return options.names
    try:
        labels = json.loads(read_text(given))["labels"]
        return tuple(str(entry["label"]).strip() for entry in labels)
    except json.JSONDecodeError as error:
        raise RecordError("parse", error.msg, given, error.lineno, error.colno) from None
    except (KeyError, TypeError):
        raise RecordError("parse", 'expected {"labels": [{"label": name}, …]}', given) from None


class _Finder:
    """URIs to local images."""

    def __init__(self, options: ReadOptions, beside: Path) -> None:
        self.maps = []
        for text in filter(None, options.settings.get("uri_map", "").split(",")):
            prefix, equals, folder = text.partition("=")
            if not equals:
                raise DataError(f"uri_map={text}: expected s3://bucket/prefix=DIR")
            self.maps.append(
                (prefix.strip().rstrip("/") + "/", ImageFinder([Path(folder.strip())], options.missing))
            )
        folders = [options.images] if options.images else [beside / "images", beside]
        self.images = ImageFinder(folders, options.missing, deep=options.images is not None)

    def search(self, uri: str) -> tuple[ImageFinder, list[str]]:
        for prefix, images in self.maps:
            if uri.startswith(prefix):
                return images, [uri.removeprefix(prefix)]
        return self.images, [uri.rpartition("/")[2]] if "://" in uri else [uri]


def _parse(
    unit: tuple[int, bytes],
    report: Report,
    *,
    path: str,
    attribute: str,
    names: dict[int, str],
    finder: _Finder,
    human_only: bool,
    drop_rejected: bool,
    split: str,
) -> Iterable[Record]:
    line, data = unit
    where = (path, line)
    entry = parse_json(decode(data, path, line), dict[str, Any], where, report)
    uri = entry.get("source-ref")
    if not isinstance(uri, str):
        raise RecordError("parse", "no source-ref", *where)
    if drop_rejected and _rejected(entry):
        report.add("note", f"{uri} was rejected by label verification", *where, action="dropped")
        return []
    label, meta = entry.get(attribute), entry.get(f"{attribute}-metadata") or {}
    images, wanted = finder.search(uri)
    stated = None
    if isinstance(label, dict) and isinstance(label.get("image_size"), list) and label["image_size"]:
        stated = size_of(label["image_size"][0].get("width"), label["image_size"][0].get("height"))
    found = images.locate(wanted, stated, where, report)
    name = Path(found.image).name
    record = Record(found.image, name, found.width, found.height, [], Status.UNLABELLED.value, split, path)
    if not isinstance(label, dict) or not isinstance(label.get("annotations"), list):
        reason = meta.get("failure-reason", f"no labels under {attribute}")
        report.add("missing-label", f"{uri}: {reason}", *where, action="unlabelled")
        return [record]
    if human_only and meta.get("human-annotated") == "no":
        report.add("note", f"{uri} was labelled by a machine", *where, action="unlabelled")
        return [record]
    confidences = [item.get("confidence") for item in meta.get("objects") or []]
    for place, item in enumerate(label["annotations"]):
        score = confidences[place] if place < len(confidences) else None
        record.boxes.append(_box(item, score, names, where))
    for box in record.boxes:
        box.x1, box.x2, box.y1, box.y2 = (
            box.x1 * found.sx,
            box.x2 * found.sx,
            box.y1 * found.sy,
            box.y2 * found.sy,
        )
    record.status = (Status.ANNOTATED if record.boxes else Status.BACKGROUND).value
    return [record]


def _rejected(entry: dict[str, Any]) -> bool:
    for key, meta in entry.items():
        if key.endswith("-metadata") and isinstance(meta, dict) and meta.get("type") == _VERIFICATION:
            return str(meta.get("class-name", "")).lower() in ("bad", "reject", "rejected")
    return False


def _box(item: Any, score: Any, names: dict[int, str], where: tuple[str, int]) -> Box:
    if not isinstance(item, dict):
        raise RecordError("parse", "an annotation is not an object", *where)
    left, top, width, height = (
        number(item.get(key), key, where) for key in ("left", "top", "width", "height")
    )
    class_id = item.get("class_id")
    if not isinstance(class_id, int):
        raise RecordError("parse", f"class_id is {class_id!r}, expected a number", *where)
    label = names.get(class_id, f"id {class_id}")
    score = float(score) if isinstance(score, int | float) else None
    return Box(label, left, top, left + width, top + height, 0, score, where[1])


def write(samples: Iterable[Sample], names: tuple[str, ...], out: Output) -> None:
    """``<split>.manifest`` with ``source-ref`` as the path of the image; whole pixels."""
    rule = convention("edge")
    class_map = {str(i): name for i, name in enumerate(names)}
    with out.growing() as append:
        for sample, image, _ in out.place_all(samples, lambda sample: f"images/{sample.split or 'train'}"):
            boxes = out.plain(sample)
            annotations = []
            for class_id, corners in zip(boxes.classes.tolist(), boxes.boxes.tolist(), strict=True):
                x1, y1, x2, y2 = from_edges(rule, *corners)
                annotations.append(
                    {"class_id": class_id, "left": x1, "top": y1, "width": x2 - x1, "height": y2 - y1}
                )
            size = {"width": sample.width, "height": sample.height, "depth": 3}
            scores = [1.0] * len(boxes) if boxes.scores is None else boxes.scores.tolist()
            entry = {
                "source-ref": str(image.absolute()),
                "labels": {"image_size": [size], "annotations": annotations},
                "labels-metadata": {
                    "objects": [{"confidence": score} for score in scores],
                    "class-map": class_map,
                    "type": _DETECTION,
                    "human-annotated": "yes" if boxes.scores is None else "no",
                    "creation-date": "2000-01-01T00:00:00.000000",
                    "job-name": "labeling-job/labels",
                },
            }
            append(out.file("{split}.manifest", sample.split), json.dumps(entry) + "\n")
