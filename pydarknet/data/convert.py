# SPDX-License-Identifier: Apache-2.0
"""Convert a data set of any size from any format to any other.

Two passes. The first parses and cleans chunks of the source, in several processes if asked, and keeps each
finished chunk in ``DST/.convert``; the second streams the chunks, in order, through the writer. Class order
and counts are known in between, memory holds a few chunks, and an interrupted conversion resumes with the
chunks it has.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from pydarknet import __version__
from pydarknet.data.class_cap import limited
from pydarknet.data.classes import ClassPlan
from pydarknet.data.dataset import Sample, Status
from pydarknet.data.executors import Engine, local
from pydarknet.data.io import open_sources, refuse_occupied, write_samples
from pydarknet.data.issues import Issue, Report
from pydarknet.data.journal import ChunkSummary, Journal
from pydarknet.data.label_files import atomic
from pydarknet.data.output import Output
from pydarknet.data.paths import JOURNAL_NAME, REPORT_NAME
from pydarknet.data.records import ReadOptions, Record, Rules, to_samples
from pydarknet.data.superseded import BestRecords
from pydarknet.errors import DataError
from pydarknet.system.notify import Progress, no_progress
from pydarknet.system.text import printable


@dataclass(frozen=True)
class ConvertJob:
    """Everything a conversion depends on; two equal jobs give the same result.

    Attributes:
        source: file, folder or archive to read.
        more: further ones that belong to the same set.
        to: format to write.
        format: format of the source, or ``"auto"``.
        options: how to read.
        rules: how to clean boxes.
        classes: which classes under which names.
        limit: at most this many images per class and split; ``None`` = all.
        seed: which images the limit chooses.
        keep_emptied: write images that lost all their boxes as empty ones, instead of leaving them out.
    """

    source: Path
    to: str = "darknet"
    format: str = "auto"
    options: ReadOptions = field(default_factory=ReadOptions)
    rules: Rules = field(default_factory=Rules)
    classes: ClassPlan = field(default_factory=ClassPlan)
    limit: int | None = None
    seed: int = 0
    keep_emptied: bool = False
    more: tuple[Path, ...] = ()


@dataclass(frozen=True)
class ConvertResult:
    """Result of a conversion.

    Attributes:
        format: format the source was read as.
        names: class names, in the order of their index.
        images: images read, by status, and those written.
        boxes: boxes kept by cleaning, and those written as ordinary and as ignored boxes.
        deselected: boxes left out because their class was not asked for, per class.
        report: counts and examples of everything dropped or changed; the full list is in ``report_file``.
        report_file: the JSON report.
    """

    format: str
    names: tuple[str, ...]
    images: dict[str, int]
    boxes: dict[str, int]
    deselected: dict[str, int]
    report: Report
    report_file: Path


def convert(
    job: ConvertJob,
    out: Output,
    *,
    jobs: int = 1,
    overwrite: bool = False,
    max_errors: int | None = None,
    engine: Engine = local,
    progress: Progress | None = None,
) -> ConvertResult:
    """Convert a data set.

    Args:
        job: the source, and how to convert it.
        out: where and how to write.
        jobs: worker processes for parsing.
        overwrite: write into a folder that is not empty.
        max_errors: stop after this many errors.
        engine: where chunks are parsed, see :mod:`pydarknet.data.executors`.
        progress: called with ("read", units done, None), then ("write", images done, images in total).

    Returns:
        Counts of everything read, written, dropped and changed.

    Raises:
        DataError: if the source or the target cannot be used; with ``on_error="raise"`` at the first issue.
    """
    journal = Journal(_own_files(out)[0], f"{__version__} {job} {out.plan()}")
    if not journal.is_unfinished():
        refuse_occupied(out.root, overwrite)
        journal.start()
    try:
        return _convert(job, out, journal, jobs, max_errors, engine, progress or no_progress)
    except DataError:
        journal.remove_if_empty()
        raise


def _own_files(out: Output) -> tuple[Path, Path]:
    """Paths of the chunks and the report: in the folder, or beside a single file."""
    if out.single:
        return out.root.with_name(f".{out.root.name}.convert"), out.root.with_name(
            f"{out.root.name}.{REPORT_NAME}"
        )
    return out.root / JOURNAL_NAME, out.root / REPORT_NAME


def _convert(
    job: ConvertJob,
    out: Output,
    journal: Journal,
    jobs: int,
    max_errors: int | None,
    engine: Engine,
    progress: Progress,
) -> ConvertResult:
    with _issue_file(journal.folder / "issues", max_errors) as report:
        report.strict = job.rules.on_error == "raise"
        source = open_sources([job.source, *job.more], job.format, job.options, report)
        summary = ChunkSummary()
        for done in journal.fill(source, job.rules, job.classes, engine, jobs):
            summary.add(done)
            progress("read", summary.units, None)
        known = source.class_names(set(summary.labels))
        names = job.classes.choose(known, summary.images, summary.boxes)
        best = BestRecords(record for chunk in journal.chunks() for record in chunk.records)
        pick = Selection(journal, job, names, report, progress, summary.records, best)
        out.report = report
        write_samples(pick.samples(), names, out, job.to)
    report_file = _own_files(out)[1]
    images = {**summary.statuses, "written": out.images}
    boxes = {"kept": sum(summary.labels.values()), "written": out.boxes, "ignored": out.ignored}
    dropped = dict(sorted((Counter(summary.dropped) + pick.deselected).items()))
    result = ConvertResult(source.format, names, images, boxes, dropped, report, report_file)
    _write_report(result, job, journal.folder / "issues")
    journal.remove()
    return result


@dataclass
class Selection:
    """The second pass: records of the journal as samples of the chosen classes."""

    journal: Journal
    job: ConvertJob
    names: tuple[str, ...]
    report: Report
    progress: Progress
    total: int
    best: BestRecords
    deselected: Counter[str] = field(default_factory=Counter)

    def samples(self) -> Iterator[Sample]:
        """The samples, in the order of the source."""
        return to_samples(self._records(), self.names)

    def _records(self) -> Iterator[Record]:
        index = {name: number for number, name in enumerate(self.names)}
        limit = self.job.limit
        taken = limited(self._classes(index), limit, self.job.seed) if limit is not None else None
        number = 0
        for chunk in self.journal.chunks():
            self.report.extend(chunk.issues)
            for record in chunk.records:
                chosen = taken is None or taken[number]
                if chosen and self.best.keeps(record, self.report) and self._select(record, index):
                    yield record
                number += 1
            self.progress("write", number, self.total)

    def _classes(self, index: dict[str, int]) -> Iterator[tuple[str, str, frozenset[int]]]:
        for chunk in self.journal.chunks():
            for record in chunk.records:
                labels = frozenset(index[box.label] for box in record.boxes if box.label in index)
                yield record.split, record.name, labels

    def _select(self, record: Record, index: dict[str, int]) -> bool:
        """Remove boxes of other classes; return whether to keep the image."""
        kept = []
        for box in record.boxes:
            if not box.label or box.label in index:
                kept.append(box)
            else:
                self.deselected[box.label] += 1
        had_boxes, record.boxes = bool(record.boxes), kept
        if kept or record.status != Status.ANNOTATED.value:
            return True
        if self.job.keep_emptied:
            record.status = Status.BACKGROUND.value
            return True
        reason = "no box of a chosen class" if had_boxes else "all its boxes were dropped"
        self.report.add("emptied", f"{reason}; not known to be background", record.image, action="left out")
        return False


@contextlib.contextmanager
def _issue_file(path: Path, max_errors: int | None) -> Iterator[Report]:
    """A report whose issues go to a file, one JSON object per line."""
    with path.open("wb") as file:
        encode = msgspec.json.Encoder().encode

        def sink(issue: Issue) -> None:
            file.write(encode(issue) + b"\n")

        report = Report(max_errors=max_errors, sink=sink)
        yield report
    report.sink = None


def result_json(result: ConvertResult, job: ConvertJob) -> str:
    """The counts of a conversion as JSON, without the individual issues."""
    head = {
        "source": printable(str(job.source)),
        "format": result.format,
        "to": job.to,
        "names": result.names,
        "images": result.images,
        "boxes": result.boxes,
        "deselected": result.deselected,
        "counts": dict(result.report.counts.most_common()),
    }
    return msgspec.json.format(msgspec.json.encode(head)).decode()


def _write_report(result: ConvertResult, job: ConvertJob, issues: Path) -> None:
    """The JSON report: counts first, then one issue per line."""
    with atomic(result.report_file) as file, issues.open("rb") as lines:
        file.write(result_json(result, job)[:-2].encode() + b',\n  "issues": [')
        separator = b"\n    "
        for line in lines:
            file.write(separator + line.rstrip())
            separator = b",\n    "
        file.write(b"\n  ]\n}\n")
