# SPDX-License-Identifier: Apache-2.0
"""Table of a run as columns of numbers; of a growing ``results.jsonl`` an update reads only the new lines."""

from __future__ import annotations

import contextlib
import csv
import io
import math
from array import array
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from pydarknet.errors import DataError
from pydarknet.logs.load import IN_RUN, load

POINTS = 500  # iterations in a curve, at most about

_UNSEEN = frozenset(
    ("session", "count", "images", "width", "height", "compute", "update", "eval", "save", "hours_left")
)
_YOLOV5 = {
    "epoch": "iteration",
    "train/box_loss": "iou_loss",
    "train/cls_loss": "class_loss",
    "metrics/precision": "precision",
    "metrics/recall": "recall",
    "metrics/map_0.5": "map",
    "metrics/map_0.5:0.95": "map5095",
    "x/lr0": "rate",
}


class Rows:
    """Columns of a growing table of JSON lines.

    Of iterations that were lost in a crash and repeated, only the last repetition counts.

    Args:
        path: of the table; need not exist yet.

    Attributes:
        columns: numbers by name and row, nan for missing ones.
        last: the newest row as written; empty before the first.
        evaluations: rows with an evaluation.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._begin()

    def _begin(self) -> None:
        self._offset = 0
        self.columns: dict[str, array[float]] = {"iteration": array("d")}
        self.last: dict[str, Any] = {}
        self.evaluations: list[dict[str, Any]] = []

    def __len__(self) -> int:
        return len(self.columns["iteration"])

    def update(self) -> None:
        """Read the lines completed since the last update."""
        try:
            with self.path.open("rb") as file:
                if file.seek(0, 2) < self._offset:
                    self._begin()  # another run replaced the file
                file.seek(self._offset)
                data = file.read()
        except OSError:
            return
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        for row in _rows(whole):
            self.add(row)

    def add(self, row: dict[str, Any]) -> None:
        """Add a row, which has an ``iteration``; replaces earlier rows of it and of later iterations."""
        iteration = row["iteration"]
        steps = self.columns["iteration"]
        while steps and steps[-1] >= iteration:
            for column in self.columns.values():
                column.pop()
        while self.evaluations and self.evaluations[-1]["iteration"] >= iteration:
            self.evaluations.pop()
        count = len(steps)
        for name, value in row.items():
            if isinstance(value, (int, float)) and name not in _UNSEEN:
                column = self.columns.setdefault(name, array("d"))
                column.extend([math.nan] * (count - len(column)))
                column.append(value)
        for column in self.columns.values():
            column.extend([math.nan] * (count + 1 - len(column)))
        self.last = row
        if row.get("map") is not None:
            self.evaluations.append({k: v for k, v in row.items() if k != "heads"})

    def curves(self, names: Iterable[str]) -> dict[str, list[float | None]]:
        """Return the existing columns, thinned for drawing; None for values that are not finite."""
        every = -(-max(len(self), 1) // POINTS)
        first = (len(self) - 1) % every  # so that the newest is among them
        known = [name for name in ("iteration", *names) if name in self.columns]
        return {name: [_short(value) for value in self.columns[name][first::every]] for name in known}

    def mean(self, name: str, count: int) -> float | None:
        """Compute the mean of the newest values of a column."""
        values = [value for value in self.columns.get(name, [])[-count:] if math.isfinite(value)]
        return sum(values) / len(values) if values else None

    def total(self, name: str) -> float:
        """Sum a column."""
        return math.fsum(value for value in self.columns.get(name, []) if math.isfinite(value))


def _rows(lines: bytes) -> Iterator[dict[str, Any]]:
    for line in lines.splitlines():
        try:
            row = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue  # cut short by a crash
        if isinstance(row, dict) and isinstance(row.get("iteration"), int):
            yield row


def _short(value: float) -> float | None:
    """Round to the five digits that suffice for a curve."""
    return float(f"{value:.5g}") if math.isfinite(value) else None


def read_rows(path: str | Path) -> Rows:
    """Read a whole table.

    Args:
        path: the folder of a run, a ``results.jsonl`` or ``results.csv`` (YOLOv5's too), or a log of Darknet.

    Raises:
        DataError: the table is missing, or has no iteration.
    """
    path = Path(path)
    if path.is_dir():
        path = next((path / name for name in reversed(IN_RUN) if (path / name).is_file()), path / IN_RUN[0])
    rows = Rows(path)
    if path.suffix == ".jsonl":
        rows.update()
    elif path.suffix == ".csv":
        for row in csv.DictReader(io.StringIO(_text(path))):
            numbers = _numbers(row)
            if "iteration" in numbers:
                rows.add(numbers)
    else:
        log = load(path)
        evaluations = {(e.session, e.iteration): e for e in log.evaluations}
        for one in log.iterations:
            found = evaluations.get((one.session, one.iteration))
            more = {"map": found.map, "precision": found.precision, "recall": found.recall} if found else {}
            names = ("iteration", "loss", "avg_loss", "rate", "seconds")
            rows.add({**{name: getattr(one, name) for name in names}, **more})
    if not len(rows):
        raise DataError(f"{path}: holds no iteration of a training")
    return rows


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig", "replace")
    except OSError as error:
        raise DataError(f"{path}: cannot read the table: {error.strerror}") from None


def _numbers(row: Mapping[str | None, Any]) -> dict[str, Any]:
    """Numbers of a CSV row; other cells are left out."""
    cells: dict[str, float] = {}
    for key, value in row.items():
        with contextlib.suppress(ValueError):
            cells[str(key).strip().lower()] = float(str(value).strip())
    found = {_YOLOV5.get(name, name): value for name, value in cells.items()}
    for name, prefix in (("loss", "train/"), ("val_loss", "val/")):
        parts = [value for key, value in cells.items() if key.startswith(prefix)]
        if parts:
            found.setdefault(name, sum(parts))
    return found
