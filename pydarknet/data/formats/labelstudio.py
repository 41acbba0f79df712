# SPDX-License-Identifier: Apache-2.0
"""Label Studio JSON and JSON-MIN: boxes in percent of the image, rotated about their top left corner.

Format: https://labelstud.io/guide/export
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pydarknet.data.dataset import Sample, Status
from pydarknet.data.formats._common import ImageFinder, choice, images_for, load_json, number, size_of
from pydarknet.data.formats._shapes import (
    Corners,
    brush_envelope,
    ellipse_envelope,
    points_envelope,
    turned_envelope,
)
from pydarknet.data.formats._sniff import files_of, given_files, json_head
from pydarknet.data.issues import Report
from pydarknet.data.joined import joined
from pydarknet.data.output import Output
from pydarknet.data.records import Box, LabelSource, ReadOptions, Record
from pydarknet.errors import RecordError

SETTINGS = {
    "annotation": "of several annotations of a task take the last (default), the first, or merge them",
    "predictions": "yes: read a model's predictions instead of annotations; no (default)",
}

_LISTS = ("annotations", "predictions", "completions")  # the last one before version 1.0
_UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-")
_KINDS = ("rectangle", "polygon", "ellipse", "brush")  # with or without "labels" behind
_Task = tuple[int, dict[str, Any]]


def sniff(path: Path) -> bool:
    """A JSON list of tasks, or of JSON-MIN objects with percentages; or a folder with some."""
    return bool(_files(path))


def _files(path: Path) -> list[Path]:
    return files_of(path, (".json",), _is_export)


def _is_export(file: Path) -> bool:
    task = json_head(file).first("")
    if isinstance(task.get("data"), dict):
        return any(isinstance(task.get(key), list) for key in _LISTS)
    regions = [value[0] for value in task.values() if isinstance(value, list) and value]
    return any(isinstance(region, dict) and "original_width" in region for region in regions)


def read(path: Path, options: ReadOptions, report: Report) -> LabelSource:
    """An export, or a folder with some; images are beside it, in ``images``, or given."""
    return joined(
        [_read_file(file, options, report) for file in given_files(path, _files(path), "Label Studio JSON")],
        path,
        report,
    )


def _read_file(path: Path, options: ReadOptions, report: Report) -> LabelSource:
    tasks = list(enumerate(load_json(path, list[dict[str, Any]], report), 1))
    parse = functools.partial(
        _parse,
        path=str(path),
        images=images_for(options, path.parent / "images", path.parent),
        which=choice(options, "annotation", "last", "first", "merge"),
        predictions=choice(options, "predictions", "no", "yes") == "yes",
    )
    return LabelSource(functools.partial(iter, tasks), parse, options.names)


def _parse(
    unit: _Task, report: Report, *, path: str, images: ImageFinder, which: str, predictions: bool
) -> Iterable[Record]:
    place, task = unit
    where = (path, place)
    uri = _image_uri(task, where)
    results, status = _results(task, which, predictions)
    stated = next(
        filter(None, (size_of(r.get("original_width"), r.get("original_height")) for r in results)), None
    )
    names = _names(uri)
    found = images.locate(names, stated, where, report)
    record = Record(
        found.image, Path(found.image).name, found.width, found.height, [], status.value, _split(task), path
    )
    labels = {str(r["id"]): r for r in results if r.get("type") == "labels" and "id" in r}
    for result in results:
        box = _box(result, labels, (found.width / 100, found.height / 100), where, report)
        if box is not None:
            record.boxes.append(box)
    return [record]


def _split(task: dict[str, Any]) -> str:
    value = (task.get("data") or {}).get("split", "") if isinstance(task.get("data"), dict) else ""
    return value if value in ("train", "val", "test") else ""


def _image_uri(task: dict[str, Any], where: tuple[str, int]) -> str:
    data = task["data"] if isinstance(task.get("data"), dict) else task
    for key in ("image", "img", "url", "image_url"):
        if isinstance(data.get(key), str):
            return str(data[key])
    raise RecordError("parse", "a task without data.image", *where)


def _names(uri: str) -> list[str]:
    """Possible names of the image: the URI's path, also without the prefix of uploads."""
    path = unquote(uri.partition("?d=")[2] or uri.partition("?")[0])
    if "://" in path:
        path = path.partition("://")[2].partition("/")[2]
    last = path.rpartition("/")[2]
    stripped = _UPLOAD_PREFIX.sub("", last)
    return list(dict.fromkeys((path, last, stripped)))


def _results(task: dict[str, Any], which: str, predictions: bool) -> tuple[list[dict[str, Any]], Status]:
    """The regions to read, and the status of the image."""
    if not isinstance(task.get("data"), dict):  # JSON-MIN: the regions stand under the control's name
        lists = [
            value
            for value in task.values()
            if isinstance(value, list) and value and isinstance(value[0], dict)
        ]
        found = [
            {"value": region, "type": "rectanglelabels", **region} for region in (lists[0] if lists else [])
        ]
        return found, Status.ANNOTATED if found else Status.UNLABELLED
    entries = task.get("predictions" if predictions else "annotations") or task.get("completions") or []
    done = [entry for entry in entries if isinstance(entry, dict) and not entry.get("was_cancelled")]
    if not done:
        return [], Status.UNLABELLED
    chosen = done if which == "merge" else [done[0] if which == "first" else done[-1]]
    results = [result for entry in chosen for result in entry.get("result") or [] if isinstance(result, dict)]
    return results, Status.ANNOTATED if results else Status.BACKGROUND


