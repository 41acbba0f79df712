# SPDX-License-Identifier: Apache-2.0
"""Read the text that Darknet prints while it trains or evaluates, of any version and with any noise in it.

Two passes.  The first turns terminal control into line ends and cuts out text that is printed without a
buffer (lines of the heads, saved files), because in a log of both streams it may interrupt another line.
The second reads the rest line by line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from pydarknet.logs.model import ClassResult, Evaluation, HeadLine, Iteration, Log

INTEGER = r"\d{1,18}"  # longer ones are noise
NUMBER = r"[-+]?(?:\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|nan(?:\(\w+\))?|inf(?:inity)?|1\.#\w+)"

_CONTROL = re.compile(
    r"\x1b\][0-9]*;?"  # beginning of a terminal title
    r"|\x1b\[[0-9;?]*[HJKf]"  # cursor movement and erasing
    r"|[\x07\r\x0b\x0c]"
)
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-Z\\-_]|[\x00\x08]")

_HEAD = re.compile(
    rf"(?:v3 \(\w+ loss, Normalizer: \([^\n]*?\)+ )?Region (?P<layer>{INTEGER}) Avg \(?IOU: (?P<iou>{NUMBER})"
    rf"[^\n]*?count: (?P<count>{INTEGER})"
    rf"(?:, (?:loss = {NUMBER}, )?class_loss = (?P<class_loss>{NUMBER}), iou_loss = (?P<iou_loss>{NUMBER})"
    rf"(?:, total_loss = (?P<total_loss>{NUMBER}))?)?[ \t]*\n?"
)
_SAVED = re.compile(r"Saving weights to (?P<path>[^\n]*)\n?")
_BOXES = re.compile(rf" *total_bbox = \d+, rewritten_bbox = {NUMBER} %[ \t]*\n?")
_UNBUFFERED = re.compile(f"(?P<head>{_HEAD.pattern})|(?P<saved>{_SAVED.pattern})|(?P<boxes>{_BOXES.pattern})")

_MAIN = re.compile(
    rf"(?<![\d.])(?P<iteration>{INTEGER})(?:, {NUMBER})?: (?P<loss>{NUMBER}), "
    rf"(?P<avg>{NUMBER}) avg(?: loss)?, (?P<rate>{NUMBER}) rate, (?P<seconds>{NUMBER}) seconds, "
    rf"(?P<images>{INTEGER}) images(?:, (?P<hours>{NUMBER}) hours left)?"
)
_KEYED = re.compile(
    rf"(?<![\d./])(?P<iteration>{INTEGER}): loss=(?P<loss>{NUMBER}), avg loss=(?P<avg>{NUMBER}), (?P<rest>.*)"
)
_BEGUN = re.compile(rf"^\s*\d+(?:, {NUMBER})?: (?:{NUMBER}, |loss={NUMBER}, avg)")
_TITLE = re.compile(rf"(?<!\d)\d+/(?P<end>{INTEGER}): loss=")
_STARTED = re.compile(rf"Learning Rate: {NUMBER}, Momentum: {NUMBER}, Decay: {NUMBER}")
_BATCH = re.compile(rf"mini_batch = \d+, batch = (?P<batch>{INTEGER}), time_steps = \d+, train = 1")
_CLASS = re.compile(
    rf"class_id = (?P<id>{INTEGER}), name = (?P<name>.*?), ap = (?P<ap>{NUMBER}) ?%"
    rf"(?:\s*\(TP = (?P<tp>{INTEGER}), FP = (?P<fp>{INTEGER})\))?"
)
_RATIOS = re.compile(
    rf"for (?:conf_thresh|thresh) = {NUMBER}, precision = (?P<precision>{NUMBER}), "
    rf"recall = (?P<recall>{NUMBER}), F1-score = (?P<f1>{NUMBER})"
)
_COUNTS = re.compile(
    rf"for (?:conf_thresh|thresh) = {NUMBER}, TP = (?P<tp>{INTEGER}), FP = (?P<fp>{INTEGER}), "
    rf"FN = (?P<fn>{INTEGER}), average IoU = (?P<iou>{NUMBER}) %"
)
_MEAN = re.compile(
    rf"mean average precision \(mAP(?:@(?P<at>{NUMBER}))?\) ?= ?(?P<map>{NUMBER}) ?(?P<percent>%)?"
)
_RESULT = re.compile(rf"mean_average_precision \(mAP@(?P<at>{NUMBER})\) = (?P<map>{NUMBER})")
_SATURATED = re.compile(r"^D-01: the detections are saturated")
_LAST = re.compile(rf"Last accuracy mAP@(?P<at>{NUMBER}) = (?P<map>{NUMBER}) ?%")

STATUS_DIGIT = 1e-4  # two decimals of a percentage


def number(text: str) -> float:
    """A number as C prints it: also ``-nan``, ``nan(ind)``, ``1.#QNAN``, ``inf``."""
    folded = text.lower().lstrip("+-")
    if folded.startswith(("inf", "1.#inf")):
        return -math.inf if text.startswith("-") else math.inf
    if folded.startswith(("nan", "1.#")):
        return math.nan
    return float(text)


