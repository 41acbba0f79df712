# SPDX-License-Identifier: Apache-2.0
"""Verdict on a training log: still improving, plateau, overfitting or diverged, with its numbers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pydarknet.cfg.model import CfgFile
from pydarknet.cfg.shapes import walk
from pydarknet.logs.model import Evaluation, Iteration, Log

WINDOW = 0.25  # fraction at the end of the training that is examined
FEWEST = 40  # fewer iterations give no verdict
SPAN = 100  # iterations of a window from which the change in 1000 iterations is estimated
BINS = 10  # the window is cut into this many parts, and the median of each counts
FALLING = 0.05  # a loss that falls by this share within the window is still falling
OVERFIT = 0.02  # mAP lost since its best, in points of 1
EXPLODED = 3.0  # times the smallest average loss


@dataclass(frozen=True, slots=True)
class Advice:
    """Verdict on a training.

    Attributes:
        verdict: ``falling``, ``plateau``, ``overfit``, ``diverged`` or ``unclear``.
        reason: the numbers behind it, in one sentence.
        next_step: the recommended action.
        window: first and last iteration that the verdict rests on.
        change: relative change of the loss within the window, −0.1 for 10 % less; nan if unknown.
        slope: the same for 1000 iterations.
        best_map: highest mAP 0…1, None without evaluations.
        best_iteration: where it was reached.
        last_map: of the last evaluation.
        remarks: further findings; some begin with the id of a rule.
    """

    verdict: str
    reason: str
    next_step: str
    window: tuple[int, int] = (0, 0)
    change: float = math.nan
    slope: float = math.nan
    best_map: float | None = None
    best_iteration: int | None = None
    last_map: float | None = None
    remarks: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """For JSON; numbers that are not finite become None."""
        values = asdict(self)
        for key, value in values.items():
            if isinstance(value, float) and not math.isfinite(value):
                values[key] = None
        return values

    def to_text(self) -> str:
        """The verdict as text."""
        lines = [f"{self.verdict}: {self.reason}", f"→ {self.next_step}"]
        return "\n".join([*lines, *(f"  {remark}" for remark in self.remarks)])


@dataclass(frozen=True, slots=True)
class _Trend:
    """Straight line through the logarithm of the loss at the end of a training."""

    first: int
    last: int
    change: float
    error: float

    @property
    def slope(self) -> float:
        """Relative change in 1000 iterations."""
        return math.expm1(math.log1p(self.change) * 1000 / max(self.last - self.first, 1))

    @property
    def falls(self) -> bool:
        """Whether the loss falls clearly, and by more than noise explains."""
        return self.change < -FALLING and math.log1p(self.change) + 2 * self.error < 0


def advise(log: Log, cfg: CfgFile | None = None) -> Advice:
    """Judge a training by its log.

    Args:
        log: as read by :func:`pydarknet.logs.load`; iterations that a resume did again are left out.
        cfg: the network, to judge the loss that the training began with.
    """
    log = log.current()
    rows, evaluations = log.iterations, log.evaluations
    sound = [e for e in evaluations if not e.saturated]
    best = max(sound, key=lambda e: (e.map if math.isfinite(e.map) else -1, e.iteration), default=None)
    trend = _trend(rows)
    verdict, reason, next_step = _verdict(log, trend, best)
    return Advice(
        verdict,
        reason,
        next_step,
        (trend.first, trend.last) if trend else (0, 0),
        trend.change if trend else math.nan,
        trend.slope if trend else math.nan,
        best.map if best else None,
        best.iteration if best else None,
        evaluations[-1].map if evaluations else None,
        tuple(_remarks(log, cfg, best)),
    )


def _verdict(log: Log, trend: _Trend | None, best: Evaluation | None) -> tuple[str, str, str]:
    rows, evaluations = log.iterations, log.evaluations
    bad = next((row for row in rows if not _finite(row)), None)
    if bad and not _finite(rows[-1]):
        return (
            "diverged",
            f"the loss is {bad.loss:g} at iteration {bad.iteration} and not finite at the end (D-03)",
            f"Go back to weights of before iteration {bad.iteration}; lower learning_rate, lengthen burn_in, "
            "check the labels.",
        )
    exploded = _exploded(rows)
    if exploded:
        return (
            "diverged",
            f"the average loss ends at {rows[-1].avg_loss:.4g}, {rows[-1].avg_loss / exploded.avg_loss:.1f} "
            f"times its {exploded.avg_loss:.4g} at iteration {exploded.iteration} (D-04)",
            f"Go back to weights of iteration {exploded.iteration}, with a tenth of the learning rate.",
        )
    if best and (drop := _overfit(rows, evaluations, best)):
        return (
            "overfit",
            f"mAP fell by {drop:.1%} from {best.map:.1%} at iteration {best.iteration} to "
            f"{evaluations[-1].map:.1%}, while the loss continued to fall",
            f"Use the weights of iteration {best.iteration} (`_best`); more data or augmentation would help.",
        )
    if trend is None:
        return "unclear", f"{len(rows)} iterations are too few to judge", "Train on."
    numbers = f"{_loss_text(trend)}{_map_text(evaluations, trend)}"
    if trend.falls or _map_rises(evaluations, trend):
        return "falling", numbers, "Train on; more iterations will probably still improve the result."
    return _standstill(numbers, best)


def _standstill(numbers: str, best: Evaluation | None) -> tuple[str, str, str]:
    """Verdict on a training that changes little; one that has found nothing yet is not at its end."""
    if best and best.map == 0:
        remedy = "Train on; if the burn-in is long over, `check` the data, and see remark D-05."
        return "unclear", f"{numbers}, and mAP is 0 so far", remedy
    remedy = "Stop, or lower the learning rate once more; more of the same changes little."
    return "plateau", numbers, remedy


def _finite(row: Iteration) -> bool:
    return math.isfinite(row.loss) and math.isfinite(row.avg_loss)


def _loss_text(trend: _Trend) -> str:
    word = "falls" if trend.change < 0 else "rises"
    text = f"between iterations {trend.first} and {trend.last} the loss {word} by {abs(trend.change):.1%}"
    if trend.last - trend.first < SPAN:
        return text
    return f"{text} ({trend.slope:+.1%} in 1000 iterations)"


def _map_text(evaluations: Sequence[Evaluation], trend: _Trend) -> str:
    recent = [e for e in evaluations if e.iteration >= trend.first]
    return f", mAP goes from {recent[0].map:.1%} to {recent[-1].map:.1%}" if len(recent) > 1 else ""


def _map_rises(evaluations: Sequence[Evaluation], trend: _Trend) -> bool:
    before = [e.map for e in evaluations if e.iteration < trend.first]
    recent = [e.map for e in evaluations if e.iteration >= trend.first]
    return (
        bool(before and recent)
        and max(recent) - max(before) > OVERFIT
        and recent[-1] >= max(recent) - OVERFIT / 2
    )


def _after_burn_in(rows: Sequence[Iteration]) -> Sequence[Iteration]:
    """Iterations from the one at which the rate first reaches its maximum."""
    rates = [row.rate for row in rows if math.isfinite(row.rate)]
    top = max(rates, default=0.0)
    start = next((i for i, row in enumerate(rows) if row.rate >= 0.999 * top), 0) if top > 0 else 0
    return rows[start:]


def _trend(rows: Sequence[Iteration]) -> _Trend | None:
    usual = [row for row in _after_burn_in(rows) if _finite(row) and row.loss > 0]
    if len(rows) < FEWEST or len(usual) < FEWEST // 2:
        return None
    count = max(int(len(rows) * WINDOW), FEWEST // 2)
    window = usual[-count:]
    number = min(BINS, len(window) // 2)
    parts = [list(part) for part in np.array_split(np.arange(len(window)), number)]
    x = np.array([np.median([window[i].iteration for i in part]) for part in parts])
    y = np.log([np.median([window[i].loss for i in part]) for part in parts])
    slope, error = _line(x, y)
    span = window[-1].iteration - window[0].iteration
    return _Trend(window[0].iteration, window[-1].iteration, math.expm1(slope * span), error * span)


def _line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Slope of the least-squares line, and its standard error."""
    centred = x - x.mean()
    spread = float((centred**2).sum())
    slope = float((centred * y).sum()) / spread
    residual = y - y.mean() - slope * centred
    return slope, math.sqrt(float((residual**2).sum()) / max(len(x) - 2, 1) / spread)


