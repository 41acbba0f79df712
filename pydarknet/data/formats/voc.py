# SPDX-License-Identifier: Apache-2.0
"""Pascal VOC: one XML per image under ``Annotations``, images under ``JPEGImages``, lists under
``ImageSets/Main``.

Corners are whole pixels, officially 1-based and inclusive; most tools write edges, so the
``source/database`` decides.
Format: http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/devkit_doc.html
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from pydarknet.data.coords import Convention, convention, from_edges, to_edges
from pydarknet.data.dataset import Flag, Sample, Status
from pydarknet.data.formats._common import (
    ImageFinder,
    choice,
    images_for,
    number,
    paired,
    parse_xml,
    size_of,
    unlabelled,
)
from pydarknet.data.formats._shapes import points_envelope, turned_envelope
from pydarknet.data.formats._sniff import root_tag
from pydarknet.data.issues import Report
from pydarknet.data.label_files import write_text
from pydarknet.data.output import Output
from pydarknet.data.paths import inner_name, walk
from pydarknet.data.records import Box, LabelSource, ReadOptions, Record
from pydarknet.errors import RecordError
from pydarknet.system.text import lines_of

SETTINGS = {
    "difficult": "difficult objects: keep (default), train (ordinary boxes) or drop",
}

_LISTS = ("train", "val", "test", "trainval")
_AXIS = re.compile(r"[xy]\d*$")  # x1, y1, … of a polygon, or x and y of its points
_FLAGS = {"difficult": Flag.DIFFICULT, "truncated": Flag.TRUNCATED, "occluded": Flag.OCCLUDED}


def sniff(path: Path) -> bool:
    """An XML file, or a folder of them, whose root is ``annotation``."""
    files = [path] if path.is_file() else islice(walk(path, (".xml",)), 20)
    return any(root_tag(file) == "annotation" for file in files)


def read(path: Path, options: ReadOptions, _report: Report) -> LabelSource:
    """A folder with ``Annotations``, a folder of XML files (beside their images or not), or one XML file."""
    root = path if path.is_dir() else path.parent
    folders = (root / name for name in ("Annotations", "annotations"))
    annotations = next((folder for folder in folders if folder.is_dir()), root)
    parse = functools.partial(
        parse_file,
        images=images_for(options, root / "JPEGImages", root / "images", root),
        coords=options.coords,
        difficult=choice(options, "difficult", "keep", "train", "drop"),
    )
    units = functools.partial(_units, root, annotations, path if path.is_file() else None, options)
    return LabelSource(units, parse, options.names)


def _units(
    root: Path, annotations: Path, file: Path | None, options: ReadOptions
) -> Iterable[tuple[str, str, str]]:
    if file is not None:
        return [(str(file), file.stem, "")]
    images = options.images or (root / "JPEGImages" if (root / "JPEGImages").is_dir() else root)
    return paired(annotations, ".xml", images, _image_sets(root))


def _image_sets(root: Path) -> dict[str, str]:
    """Name → split from ``ImageSets/Main``; trainval counts only for images not in train or val."""
    splits: dict[str, str] = {}
    for name in _LISTS:
        file = root / "ImageSets" / "Main" / f"{name}.txt"
        for line in lines_of(file) if file.is_file() else ():
            if line:
                splits.setdefault(line.split()[0], "train" if name == "trainval" else name)
    return splits


def parse_file(
    unit: tuple[str, str, str], report: Report, *, images: ImageFinder, coords: str | None, difficult: str
) -> Iterable[Record]:
    """The record of one XML file, or of an image without one."""
    path, name, split = unit
    if not path.lower().endswith(".xml"):
        return [unlabelled(path, name, split, report)]
    root = parse_xml(path)
    if root.tag != "annotation":
        raise RecordError("parse", f"the root is <{root.tag}>, expected <annotation>", path, root.sourceline)
    stated = size_of(root.findtext("size/width"), root.findtext("size/height"))
    filename = (root.findtext("filename") or "").strip()
    beside = ImageFinder([Path(path).parent], images.missing)
    beside_name = str(Path(name).parent / filename) if filename else name
    names = [beside_name, name]
    finder = beside if images.find(*names) is None and beside.find(*names) is not None else images
    found = finder.locate(names, stated, (path, 0), report)
    rule = convention(coords or _database_rule(root.findtext("source/database") or ""))
    boxes = read_objects(root, path, rule, report, found.sx, found.sy)
    if difficult == "drop":
        boxes = [box for box in boxes if not box.flags & Flag.DIFFICULT]
    for box in boxes if difficult == "train" else ():
        box.flags &= ~Flag.DIFFICULT
    status = Status.ANNOTATED if root.find("object") is not None else Status.BACKGROUND
    full = inner_name(name) + Path(found.image).suffix
    return [Record(found.image, full, found.width, found.height, boxes, status.value, split, path)]


def _database_rule(database: str) -> str:
    if database.strip().startswith("The VOC"):
        return "voc"
    return "ilsvrc" if database.strip().startswith("ILSVRC") else "edge"


def read_objects(
    root: Any, path: str, rule: Convention, report: Report, sx: float = 1.0, sy: float = 1.0
) -> list[Box]:
    """Boxes of the direct ``object`` children (their ``part`` children are not objects).

    An object that cannot be read is reported, and the others are kept.
    """
    boxes = []
    for item in root.iterchildren("object"):
        where = (path, item.sourceline)
        try:
            label = (item.findtext("name") or "").strip()
            if not label:
                raise RecordError("parse", "object without <name>", *where)
            x1, y1, x2, y2 = _corners(item, label, rule, where, report)
        except RecordError as error:
            report.add(error.code, error.reason, error.file, error.line)
            continue
        flags = 0
        for key, flag in _FLAGS.items():
            if (item.findtext(key) or "0").strip().lower() in ("1", "true"):
                flags |= flag
        boxes.append(Box(label, x1 * sx, y1 * sy, x2 * sx, y2 * sy, flags, None, where[1]))
    return boxes


def _corners(
    item: Any, label: str, rule: Convention, where: tuple[str, int], report: Report
) -> tuple[float, float, float, float]:
    """``bndbox``, else the envelope of roLabelImg's ``robndbox`` (angle in radians) or of a polygon.

    Raises:
        RecordError: if there is none of them, or a number is missing.
    """
    box, turned = item.find("bndbox"), item.find("robndbox")
    if box is not None:
        values = [number(box.findtext(key), key, where) for key in ("xmin", "ymin", "xmax", "ymax")]
        return to_edges(rule, *values)
    if turned is not None:
        cx, cy, w, h, angle = (number(turned.findtext(k), k, where) for k in ("cx", "cy", "w", "h", "angle"))
        report.add("rotated", f"{label}: robndbox", *where, action="envelope taken")
        corners = (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)
        return turned_envelope(corners, math.degrees(angle), (cx, cy))
    points = [
        (e.tag[0], number(e.text, e.tag, where)) for e in item.iterfind("polygon//*") if _AXIS.match(e.tag)
    ]
    xs, ys = ([value for axis, value in points if axis == name] for name in "xy")
    if len(xs) < 2 or len(xs) != len(ys):
        raise RecordError("parse", "object without <bndbox>", *where)
    report.add("polygon", f"{label}: polygon", *where, action="envelope taken")
    return points_envelope(xs, ys)


def write(samples: Iterable[Sample], names: tuple[str, ...], out: Output) -> None:
    """``Annotations``, ``JPEGImages`` and ``ImageSets/Main``; whole pixels, difficult for every box set
    aside."""
    coords = out.coords or "edge"
    rule = convention(coords)
    with out.growing() as append:
        for sample, image, name in out.place_all(samples, lambda _: "JPEGImages"):
            text = _document(sample, image, names, rule, coords, out)
            write_text(out.root / "Annotations" / f"{name}.xml", text)
            append(f"ImageSets/Main/{sample.split or 'train'}.txt", f"{name}\n")


def _document(
    sample: Sample, image: Path, names: tuple[str, ...], rule: Convention, coords: str, out: Output
) -> str:
    database = {"voc": "The VOC2007 Database", "ilsvrc": "ILSVRC_2012"}.get(coords, "Unknown")
    width, height = sample.width, sample.height
    parts = [
        f"<annotation>\n\t<folder>JPEGImages</folder>\n\t<filename>{escape(image.name)}</filename>\n"
        f"\t<source><database>{database}</database></source>\n"
        f"\t<size><width>{width}</width><height>{height}</height><depth>3</depth></size>\n"
        "\t<segmented>0</segmented>\n"
    ]
    rows = zip(sample.classes.tolist(), sample.flags.tolist(), sample.boxes.tolist(), strict=True)
    for class_id, flags, corners in rows:
        if class_id < 0:
            out.report.add("lost-flag", "VOC cannot ignore a region for every class", sample.source or image)
            continue
        xmin, ymin, xmax, ymax = from_edges(rule, *corners)
        aside = int(bool(flags & (Flag.DIFFICULT | Flag.CROWD | Flag.IGNORE)))
        parts.append(
            f"\t<object>\n\t\t<name>{escape(names[class_id])}</name>\n\t\t<pose>Unspecified</pose>\n"
            f"\t\t<truncated>{int(bool(flags & Flag.TRUNCATED))}</truncated>\n"
            f"\t\t<occluded>{int(bool(flags & Flag.OCCLUDED))}</occluded>\n"
            f"\t\t<difficult>{aside}</difficult>\n\t\t<bndbox><xmin>{xmin}</xmin><ymin>{ymin}</ymin>"
            f"<xmax>{xmax}</xmax><ymax>{ymax}</ymax></bndbox>\n\t</object>\n"
        )
    return "".join(parts) + "</annotation>\n"
