# SPDX-License-Identifier: Apache-2.0
"""Contents of a training log as plain values."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

COLUMNS = ("session", "iteration", "loss", "avg_loss", "rate", "seconds", "images", "hours_left", "map")


@dataclass(frozen=True, slots=True)
class Iteration:
    """One iteration.

    Attributes:
        iteration: number of weight updates done, from 1.
        loss: of this iteration; may be nan or infinite.
        avg_loss: running average, 0.9 of the one before and 0.1 of ``loss``.
        rate: learning rate; as printed, so tiny ones may read 0.
        seconds: time of the iteration.
        images: images seen so far.
        hours_left: the program's own estimate; None in the first line and in old versions.
        session: 0 for the first start, one more each time that the training was resumed.
    """

    iteration: int
    loss: float
    avg_loss: float
    rate: float
    seconds: float
    images: int
    hours_left: float | None = None
    session: int = 0


@dataclass(frozen=True, slots=True)
class ClassResult:
    """Result of one class: average precision 0…1, true and false positives."""

    class_id: int
    name: str
    ap: float
    tp: int
    fp: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One evaluation on the validation images.

    Attributes:
        iteration: after which it was made; 0 in a log that only evaluates.
        map: mean average precision 0…1.
        iou_threshold: IoU from which a detection counts, usually 0.5.
        session: as in :class:`Iteration`.
        classes: results of the classes; empty if the log holds only the mean.
        precision: at the confidence threshold of the log, None if not given; like all that follow.
        recall: see ``precision``.
        f1: see ``precision``.
        tp: see ``precision``.
        fp: see ``precision``.
        fn: see ``precision``.
        average_iou: 0…1.
        saturated: the log reports saturated detections (D-01); such a value never counts as best.
    """

    iteration: int
    map: float
    iou_threshold: float = 0.5
    session: int = 0
    classes: tuple[ClassResult, ...] = ()
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None
    tp: int | None = None
    fp: int | None = None
    fn: int | None = None
    average_iou: float | None = None
    saturated: bool = False


@dataclass(frozen=True, slots=True)
class HeadLine:
    """Statistics of one head for one mini-batch.

    Attributes:
        iteration: that it belongs to.
        layer: number of the head.
        iou: mean IoU with the truths; nan if there were none.
        count: truths.
        class_loss: None in old versions, like the next two.
        iou_loss: loss of the boxes.
        total_loss: both and the objectness.
    """

    iteration: int
    layer: int
    iou: float
    count: int
    class_loss: float | None
    iou_loss: float | None
    total_loss: float | None


_Dated = TypeVar("_Dated", Iteration, Evaluation)


@dataclass(frozen=True)
class Log:
    """A training log.

    Attributes:
        path: where it was read from, for messages.
        iterations: all of them, in the order of the file.
        evaluations: likewise.
        heads: lines of the heads.
        saved: (iteration, path) of every weights file that was written.
        max_batches: planned length, if logged.
        batch: images of one iteration, if logged.
        damaged: lines that began like an iteration and ended early.
    """

    path: str = ""
    iterations: list[Iteration] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)
    heads: list[HeadLine] = field(default_factory=list)
    saved: list[tuple[int, str]] = field(default_factory=list)
    max_batches: int | None = None
    batch: int | None = None
    damaged: int = 0

    @property
    def sessions(self) -> int:
        """How often the training was started."""
        return self.iterations[-1].session + 1 if self.iterations else 0

    def current(self) -> Log:
        """The training that led to the last line: without iterations that were done again after a resume."""
        return Log(
            self.path,
            _without_redone(self.iterations, self.iterations),
            _without_redone(self.evaluations, self.iterations),
            self.heads,
            self.saved,
            self.max_batches,
            self.batch,
            self.damaged,
        )

    def to_csv(self) -> str:
        """One line for each iteration, with the mAP where it was measured; not finite numbers as ``nan``."""
        maps = {(e.session, e.iteration): e.map for e in self.evaluations}
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in self.iterations:
            values = {**asdict(row), "map": maps.get((row.session, row.iteration))}
            writer.writerow(["" if values[name] is None else values[name] for name in COLUMNS])
        return text.getvalue()

    def to_json(self) -> str:
        """One JSON object; numbers that are not finite become null, as JSON has none."""
        return json.dumps(_finite({**asdict(self), "sessions": self.sessions}), indent=1, ensure_ascii=False)


def _without_redone(rows: Iterable[_Dated], iterations: list[Iteration]) -> list[_Dated]:
    first: dict[int, int] = {}
    for iteration in iterations:
        first.setdefault(iteration.session, iteration.iteration)
    starts = sorted(first.items())

    def kept(row: _Dated) -> bool:
        return all(row.iteration < start for session, start in starts if session > row.session)

    return [row for row in rows if kept(row)]


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