def _exploded(rows: Sequence[Iteration]) -> Iteration | None:
    """The row of the smallest average after the burn-in, if the end is far above it."""
    usual = [row for row in _after_burn_in(rows) if math.isfinite(row.avg_loss)]
    if len(usual) < 2:
        return None
    lowest = min(usual, key=lambda row: row.avg_loss)
    return lowest if 0 < EXPLODED * lowest.avg_loss < usual[-1].avg_loss else None


def _overfit(rows: Sequence[Iteration], evaluations: Sequence[Evaluation], best: Evaluation) -> float:
    """How much mAP was lost since its best, or 0 if that is not overfitting."""
    later = [e for e in evaluations if e.iteration > best.iteration]
    if len(later) < 2 or not rows:
        return 0.0
    drop = best.map - evaluations[-1].map
    at_best = min(rows, key=lambda row: abs(row.iteration - best.iteration)).avg_loss
    if drop < max(OVERFIT, 0.03 * best.map) or rows[-1].avg_loss > at_best:
        return 0.0
    return drop if all(e.map < best.map - OVERFIT / 2 for e in later) else 0.0


def _remarks(log: Log, cfg: CfgFile | None, best: Evaluation | None) -> Iterator[str]:
    rows = log.iterations
    if rows:
        end = f" of {log.max_batches}" if log.max_batches else ""
        last = rows[-1]
        yield f"{last.iteration} iterations{end}, {last.images} images, average loss {last.avg_loss:.4g}"
        times = [row.seconds for row in rows if math.isfinite(row.seconds) and row.seconds > 0]
        left = (log.max_batches or 0) - last.iteration
        if times:
            middle = float(np.median(times))
            rest = f", {left * middle / 3600:.1f} hours left" if left > 0 else ""
            yield f"{middle:.3g} s an iteration{rest}"
    if best:
        yield f"best mAP@{best.iou_threshold:g} {best.map:.2%} at iteration {best.iteration}"
    if log.sessions > 1:
        yield f"resumed {log.sessions - 1} time{'s' * (log.sessions > 2)}"
    odd = [row.iteration for row in rows if not _finite(row)]
    if odd:
        yield f"D-03: {len(odd)} iterations without a finite loss, the first is {odd[0]}"
    maps = [e.map for e in log.evaluations]
    if any(first == 0 == second for first, second in itertools.pairwise(maps)):
        yield "D-05: mAP is 0 in two evaluations in a row; check labels, class ids, weights and input size"
    if cfg is not None and rows:
        yield from _start(rows[0], cfg)


def _start(first: Iteration, cfg: CfgFile) -> Iterator[str]:
    """Untrained heads predict about 0.5 everywhere, which costs about 0.25 per anchor and cell."""
    if first.iteration > 10 or not math.isfinite(first.loss):
        return
    cells = sum(
        node.dst[0]
        * node.dst[1]
        * len(node.section.integers("mask"))
        * node.section.number("obj_normalizer", 1.0)
        for node in walk(cfg)
        if node.type == "yolo"
    )
    if cells:
        share = first.loss / (0.25 * cells)
        kind = "new heads" if share > 0.2 else "trained heads" if share < 0.05 else "partly trained heads"
        yield f"D-02: the loss began at {first.loss:.4g}, {share:.0%} of what untrained heads cost: {kind}"
