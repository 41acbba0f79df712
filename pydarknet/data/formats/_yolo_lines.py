# SPDX-License-Identifier: Apache-2.0
"""Lines of Darknet and YOLO label files.

Five columns are ``class cx cy w h``, six add a confidence. Longer lines have no meaning of their own: they
may be polygons, boxes with keypoints, or boxes with a track id. The data set declares it, or its lines prove
it together (:func:`survey`); otherwise they are errors, because the same numbers would give different boxes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from pydarknet.data.issues import Report
from pydarknet.data.records import Box
from pydarknet.errors import RecordError
from pydarknet.system.text import lines_of

#: Values of the setting ``lines``.
KINDS = ("auto", "box", "polygon", "track")
SETTING = (
    "meaning of lines with more than six columns: polygon (points), box (columns 2-5 are the box, keypoints "
    "or landmarks follow), track (box, confidence, track id); auto (default): as the set declares or proves"
)

_MOST_CLASSES = 1 << 16  # without names a wild number would make as many classes
_SURVEYED = 300  # label files whose lines are compared
_SLACK = 0.01  # fractions beyond the edge that annotators produce
_LARGEST = 1.5  # larger numbers are not fractions of an image
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+")


class Lines(NamedTuple):
    """Meaning of lines with more than six columns.

    Attributes:
        kind: ``"box"``, ``"polygon"``, ``"track"``, or ``""`` if it is neither declared nor proven.
        columns: number of columns such a line must have; 0 = any.
    """

    kind: str = ""
    columns: int = 0


def survey(labels: Iterable[Path]) -> Lines:
    """The meaning that the long lines of a set's first label files prove together.

    * Numbers of columns that vary, all coordinates in 0…1: polygons. Keypoints have a fixed number.
    * Eight coordinates that are the corners of parallelograms in every line: rotated boxes.
    * One number of columns, columns 2-5 a box inside the image, and numbers that no coordinate can be
      (-1 or 2 for keypoints, 17 for a track): boxes.
    """
    rows: list[list[float]] = []
    for label in islice(labels, _SURVEYED):
        with suppress(RecordError):
            found = (_numbers(line) for line in lines_of(label))
            rows += [values[1:] for values in found if values and len(values) > 6]
    return Lines(_proven(rows)) if rows else Lines()


def _numbers(line: str) -> list[float] | None:
    try:
        return [float(word) for word in line.replace(",", " ").split()]
    except ValueError:
        return None


def _proven(rows: list[list[float]]) -> str:
    counts = {len(row) for row in rows}
    if all(len(row) % 2 == 0 and min(row) >= -_SLACK and max(row) <= 1 + _SLACK for row in rows):
        turned = counts == {8} and all(map(_is_parallelogram, rows))
        return "polygon" if len(counts) > 1 or turned else ""
    if len(counts) > 1 or not all(_is_inside(row[:4]) for row in rows):
        return ""
    if counts == {6}:
        ids = all(0 <= row[4] <= 1 and row[5] >= 0 and row[5].is_integer() for row in rows)
        return "track" if ids else ""
    strange = any(value.is_integer() and not 0 <= value <= 1 for row in rows for value in row[4:])
    visible = all(len(row) % 2 and {*row[6::3]} <= {0, 1, 2} for row in rows)
    return "box" if strange or visible else ""


def _is_inside(box: Sequence[float]) -> bool:
    x, y, w, h = box
    low, high = min(x - w / 2, y - h / 2), max(x + w / 2, y + h / 2)
    return w > 0 and h > 0 and low >= -_SLACK and high <= 1 + _SLACK


def _is_parallelogram(row: Sequence[float]) -> bool:
    xs, ys = row[0::2], row[1::2]
    return max(abs(v[0] + v[2] - v[1] - v[3]) for v in (xs, ys)) < 1e-4


def looks_like_label(path: Path) -> bool:
    """Whether a text is empty or has a line that could be one of a label file."""
    lines = [line for line in lines_of(path) if line and not line.startswith("#")]
    return not lines or any(map(_looks_like_line, lines[:20]))


def _looks_like_line(line: str) -> bool:
    values = _numbers(line)
    if values is None or len(values) < 5 or not values[0].is_integer():
        return False
    return len(values) <= 6 or all(-1 <= value <= 2 for value in values[1:3])


def read_boxes(
    path: Path,
    width: int,
    height: int,
    names: tuple[str, ...] | None,
    report: Report,
    lines: Lines = Lines(),  # noqa: B008 - immutable
) -> list[Box]:
    """Boxes of one label file in pixels of an image of this size; bad lines are reported."""
    boxes = []
    for number, line in enumerate(lines_of(path), 1):
        if not line:
            continue
        if line.startswith("#"):
            report.add("note", "comment; Darknet would stop reading here", path, number, action="skipped")
            continue
        where = (path, number)
        try:
            class_id, values = _parsed(line, where)
            corners = _corners(values, lines, where, report)
        except RecordError as error:
            report.add(error.code, error.reason, error.file, error.line)
            continue
        label = _class_name(class_id, names, where, report)
        if label is not None:
            x1, y1, x2, y2 = corners
            score = _score(values, lines, where, report)
            boxes.append(Box(label, x1 * width, y1 * height, x2 * width, y2 * height, 0, score, number))
    return boxes


def _parsed(line: str, where: tuple[Path, int]) -> tuple[int, list[float]]:
    words = re.split(r"[\s;]+", line)
    if len(words) >= 5 and sum(bool(_DECIMAL_COMMA.fullmatch(word)) for word in words) >= 2:
        text = f"decimal commas in {line[:60]!r}; write numbers with a decimal point"
        raise RecordError("parse", text, *where)
    values = _numbers(line)  # a line of commas alone has no numbers
    if not values:
        raise RecordError("parse", f"expected numbers 'class cx cy w h', found {line[:60]!r}", *where)
    if not values[0].is_integer() or len(values) < 5:
        raise RecordError("parse", f"expected 'class cx cy w h', found {len(values)} columns", *where)
    return int(values[0]), values[1:]


def _corners(
    values: list[float], lines: Lines, where: tuple[Path, int], report: Report
) -> tuple[float, float, float, float]:
    """Corners of a line's box, as fractions.

    Raises:
        RecordError: if the line has no certain meaning, or holds no fractions.
    """
    columns = len(values) + 1
    if columns <= 6:
        return _box(values, where)
    if lines.kind == "box" and lines.columns in (0, columns):
        return _box(values, where)
    if lines.kind == "track" and columns == 7:
        return _box(values, where)
    if lines.kind == "polygon" and columns % 2:
        _check_fractions(values, where)
        report.add("polygon", f"polygon of {columns // 2} points", *where, action="envelope taken")
        xs, ys = values[0::2], values[1::2]
        return min(xs), min(ys), max(xs), max(ys)
    if lines.kind:
        wanted = f"5, 6 or {lines.columns}" if lines.columns else f"those of lines={lines.kind}"
        raise RecordError("parse", f"expected {wanted} columns, found {columns}", *where)
    text = (
        f"expected 'class cx cy w h', found {columns} columns. If they are polygons, set lines=polygon; if "
        "columns 2-5 are the box and keypoints follow, lines=box; if confidence and track id follow, "
        "lines=track (pydarknet convert --set lines=..., or task: segment or kpt_shape in data.yaml)"
    )
    raise RecordError("parse", text, *where)


def _box(values: Sequence[float], where: tuple[Path, int]) -> tuple[float, float, float, float]:
    x, y, w, h = values[:4]
    _check_fractions(values[:4], where)
    return x - w / 2, y - h / 2, x + w / 2, y + h / 2


def _check_fractions(values: Sequence[float], where: tuple[Path, int]) -> None:
    if any(abs(value) > _LARGEST for value in values):  # NaN is reported by the cleaning
        found = " ".join(f"{value:g}" for value in values[:4])
        text = f"{found} are not fractions of the image (0 to 1); are they pixels? Divide by width and height"
        raise RecordError("parse", text, *where)


def _score(values: list[float], lines: Lines, where: tuple[Path, int], report: Report) -> float | None:
    """The confidence in column 6, if the line has one."""
    if len(values) != 5 and not (lines.kind == "track" and len(values) == 6):
        return None
    if 0 <= values[4] <= 1:
        return values[4]
    text = f"column 6 is {values[4]:g}, expected a confidence in 0 to 1 (is it a track id?)"
    report.add("bad-score", text, *where, action="box kept without it")
    return None


def _class_name(
    class_id: int, names: tuple[str, ...] | None, where: tuple[Path, int], report: Report
) -> str | None:
    if class_id == -1 and where[0].name.endswith(".ignore.txt"):
        return ""
    if class_id < 0 or class_id >= (_MOST_CLASSES if names is None else len(names)):
        hint = f"; there are {len(names)} names, so ids go from 0 to {len(names) - 1}" if names else ""
        if names and class_id == len(names):
            hint += " (do the ids start at 1?)"
        report.add("class-range", f"class {class_id}{hint}", *where)
        return None
    return str(class_id) if names is None else names[class_id]
