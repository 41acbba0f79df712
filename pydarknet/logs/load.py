# SPDX-License-Identifier: Apache-2.0
"""Find and read a log: a text of Darknet, a table (CSV, JSON lines), or the folder of a run."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydarknet.errors import DataError
from pydarknet.logs.model import Evaluation, Iteration, Log
from pydarknet.logs.parse import number, parse
from pydarknet.system.files import read_file

IN_RUN = ("train.log", "results.csv", "results.jsonl")

# our name → names in tables of other programs, YOLOv5's among them
_ALIASES = {
    "iteration": ("iteration", "iter", "step", "epoch"),
    "loss": ("loss", "train/loss"),
    "avg_loss": ("avg_loss", "average_loss", "average"),
    "rate": ("rate", "lr", "learning_rate", "x/lr0"),
    "seconds": ("seconds", "time", "time_train"),
    "images": ("images", "seen"),
    "hours_left": ("hours_left",),
    "session": ("session",),
    "map": ("map", "map50", "map@0.5", "metrics/map_0.5"),
    "precision": ("precision", "metrics/precision"),
    "recall": ("recall", "metrics/recall"),
}

_LARGEST = 1 << 53  # up to here a float counts exactly


def load(path: str | Path) -> Log:
    """Read a log.

    Args:
        path: a text that Darknet printed, a CSV or JSON-lines table, or the folder of a run that holds one.

    Raises:
        DataError: there is no such file, or its format is unknown.
    """
    path = Path(path)
    if path.is_dir():
        found = next((path / name for name in IN_RUN if (path / name).is_file()), None)
        if found is None:
            raise DataError(f"{path}: no log in this folder; looked for {', '.join(IN_RUN)}")
        path = found
    try:
        text = _decode(read_file(path))
    except OSError as error:
        raise DataError(f"{path}: cannot read the log: {error.strerror}") from error
    if path.suffix == ".csv":
        log = _table(_csv_rows(text, path), str(path))
    elif path.suffix == ".jsonl":
        log = _table(_json_lines(text), str(path))
    else:
        log = parse(text, str(path))
    if not (log.iterations or log.evaluations or log.heads):
        raise DataError(f"{path}: holds no iteration and no evaluation of a Darknet training")
    return log


def _decode(data: bytes) -> str:
    """Decode a log: UTF-16 from PowerShell, else UTF-8 with invalid bytes replaced."""
    for mark in (b"\xff\xfe", b"\xfe\xff"):
        if data.startswith(mark):
            return data.decode("utf-16", "replace")
    return data.decode("utf-8-sig", "replace")


def _csv_rows(text: str, path: Path) -> Iterator[Mapping[str, Any]]:
    reader = csv.DictReader(io.StringIO(text.replace("\r\n", "\n").replace("\r", "\n"), newline=""))
    try:
        yield from reader
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: is not CSV: {error}") from None


def _json_lines(text: str) -> Iterable[Mapping[str, Any]]:
    for line in text.splitlines():
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue  # the last line of a run that was killed
        if isinstance(row, dict):
            yield row


def _table(rows: Iterable[Mapping[str, Any]], path: str) -> Log:
    log = Log(path)
    for row in rows:
        named = {str(key).strip().lower(): value for key, value in row.items() if key is not None}
        values = {name: _value(named, aliases) for name, aliases in _ALIASES.items()}
        if not all(-_LARGEST < (values[name] or 0) < _LARGEST for name in ("iteration", "session", "images")):
            continue  # nan, inf and numbers that cannot be counts
        if values["iteration"] is None:
            continue
        parts = [_value(named, (key,)) for key in named if key.startswith("train/") and key.endswith("_loss")]
        if values["loss"] is None and parts:
            values["loss"] = sum(part for part in parts if part is not None)
        iteration, session = int(values["iteration"]), int(values["session"] or 0)
        if values["loss"] is not None or values["avg_loss"] is not None:
            log.iterations.append(_iteration(values, iteration, session))
        if values["map"] is not None:
            more = values["precision"], values["recall"]
            log.evaluations.append(
                Evaluation(iteration, values["map"], session=session, precision=more[0], recall=more[1])
            )
    return log


def _iteration(values: Mapping[str, float | None], iteration: int, session: int) -> Iteration:
    loss, average = values["loss"], values["avg_loss"]
    loss = average if loss is None else loss
    average = loss if average is None else average
    assert loss is not None
    assert average is not None
    rate, seconds = (math.nan if values[key] is None else values[key] for key in ("rate", "seconds"))
    images = int(values["images"] or 0)
    return Iteration(
        iteration, loss, average, rate or 0.0, seconds or 0.0, images, values["hours_left"], session
    )


def _value(row: Mapping[str, Any], names: Iterable[str]) -> float | None:
    for name in names:
        text = str(row.get(name, "") if row.get(name) is not None else "").strip()
        if text:
            try:
                return number(text)
            except ValueError:
                return None
    return None
