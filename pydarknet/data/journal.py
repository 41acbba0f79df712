# SPDX-License-Identifier: Apache-2.0
"""Parsed chunks on disk: a conversion can count before it writes, and resume after an interruption."""

from __future__ import annotations

import hashlib
import itertools
import os
import pickle
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

import msgspec

from pydarknet.data.classes import ClassPlan
from pydarknet.data.executors import Engine
from pydarknet.data.issues import Issue, Report
from pydarknet.data.label_files import atomic
from pydarknet.data.records import LabelSource, Record, Rules, Unit, cleaned
from pydarknet.system.text import encode

CHUNK_UNITS = 256

_Task: TypeAlias = tuple[int, str, list[Unit]]


class ChunkSummary(msgspec.Struct):
    """Counts over some units: ``labels`` by the source's class names, ``images`` and ``boxes`` by the new
    ones."""

    units: int = 0
    records: int = 0
    labels: dict[str, int] = {}
    images: dict[str, int] = {}
    boxes: dict[str, int] = {}
    statuses: dict[str, int] = {}
    dropped: dict[str, int] = {}

    def add(self, other: ChunkSummary) -> None:
        """Add the counts of other units."""
        self.units += other.units
        self.records += other.records
        for name in ("labels", "images", "boxes", "statuses", "dropped"):
            setattr(self, name, dict(Counter(getattr(self, name)) + Counter(getattr(other, name))))


class Chunk(msgspec.Struct, array_like=True):
    """The parsed and cleaned records of some units."""

    key: str
    summary: ChunkSummary
    issues: list[Issue]
    records: list[Record]


_decoder = msgspec.msgpack.Decoder(Chunk)
_encoder = msgspec.msgpack.Encoder()


class Journal:
    """The chunks of one job in a folder.

    Args:
        folder: where they are.
        job: a text that identifies everything the result depends on.
    """

    def __init__(self, folder: Path, job: str) -> None:
        self.folder = folder
        self._job = job
        self._count = 0

    def is_unfinished(self) -> bool:
        """Whether the folder holds an unfinished run of exactly this job."""
        with suppress(OSError):
            return (self.folder / "job").read_text() == self._job
        return False

    def start(self) -> None:
        """Delete the chunks of another job and start this one."""
        self.remove()
        with atomic(self.folder / "job") as file:
            file.write(encode(self._job))

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def remove_if_empty(self) -> None:
        """Delete the folder if no chunk is finished, and the one around it if that is empty then."""
        if not any(self.folder.glob("*.chunk")):
            self.remove()
            with suppress(OSError):
                self.folder.parent.rmdir()

    def fill(
        self, source: LabelSource, rules: Rules, classes: ClassPlan, engine: Engine, jobs: int
    ) -> Iterator[ChunkSummary]:
        """Parse every unit that no finished chunk covers; yields the summary of each chunk, old ones
        included."""
        finished: list[ChunkSummary] = []
        work = partial(_parse_chunk, replace(source, units=list), rules, classes)
        for number, summary, encoded in engine(work, self._missing(source, finished), jobs):
            with atomic(self._file(number)) as file:
                file.write(encoded)
            yield summary
            while finished:
                yield finished.pop()
        yield from finished

    def chunks(self) -> Iterator[Chunk]:
        """The chunks in the order of the source, after :meth:`fill`."""
        for number in range(self._count):
            yield _decoder.decode(self._file(number).read_bytes())

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:08d}.chunk"

    def _missing(self, source: LabelSource, finished: list[ChunkSummary]) -> Iterator[_Task]:
        self._count = 0
        for units in _batched(source.units()):
            number, self._count = self._count, self._count + 1
            key = hashlib.sha256(pickle.dumps(units)).hexdigest()
            old = self._stored(number, key)
            if old is None:
                yield number, key, units
            else:
                finished.append(old.summary)

    def _stored(self, number: int, key: str) -> Chunk | None:
        """A finished chunk, unless its files were changed after it was parsed."""
        file = self._file(number)
        try:
            chunk = _decoder.decode(file.read_bytes())
            written = file.stat().st_mtime_ns
        except (OSError, msgspec.DecodeError):
            return None
        sources = {record.source for record in chunk.records} | {issue.file for issue in chunk.issues}
        for path in sources:
            with suppress(OSError):
                if os.stat(path).st_mtime_ns > written:  # noqa: PTH116 - hot: once per annotation file
                    return None
        return chunk if chunk.key == key else None


def _batched(units: Iterable[Unit]) -> Iterator[list[Unit]]:
    stream = iter(units)
    while batch := list(itertools.islice(stream, CHUNK_UNITS)):
        yield batch


def _parse_chunk(
    source: LabelSource, rules: Rules, classes: ClassPlan, task: _Task
) -> tuple[int, ChunkSummary, bytes]:
    """Parse, clean and rename one chunk, in a worker."""
    number, key, units = task
    report = Report(strict=rules.on_error == "raise")
    records = list(cleaned(source, units, rules, report))
    labels, images, boxes, dropped = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for record in records:
        kept = []
        for box in record.boxes:
            if box.label:
                labels[box.label] += 1
                new = classes.name(box.label)
                if not new:
                    dropped[box.label] += 1
                    continue
                box.label = new
            kept.append(box)
        record.boxes = kept
        named = [box.label for box in kept if box.label]
        boxes.update(named)
        images.update(set(named))
    statuses = Counter(record.status for record in records)
    summary = ChunkSummary(len(units), len(records), labels, images, boxes, statuses, dropped)
    return number, summary, _encoder.encode(Chunk(key, summary, report.issues, records))
