# SPDX-License-Identifier: Apache-2.0
"""Open Images: one CSV of boxes per split, class ids ("MIDs") named by ``class-descriptions-boxable.csv``.

Coordinates are fractions, in the order XMin, XMax, YMin, YMax; columns are found by their header.
Format: https://storage.googleapis.com/openimages/web/download_v7.html#df-boxes
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pydarknet.data.dataset import Flag, Status
from pydarknet.data.formats._common import ImageFinder, choice, images_for, number, unique_names
from pydarknet.data.formats._sniff import files_of, header
from pydarknet.data.formats._tables import column_index, csv_rows, grouped
from pydarknet.data.issues import Report
from pydarknet.data.paths import split_of
from pydarknet.data.records import Box, LabelSource, ReadOptions, Record
from pydarknet.errors import DataError, RecordError

SETTINGS = {
    "descriptions": "the class descriptions CSV, if it is not beside the boxes",
    "depictions": "drawings of objects: keep (default), ignore (as region) or drop",
}

_COLUMNS = {
    "image": ["imageid"],
    "label": ["labelname"],
    "xmin": ["xmin"],
    "xmax": ["xmax"],
    "ymin": ["ymin"],
    "ymax": ["ymax"],
    "occluded?": ["isoccluded"],
    "truncated?": ["istruncated"],
    "group?": ["isgroupof"],
    "depiction?": ["isdepiction"],
}
_Unit = tuple[str, dict[str, int], str, str, list[tuple[int, list[str]]]]


def sniff(path: Path) -> bool:
    """A CSV with the columns ImageID, LabelName and XMin, or a folder with one."""
    return bool(_box_files(path))


def _box_files(path: Path) -> list[Path]:
    return files_of(path, (".csv",), is_open_images)


def is_open_images(file: Path) -> bool:
    """Whether the header is that of Open Images' boxes; the CSV of segmentations has other columns."""
    return {"imageid", "labelname", "xmin", "xmax", "ymin", "ymax"} <= set(header(file))


def read(path: Path, options: ReadOptions, report: Report) -> LabelSource:
    """A folder with ``*-annotations-bbox.csv`` files and the descriptions, or one such CSV.

    Raises:
        DataError: if there is no such CSV file.
    """
    files = _box_files(path)
    if not files:
        raise DataError(f"{path}: no CSV with the columns ImageID, LabelName, XMin … there")
    root = path if path.is_dir() else path.parent
    classes = _descriptions(root, options, report)
    splits = {file: next((s for s in map(split_of, file.stem.split("-")) if s), "") for file in files}
    folders = [root / "images", root, *(root / "images" / split for split in splits.values())]
    folders += [root / name for name in ("train", "validation", "test")]
    parse = functools.partial(
        _parse,
        classes=classes,
        images=images_for(options, *folders),
        depictions=choice(options, "depictions", "keep", "ignore", "drop"),
    )
    return LabelSource(functools.partial(_units, splits), parse, tuple(classes.values()) or options.names)


def _descriptions(root: Path, options: ReadOptions, report: Report) -> dict[str, str]:
    given = options.settings.get("descriptions")
    files = [Path(given)] if given else sorted(root.glob("*class-descriptions*.csv"))
    if not files:
        report.add("note", "no class descriptions; classes are called by their MID", root, action="kept")
        return {}
    if not files[0].is_file():
        raise DataError(f"{files[0]}: no such file")
    rows = [(line, row) for line, row in csv_rows(files[0]) if row[0] != "LabelName"]
    for line, row in rows:
        if len(row) != 2:
            raise RecordError("parse", f"expected MID,name, found {','.join(row)}", files[0], line)
    names = unique_names((row[1].strip() for _, row in rows), files[0], report)
    return {row[0]: name for (_, row), name in zip(rows, names, strict=True)}


def _units(splits: dict[Path, str]) -> Iterator[_Unit]:
    for file, split in splits.items():
        _, columns_found = next(csv_rows(file))
        columns = column_index(columns_found, _COLUMNS, file)

        def body(file: Path = file, width: int = len(columns_found)) -> Iterator[tuple[int, list[str]]]:
            rows = csv_rows(file)
            next(rows)
            for line, row in rows:
                if len(row) < width:
                    raise RecordError("parse", f"{len(row)} fields, the header has {width}", file, line)
                yield line, row

        image = columns["image"]
        for rows in grouped(body, lambda row: row[image]):  # noqa: B023 - used up before the next turn
            yield str(file), columns, split, rows[0][1][image], rows


def _parse(
    unit: _Unit, report: Report, *, classes: Mapping[str, str], images: ImageFinder, depictions: str
) -> Iterable[Record]:
    path, columns, split, image_id, rows = unit
    found = images.locate([f"{image_id}.jpg", image_id], None, (path, rows[0][0]), report)
    boxes = []
    for line, row in rows:
        where = (path, line)
        corners = {key: number(row[columns[key]], key, where) for key in ("xmin", "xmax", "ymin", "ymax")}
        flags = 0
        for key, flag in (("occluded", Flag.OCCLUDED), ("truncated", Flag.TRUNCATED), ("group", Flag.CROWD)):
            flags |= flag if _is_set(row, columns, key) else 0
        if _is_set(row, columns, "depiction") and depictions != "keep":
            if depictions == "drop":
                continue
            flags |= Flag.IGNORE
        label = classes.get(row[columns["label"]], row[columns["label"]])
        x1, y1 = corners["xmin"] * found.width, corners["ymin"] * found.height
        x2, y2 = corners["xmax"] * found.width, corners["ymax"] * found.height
        boxes.append(Box(label, x1, y1, x2, y2, flags, None, line))
    name = image_id + Path(found.image).suffix
    return [Record(found.image, name, found.width, found.height, boxes, Status.ANNOTATED.value, split, path)]


def _is_set(row: list[str], columns: dict[str, int], key: str) -> bool:
    """Whether a flag is 1; -1 means unknown and counts as no."""
    return key in columns and row[columns[key]].strip() == "1"
