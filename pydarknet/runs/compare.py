# SPDX-License-Identifier: Apache-2.0
"""Comparison of runs: settings that differ, and results."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydarknet.cfg.model import CfgFile
from pydarknet.errors import ArgumentError, CfgError, DataError
from pydarknet.logs.advice import advise
from pydarknet.logs.load import IN_RUN, load
from pydarknet.runs.state import RunState

# Entries of run.json that differ in every run and are not settings.
_NO_SETTINGS = (
    "time",
    "date",
    "started",
    "ended",
    "finished",
    "pid",
    "host",
    "path",
    "folder",
    "hash",
    "result",
    "sessions",
)


@dataclass(frozen=True)
class Run:
    """One training with its settings and results.

    Attributes:
        name: of its folder.
        settings: ``[net]`` of its cfg and the entries of ``run.json``, flat, as text.
        results: state or stop reason, iterations, hours, best mAP and its iteration, other metrics of that
            evaluation, average loss, verdict.
    """

    name: str
    settings: dict[str, str]
    results: dict[str, str]


def find(places: Iterable[str | Path]) -> list[Path]:
    """List the folders of runs: places with ``run.json``, else the runs in them, else places with a log.

    Raises:
        DataError: none of them holds a run.
    """
    found: list[Path] = []
    for place in map(Path, places):
        if not place.exists():
            raise DataError(f"{place}: folder not found")
        below: list[Path] = []
        if place.is_dir() and not (place / "run.json").is_file():
            below = sorted(child for child in place.iterdir() if child.is_dir() and _is_run(child))
        if below:  # a log beside them is that of a terminal: `... | tee runs/train.log`
            found += below
        elif place.is_file() or _is_run(place):
            found.append(place)
    if not found:
        looked = ", ".join(map(str, places))
        raise DataError(
            f"{looked}: found no runs; a run is a folder with one of run.json, {', '.join(IN_RUN)}"
        )
    return found


def _is_run(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("run.json", *IN_RUN))


def read(place: Path) -> Run:
    """Read settings and results of a run; missing or damaged parts are left out."""
    settings: dict[str, str] = {}
    if place.is_dir():
        for cfg in sorted(place.glob("*.cfg"))[:1]:
            settings.update(_cfg_settings(cfg))
        settings.update(_json_settings(place / "run.json"))
    try:
        results = _results(place)
    except DataError:
        results = {}
    return Run(place.name, settings, results)


def _cfg_settings(path: Path) -> dict[str, str]:
    try:
        cfg = CfgFile.load(path)
        return {"cfg": path.stem, **{option.key: option.value for option in cfg.net.options}}
    except CfgError:
        return {}


def _json_settings(path: Path) -> dict[str, str]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return dict(_flat(content)) if isinstance(content, dict) else {}


def _flat(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in content.items():
        if key in ("out", "http") or any(word in key.lower() for word in _NO_SETTINGS):
            continue
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _short(value) if isinstance(value, str) else json.dumps(value)


def _short(text: str) -> str:
    """An absolute path relative to the working folder if it is in it."""
    here = f"{Path.cwd()}/"
    return text.removeprefix(here)


def _results(place: Path) -> dict[str, str]:
    log = load(place)
    advice = advise(log)
    found: dict[str, str] = {}
    if place.is_dir():
        state = RunState(place).read()
        found["state"] = state["kind"] if not state["reason"] else state["reason"]
    if log.iterations:
        seconds = [row.seconds for row in log.current().iterations if math.isfinite(row.seconds)]
        found |= {"iterations": str(log.iterations[-1].iteration), "hours": f"{sum(seconds) / 3600:.2f}"}
    if advice.best_map is not None:
        found |= {"map50": f"{advice.best_map:.4f}", "at": str(advice.best_iteration)}
    if place.is_dir():
        found |= _measured(state["evaluations"], advice.best_iteration)
    if log.iterations:
        found["avg_loss"] = f"{log.iterations[-1].avg_loss:.4g}"
    return {**found, "verdict": advice.verdict}


def _measured(evaluations: Sequence[Mapping[str, Any]], iteration: int | None) -> dict[str, str]:
    """Other metrics of the best evaluation."""
    best = next((row for row in evaluations if row["iteration"] == iteration), {})
    numbers = {name: best.get(name) for name in ("map5095", "val_loss")}
    return {name: f"{value:.4g}" for name, value in numbers.items() if isinstance(value, (int, float))}


def differing(runs: Sequence[Run]) -> list[str]:
    """List the settings that are not the same in all runs, in order of appearance."""
    names = dict.fromkeys(name for run in runs for name in run.settings)
    return [name for name in names if len({run.settings.get(name) for run in runs}) > 1]


def sort(runs: Sequence[Run], key: str) -> list[Run]:
    """Sort runs by a result, the best first: the largest number, but the smallest loss; runs without it last.

    Raises:
        ArgumentError: no run has such a result.
    """
    names = [*dict.fromkeys(name for run in runs for name in run.results)]
    if key != "name" and key not in names:
        raise ArgumentError(f"found the column {key!r}, expected name, {', '.join(names)}")
    sign = 1 if "loss" in key else -1

    def rank(run: Run) -> tuple[bool, float, str]:
        text = run.results.get(key, "")
        try:
            return not text, sign * float(text or 0), run.name
        except ValueError:
            return not text, 0.0, text

    return sorted(runs, key=(lambda run: run.name) if key == "name" else rank)


def table(runs: Sequence[Run], against: Run) -> str:
    """Format runs side by side: results, then differing settings; ``*`` marks those not as in ``against``."""
    columns = [*dict.fromkeys(name for run in runs for name in run.results)]
    changed = differing(runs)
    rows = [["run", *columns, *changed]]
    for run in runs:
        cells = [run.name, *(run.results.get(name, "") for name in columns)]
        rows.append([*cells, *(_marked(run, against, name) for name in changed)])
    return _aligned(rows)


def pair(first: Run, second: Run) -> str:
    """Format two runs side by side: a line for each result, and for each setting that differs."""
    results = [*dict.fromkeys([*first.results, *second.results])]
    rows = [["", first.name, second.name]]
    rows += [[name, first.results.get(name, ""), second.results.get(name, "")] for name in results]
    rows += [
        [name, first.settings.get(name, ""), _marked(second, first, name)]
        for name in differing([first, second])
    ]
    return _aligned(rows)


def _marked(run: Run, against: Run, name: str) -> str:
    value = run.settings.get(name, "")
    return value if against.settings.get(name, "") == value else f"{value}*"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