def _box(
    result: dict[str, Any],
    labels: dict[str, dict[str, Any]],
    scale: tuple[float, float],
    where: tuple[str, int],
    report: Report,
) -> Box | None:
    kind, value = str(result.get("type")), result.get("value")
    shape = kind.removesuffix("labels")
    if shape not in _KINDS or not isinstance(value, dict):
        if kind not in ("labels", "choices", "textarea"):
            report.add("unsupported-shape", f"a region of type {kind!r}", *where)
        return None
    named = value.get(f"{shape}labels") or value.get("labels")
    if not named:
        partner = labels.get(str(result.get("id")), {}).get("value") or {}
        named = partner.get("labels")
    if not named:
        report.add("unknown-class", "a region without a label", *where)
        return None
    try:
        corners = _corners(shape, value, result, scale, where)
    except (ValueError, TypeError, IndexError) as error:  # RecordError is a ValueError
        text = error.reason if isinstance(error, RecordError) else str(error)
        report.add("parse", f"{named[0]}: {shape}: {text}", *where)
        return None
    if shape != "rectangle":
        report.add("polygon", f"{named[0]}: {shape}", *where, action="envelope taken")
    elif value.get("rotation"):
        text = f"{named[0]} turned by {value['rotation']} degrees"
        report.add("rotated", text, *where, action="envelope taken")
    score = result.get("score")
    return Box(
        str(named[0]).strip(), *corners, 0, float(score) if isinstance(score, int | float) else None, where[1]
    )


def _corners(
    shape: str,
    value: dict[str, Any],
    result: dict[str, Any],
    scale: tuple[float, float],
    where: tuple[str, int],
) -> Corners:
    """The envelope of a region in pixels; ``scale`` is that of a percent."""
    sx, sy = scale

    def get(key: str) -> float:
        return number(value.get(key), key, where)

    if shape == "polygon":
        points = value.get("points") or []
        return points_envelope([float(p[0]) * sx for p in points], [float(p[1]) * sy for p in points])
    if shape == "brush":
        width, height = size_of(result.get("original_width"), result.get("original_height")) or (0, 0)
        x1, y1, x2, y2 = brush_envelope(value.get("rle") or [], width, height)
        fx, fy = 100 * sx / width, 100 * sy / height
        return x1 * fx, y1 * fy, x2 * fx, y2 * fy
    angle = number(value.get("rotation") or 0, "rotation", where)
    if shape == "ellipse":
        return ellipse_envelope(get("x") * sx, get("y") * sy, get("radiusX") * sx, get("radiusY") * sy, angle)
    x, y, w, h = get("x"), get("y"), get("width"), get("height")
    corners = (x * sx, y * sy, (x + w) * sx, (y + h) * sy)
    return turned_envelope(corners, angle, corners[:2]) if angle else corners


def write(samples: Iterable[Sample], names: tuple[str, ...], out: Output) -> None:
    """``tasks.json`` for import: boxes with scores become predictions, others annotations."""
    file = out.file("tasks.json", "")
    with out.growing() as append:
        append(file, "[")
        placed = out.place_all(samples, lambda sample: f"images/{sample.split or 'train'}")
        for count, (sample, image, name) in enumerate(placed):
            uri = name + image.suffix if out.single else f"{sample.split or 'train'}/{name}{image.suffix}"
            uri = re.sub("[%?#]", lambda match: f"%{ord(match[0]):02X}", uri)  # read as an address
            append(file, (",\n" if count else "\n") + json.dumps(_task(out.plain(sample), uri, names)))
        append(file, "\n]\n")


def region(
    label: str, corners: tuple[float, float, float, float], size: tuple[int, int], score: float | None = None
) -> dict[str, Any]:
    """A box as Label Studio has it.

    Args:
        label: its class.
        corners: x1 y1 x2 y2 in pixels.
        size: width and height of the image in pixels.
        score: 0 to 1 of a prediction; None for an annotation.
    """
    (x1, y1, x2, y2), (width, height) = corners, size
    found: dict[str, Any] = {
        "type": "rectanglelabels",
        "from_name": "label",
        "to_name": "image",
        "original_width": width,
        "original_height": height,
        "value": {
            "x": 100 * x1 / width,
            "y": 100 * y1 / height,
            "width": 100 * (x2 - x1) / width,
            "height": 100 * (y2 - y1) / height,
            "rotation": 0,
            "rectanglelabels": [label],
        },
    }
    return found if score is None else {**found, "score": score}


def _task(sample: Sample, uri: str, names: tuple[str, ...]) -> dict[str, Any]:
    scores = [None] * len(sample) if sample.scores is None else sample.scores.tolist()
    boxes = zip(sample.classes.tolist(), sample.boxes.tolist(), scores, strict=True)
    size = sample.width, sample.height
    result = [region(names[class_id], corners, size, score) for class_id, corners, score in boxes]
    key = "annotations" if sample.scores is None else "predictions"
    entry = {"result": result} if sample.scores is None else {"model_version": "pydarknet", "result": result}
    return {"data": {"image": uri, "split": sample.split}, key: [entry]}