def parse(text: str, path: str = "") -> Log:
    """Parse a log; unknown lines are skipped.

    Args:
        text: the log, of stdout, stderr or both.
        path: name for messages.
    """
    plain = _COLOUR.sub("", _CONTROL.sub("\n", text.replace("\r\n", "\n")))
    events: list[tuple[int, re.Match[str]]] = []
    removed = 0

    def take(match: re.Match[str]) -> str:
        nonlocal removed
        events.append((match.start() - removed, match))
        removed += len(match.group())
        return ""

    rest = _UNBUFFERED.sub(take, plain)
    reader = _Reader(Log(path))
    place = 0
    for line in rest.split("\n"):
        while events and events[0][0] <= place:
            reader.unbuffered(events.pop(0)[1])
        reader.line(line)
        place += len(line) + 1
    for _, match in events:
        reader.unbuffered(match)
    return reader.finish()


@dataclass
class _Reader:
    """The second pass: lines in, log out."""

    log: Log
    session: int = 0
    restarted: bool = False
    max_batches: int | None = None
    batch: int | None = None
    damaged: int = 0
    waiting: list[re.Match[str]] = field(default_factory=list)
    block: dict[str, Any] = field(default_factory=dict)
    classes: list[ClassResult] = field(default_factory=list)
    saturated: int | None = None  # iteration whose evaluation was reported as saturated

    @property
    def iteration(self) -> int:
        return self.log.iterations[-1].iteration if self.log.iterations else 0

    def unbuffered(self, match: re.Match[str]) -> None:
        if match["head"] is not None:
            self.waiting.append(match)
        elif match["saved"] is not None:
            self.log.saved.append((self.iteration, match["path"].strip()))

    def line(self, line: str) -> None:
        for mark, pattern, handle in _GRAMMAR:
            if mark in line and (match := pattern.search(line)):
                handle(self, match)
                return
        if _BEGUN.match(line):
            self.damaged += 1

    def title(self, match: re.Match[str]) -> None:
        self.max_batches = int(match["end"])

    def started(self, _match: re.Match[str]) -> None:
        self.restarted = bool(self.log.iterations)

    def batch_size(self, match: re.Match[str]) -> None:
        self.batch = int(match["batch"])

    def main(self, match: re.Match[str]) -> None:
        hours = number(match["hours"]) if match["hours"] else None
        self._add(match, number(match["rate"]), number(match["seconds"]), int(match["images"]), hours)

    def keyed(self, match: re.Match[str]) -> None:
        """Darknet V3 and later: ``key=value`` pairs in an order that changed with the versions."""
        rest = match["rest"]
        last = re.search(rf"last=({NUMBER})%", rest)
        if last:
            self._status(number(last[1]) / 100)
        rate = re.search(rf"rate=({NUMBER})", rest)
        time = re.search(rf"(?:train[^,=]*=|(?:^|, ))({NUMBER}) (milli)?seconds", rest)
        images = re.search(rf"({INTEGER}) images|images=({INTEGER})", rest)
        seconds = number(time[1]) / (1000 if time[2] else 1) if time else math.nan
        count = int(images[1] or images[2]) if images else 0
        self._add(match, number(rate[1]) if rate else math.nan, seconds, count, _hours(rest))

    def _add(
        self, match: re.Match[str], rate: float, seconds: float, images: int, hours: float | None
    ) -> None:
        number_ = int(match["iteration"])
        if self.log.iterations and (self.restarted or number_ <= self.iteration):
            self.session += 1
        self.restarted = False
        if hours is not None and hours < 0:
            hours = None
        row = Iteration(
            number_, number(match["loss"]), number(match["avg"]), rate, seconds, images, hours, self.session
        )
        self.log.iterations.append(row)
        self._place_heads(number_)

    def _place_heads(self, iteration: int) -> None:
        for head in self.waiting:
            losses = [
                number(head[key]) if head[key] else None for key in ("class_loss", "iou_loss", "total_loss")
            ]
            row = HeadLine(iteration, int(head["layer"]), number(head["iou"]), int(head["count"]), *losses)
            self.log.heads.append(row)
        self.waiting.clear()

    def class_result(self, match: re.Match[str]) -> None:
        if int(match["id"]) == 0:
            self.classes.clear()
            self.block.clear()
        ap, tp, fp = number(match["ap"]) / 100, int(match["tp"] or 0), int(match["fp"] or 0)
        self.classes.append(ClassResult(int(match["id"]), match["name"], ap, tp, fp))

    def ratios(self, match: re.Match[str]) -> None:
        self.block.update({key: number(match[key]) for key in ("precision", "recall", "f1")})

    def counts(self, match: re.Match[str]) -> None:
        self.block.update({key: int(match[key]) for key in ("tp", "fp", "fn")})
        self.block["average_iou"] = number(match["iou"]) / 100

    def mean(self, match: re.Match[str]) -> None:
        at = number(match["at"]) if match["at"] else 0.5
        value = number(match["map"]) / (100 if match["percent"] else 1)
        saturated = self.saturated == self.iteration
        block = {"classes": tuple(self.classes), **self.block, "saturated": saturated}
        self.log.evaluations.append(Evaluation(self.iteration, value, at, self.session, **block))
        self.classes.clear()
        self.block.clear()

    def doubtful(self, _match: re.Match[str]) -> None:
        """A finding of ours, above the block of the evaluation that it is about."""
        self.saturated = self.iteration

    def result(self, match: re.Match[str]) -> None:
        """The line after a block repeats its mean; alone it is the evaluation."""
        found = Evaluation(self.iteration, number(match["map"]), number(match["at"]), self.session)
        last = self.log.evaluations[-1] if self.log.evaluations else None
        if last is None or (last.iteration, last.session) != (found.iteration, found.session):
            self.log.evaluations.append(found)

    def last_accuracy(self, match: re.Match[str]) -> None:
        """``Last accuracy mAP@0.50 = 16.16 %``, repeated in every iteration."""
        self._status(number(match["map"]) / 100, number(match["at"]))

    def _status(self, value: float, at: float = 0.5) -> None:
        """The last mAP, in a line of status: news only if the evaluation itself is not in the log."""
        last = self.log.evaluations[-1] if self.log.evaluations else None
        if last is None or abs(last.map - value) > STATUS_DIGIT:
            self.log.evaluations.append(Evaluation(self.iteration, value, at, self.session))

    def finish(self) -> Log:
        self._place_heads(self.iteration + 1)
        return replace(self.log, max_batches=self.max_batches, batch=self.batch, damaged=self.damaged)


