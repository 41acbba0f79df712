# SPDX-License-Identifier: Apache-2.0
"""CVAT XML 1.1, for images and for video; corners are float pixels on edges.

Format: https://docs.cvat.ai/docs/manual/advanced/formats/format-cvat/
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from pydarknet.data.dataset import Flag, Sample, Status, flag_names, flags_from
from pydarknet.data.formats._common import ImageFinder, choice, images_for, number, parse_xml, size_of
from pydarknet.data.formats._shapes import Corners, ellipse_envelope, points_envelope, turned_envelope
from pydarknet.data.formats._sniff import files_of, given_files, root_tag
from pydarknet.data.issues import Report
from pydarknet.data.joined import joined
from pydarknet.data.output import Output
from pydarknet.data.paths import split_of
from pydarknet.data.records import Box, LabelSource, ReadOptions, Record
from pydarknet.errors import RecordError

SETTINGS = {"empty": "an image without shapes is background (default) or unlabelled"}

# Folders of a split's images in the archive of a project.
_SUBSETS = {"train": ("Train", "train"), "val": ("Validation", "validation", "val"), "test": ("Test", "test")}
_IGNORED_LABELS = ("ignore", "crowd")
_Shape = tuple[str, int, dict[str, str], dict[str, str]]  # tag, line, XML attributes, CVAT attributes
_Unit = tuple[str, tuple[int, int] | None, str, int, list[_Shape]]


def sniff(path: Path) -> bool:
    """An XML file with the root ``annotations``, or a folder with some."""
    return bool(_files(path))


def _files(path: Path) -> list[Path]:
    return files_of(path, (".xml",), lambda file: root_tag(file) == "annotations")


def read(path: Path, options: ReadOptions, report: Report) -> LabelSource:
    """One XML file, or a folder with one per task; images are beside it, in ``images``, or given."""
    return joined(
        [_read_file(file, options) for file in given_files(path, _files(path), "CVAT XML")], path, report
    )


def _read_file(path: Path, options: ReadOptions) -> LabelSource:
    root = parse_xml(path)
    if root.tag != "annotations":
        raise RecordError("parse", f"the root is <{root.tag}>, expected <annotations>", path, root.sourceline)
    names = tuple(
        dict.fromkeys((item.text or "").strip() for item in root.iterfind("meta//labels/label/name"))
    )
    units = [*_images(root, str(path)), *_frames(root, str(path))]
    parse = functools.partial(
        _parse,
        path=str(path),
        images=images_for(options, path.parent / "images", path.parent),
        empty=Status(choice(options, "empty", "background", "unlabelled")),
    )
    return LabelSource(functools.partial(iter, units), parse, options.names or names or None)


def _images(root: Any, path: str) -> Iterator[_Unit]:
    for image in root.iterchildren("image"):
        name = image.get("name")
        if not name:
            raise RecordError("parse", "an image without a name", path, image.sourceline)
        shapes = [_shape(item, item.get("label", "")) for item in image.iterchildren() if item.tag != "tag"]
        size = size_of(image.get("width"), image.get("height"))
        yield name, size, split_of(image.get("subset", "")), image.sourceline, shapes


def _frames(root: Any, path: str) -> Iterator[_Unit]:
    """Video tracks frame by frame; a box is there until it is ``outside``."""
    frames: dict[int, list[_Shape]] = {}
    for track in root.iterchildren("track"):
        for item in track.iterchildren():
            frame = item.get("frame", "")
            if not frame.isdigit():
                raise RecordError("parse", f"frame is {frame!r}, expected a number", path, item.sourceline)
            if item.get("outside") != "1":
                frames.setdefault(int(frame), []).append(_shape(item, track.get("label", "")))
    for frame_number, shapes in sorted(frames.items()):
        yield f"frame_{frame_number:06d}", None, "", shapes[0][1], shapes


def _shape(item: Any, label: str) -> _Shape:
    values = {a.get("name", ""): (a.text or "").strip() for a in item.iterchildren("attribute")}
    xml = {**item.attrib, "label": label.strip()}
    if item.tag == "skeleton":
        points = (p.get("points", "") for p in item.iterchildren("points") if p.get("outside") != "1")
        xml["points"] = ";".join(filter(None, points))
    return item.tag, item.sourceline, xml, values


def _parse(unit: _Unit, report: Report, *, path: str, images: ImageFinder, empty: Status) -> Iterable[Record]:
    name, size, split, line, shapes = unit
    subset = (f"{folder}/{name}" for folder in _SUBSETS.get(split, ()))
    found = images.locate([*subset, name], size, (path, line), report)
    boxes = []
    for shape in shapes:
        try:
            box = _box(shape, path, report)
        except RecordError as error:
            report.add(error.code, error.reason, error.file, error.line)
            continue
        if box is not None:
            box.x1, box.x2, box.y1, box.y2 = (
                box.x1 * found.sx,
                box.x2 * found.sx,
                box.y1 * found.sy,
                box.y2 * found.sy,
            )
            boxes.append(box)
    status = Status.ANNOTATED if shapes else empty
    full = name if Path(name).suffix else name + Path(found.image).suffix
    return [Record(found.image, full, found.width, found.height, boxes, status.value, split, path)]


def _box(shape: _Shape, path: str, report: Report) -> Box | None:
    """The envelope of a shape; ``None`` for a single point.

    Raises:
        RecordError: if a number is missing.
    """
    tag, line, xml, attributes = shape
    where = (path, line)
    flags = flags_from(attributes) | (Flag.OCCLUDED if xml.get("occluded") == "1" else 0)
    label = xml["label"]
    if label.lower() in _IGNORED_LABELS:
        label, flags = "", flags | Flag.IGNORE
    corners = _corners(tag, xml, where)
    if corners is None:
        report.add("unsupported-shape", f"{tag} {label!r}", *where)
        return None
    angle = number(xml.get("rotation", "0"), "rotation", where)
    if tag == "box" and angle:
        report.add("rotated", f"{label} turned by {angle:g} degrees", *where, action="envelope taken")
    elif tag != "box":
        report.add("polygon", f"{label}: {tag}", *where, action="envelope taken")
    score = number(xml["score"], "score", where) if "score" in xml else None
    return Box(label, *corners, int(flags), score, line)


def _corners(tag: str, xml: dict[str, str], where: tuple[str, int]) -> Corners | None:
    def get(*keys: str) -> list[float]:
        return [number(xml.get(key), key, where) for key in keys]

    angle = number(xml.get("rotation", "0"), "rotation", where)
    if tag == "box":
        x1, y1, x2, y2 = get("xtl", "ytl", "xbr", "ybr")
        return turned_envelope((x1, y1, x2, y2), angle, ((x1 + x2) / 2, (y1 + y2) / 2))
    if tag == "ellipse":
        cx, cy, rx, ry = get("cx", "cy", "rx", "ry")
        return ellipse_envelope(cx, cy, rx, ry, angle)
    if tag == "cuboid":
        edges = [f"{corner}{side}" for corner in ("tl", "bl", "tr", "br") for side in "12"]
        return points_envelope(get(*(f"x{edge}" for edge in edges)), get(*(f"y{edge}" for edge in edges)))
    if tag == "mask":
        x, y, w, h = get("left", "top", "width", "height")
        return x, y, x + w, y + h
    if tag in ("polygon", "polyline", "skeleton") and xml.get("points"):
        pairs = [point.split(",") for point in xml["points"].split(";")]
        xs = [number(pair[0], "points", where) for pair in pairs]
        return points_envelope(xs, [number(pair[-1], "points", where) for pair in pairs])
    return None


def write(samples: Iterable[Sample], names: tuple[str, ...], out: Output) -> None:
    """``annotations.xml`` for images 1.1 and ``images/<split>``; flags become CVAT attributes."""
    file = out.file("annotations.xml", "")
    labels = "".join(f"<label><name>{_text(name)}</name></label>" for name in names)
    with out.growing() as append:
        append(file, '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n <version>1.1</version>\n')
        append(file, f" <meta><task><labels>{labels}</labels></task></meta>\n")
        placed = out.place_all(samples, lambda sample: f"images/{sample.split or 'train'}")
        for number_, (sample, image, name) in enumerate(placed):
            inner = name if out.single else f"{sample.split or 'train'}/{name}"
            append(file, _element(number_, sample, inner + image.suffix, names, out))
        append(file, "</annotations>\n")


def _element(number_: int, sample: Sample, name: str, names: tuple[str, ...], out: Output) -> str:
    size = f'width="{sample.width}" height="{sample.height}"'
    subset = f" subset={quoteattr(sample.split)}" if sample.split else ""
    parts = [f' <image id="{number_}" name={quoteattr(name)}{subset} {size}>\n']
    scores = [None] * len(sample) if sample.scores is None else sample.scores.tolist()
    rows = zip(sample.classes.tolist(), sample.flags.tolist(), scores, sample.boxes.tolist(), strict=True)
    for class_id, flags, score, corners in rows:
        if class_id < 0 and out.ignore == "drop":
            continue
        label = names[class_id] if class_id >= 0 else _IGNORED_LABELS[0]
        edges = " ".join(
            f'{key}="{value:.9g}"' for key, value in zip(("xtl", "ytl", "xbr", "ybr"), corners, strict=True)
        )
        occluded = int(bool(flags & Flag.OCCLUDED))
        source = 'source="manual"' if score is None else f'source="auto" score="{score:.6f}"'
        parts.append(f'  <box label={quoteattr(label)} occluded="{occluded}" {source} {edges} z_order="0">')
        parts += [f'<attribute name="{flag}">true</attribute>' for flag in flag_names(flags)]
        parts.append("</box>\n")
    return "".join(parts) + " </image>\n"


def _text(value: str) -> str:
    return value.replace("&", "&amp;").replace("<", "&lt;")
