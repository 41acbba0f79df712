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
from pydarknet.data.formats._masks import points_envelope, turned_envelope
from pydarknet.data.issues import Report
from pydarknet.data.output import Output
from pydarknet.data.records import Box, LabelSource, ReadOptions, Record
from pydarknet.errors import RecordError

SETTINGS = {
    "annotation": "of several annotations of a task take the last (default), the first, or merge them",
    "predictions": "yes: read a model's predictions instead of annotations; no (default)",
}

_UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-")
_REGION_TYPES = ("rectanglelabels", "polygonlabels", "rectangle", "polygon")
_Task = tuple[int, dict[str, Any]]


def sniff(path: Path) -> bool:
    """A JSON list of tasks with ``data`` and ``annotations``, or of JSON-MIN objects with percentages."""
    if not path.is_file() or path.suffix.lower() != ".json":
        return False
    with path.open("rb") as file:
        start = file.read(1 << 16)
    tasks = b'"data"' in start and (b'"annotations"' in start or b'"predictions"' in start)
    return start.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"[") and (tasks or b'"original_width"' in start)


def read(path: Path, options: ReadOptions, report: Report) -> LabelSource:
    """Open an export; images are beside it, in ``images``, or in ``options.images``."""
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
    entries = task.get("predictions" if predictions else "annotations") or []
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
    kind, value = result.get("type"), result.get("value")
    if kind not in _REGION_TYPES or not isinstance(value, dict):
        if kind not in ("labels", "choices", "textarea"):
            report.add("unsupported-shape", f"a region of type {kind!r}", *where)
        return None
    named = value.get("rectanglelabels") or value.get("polygonlabels") or value.get("labels")
    if not named:
        partner = labels.get(str(result.get("id")), {}).get("value") or {}
        named = partner.get("labels")
    if not named:
        report.add("unknown-class", "a region without a label", *where)
        return None
    sx, sy = scale
    if "points" in value:
        xs, ys = [float(p[0]) * sx for p in value["points"]], [float(p[1]) * sy for p in value["points"]]
        corners = points_envelope(xs, ys)
        report.add("polygon", f"{named[0]}: polygon", *where, action="envelope taken")
    else:
        x, y, w, h = (number(value.get(key), key, where) for key in ("x", "y", "width", "height"))
        corners = (x * sx, y * sy, (x + w) * sx, (y + h) * sy)
        angle = number(value.get("rotation") or 0, "rotation", where)
        if angle:
            corners = turned_envelope(corners, angle, corners[:2])
            report.add("rotated", f"{named[0]} turned by {angle:g} degrees", *where, action="envelope taken")
    score = result.get("score")
    return Box(
        str(named[0]).strip(), *corners, 0, float(score) if isinstance(score, int | float) else None, where[1]
    )


def write(samples: Iterable[Sample], names: tuple[str, ...], out: Output) -> None:
    """``tasks.json`` for import: boxes with scores become predictions, others annotations."""
    file = out.file("tasks.json", "")
    with out.growing() as append:
        append(file, "[")
        placed = out.place_all(samples, lambda sample: f"images/{sample.split or 'train'}")
        for count, (sample, image, name) in enumerate(placed):
            uri = name + image.suffix if out.single else f"{sample.split or 'train'}/{name}{image.suffix}"
            append(file, (",\n" if count else "\n") + json.dumps(_task(out.plain(sample), uri, names)))
        append(file, "\n]\n")


def _task(sample: Sample, uri: str, names: tuple[str, ...]) -> dict[str, Any]:
    width, height = sample.width, sample.height
    result = []
    scores = [None] * len(sample) if sample.scores is None else sample.scores.tolist()
    for class_id, score, (x1, y1, x2, y2) in zip(
        sample.classes.tolist(), scores, sample.boxes.tolist(), strict=True
    ):
        region: dict[str, Any] = {
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
                "rectanglelabels": [names[class_id]],
            },
        }
        result.append(region if score is None else {**region, "score": score})
    key = "annotations" if sample.scores is None else "predictions"
    return {"data": {"image": uri, "split": sample.split}, key: [{"result": result}]}