def _hours(text: str) -> float | None:
    """``time remaining=1 hour, 20 minutes`` in hours."""
    match = re.search(r"time remaining=(.*)", text)
    if not match:
        return None
    units = {"day": 24.0, "hour": 1.0, "minute": 1 / 60, "second": 1 / 3600}
    parts = re.findall(rf"({NUMBER}) (day|hour|minute|second)", match[1])
    return sum(number(value) * units[unit] for value, unit in parts) if parts else None


# (text that must be in the line, pattern, action), the most frequent first
_GRAMMAR: list[tuple[str, re.Pattern[str], Callable[[_Reader, re.Match[str]], None]]] = [
    (" rate, ", _MAIN, _Reader.main),
    ("avg loss=", _KEYED, _Reader.keyed),
    ("loss=", _TITLE, _Reader.title),
    ("Last accuracy", _LAST, _Reader.last_accuracy),
    ("class_id", _CLASS, _Reader.class_result),
    ("F1-score", _RATIOS, _Reader.ratios),
    ("average IoU", _COUNTS, _Reader.counts),
    ("mean average precision", _MEAN, _Reader.mean),
    ("mean_average_precision", _RESULT, _Reader.result),
    ("D-01", _SATURATED, _Reader.doubtful),
    ("Learning Rate", _STARTED, _Reader.started),
    ("mini_batch", _BATCH, _Reader.batch_size),
]
