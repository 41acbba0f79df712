# SPDX-License-Identifier: Apache-2.0
"""Several label sources as one: the files of a format in a folder, or several data sets."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pydarknet.data.issues import Report
from pydarknet.data.records import LabelSource, Record, Unit


def joined(sources: Sequence[LabelSource], path: str | Path, report: Report) -> LabelSource:
    """All units of several sources, in their order.

    Classes of the same name are one class: those of the first source keep their order, new ones follow.

    Args:
        sources: at least one.
        path: what was read, for the report.
        report: receives a note if sources have different class names.
    """
    if len(sources) == 1:
        return sources[0]
    names: tuple[str, ...] | None = None
    if all(source.names is not None for source in sources):
        names = tuple(dict.fromkeys(name for source in sources for name in source.names or ()))
        if any(source.names != names for source in sources):
            report.add("note", "files with different class names", path, action="joined by name")
    units = functools.partial(_units, tuple(sources))
    parse = functools.partial(_parse, parses=tuple(source.parse for source in sources))
    return LabelSource(units, parse, names, sources[0].order)


def _units(sources: Sequence[LabelSource]) -> Iterator[tuple[int, Unit]]:
    for number, source in enumerate(sources):
        for unit in source.units():
            yield number, unit


def _parse(unit: tuple[int, Unit], report: Report, *, parses: Sequence[object]) -> Iterable[Record]:
    number, inner = unit
    parse = parses[number]
    assert callable(parse)
    found: Iterable[Record] = parse(inner, report)
    return found
