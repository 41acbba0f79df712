# SPDX-License-Identifier: Apache-2.0
"""The loss chart, like Darknet's: loss, average, mAP, learning rate, restarts, nan."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pydarknet.logs.advice import Advice, advise
from pydarknet.logs.model import Log
from pydarknet.system import figure_files
from pydarknet.system.atomic import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POINTS = 4000  # largest number drawn; longer logs are thinned
STRETCH = 30  # from this ratio of first and last average on, the axis is logarithmic


def chart(
    log: Log,
    path: str | Path,
    *,
    title: str = "",
    compare: Sequence[Log] = (),
    max_loss: float | None = None,
) -> None:
    """Draw a training.

    Args:
        log: the log; iterations that a resume did again are shown faintly.
        path: image to write; the suffix gives the format, ``.png``, ``.svg`` …
        title: title of the plot; the name of the log if empty.
        compare: other trainings, drawn as thin lines.
        max_loss: end of the axis of the loss, as Darknet's ``max_chart_loss``; chosen by the values if None.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(5, 1))
    current = log.current()
    _draw_loss(top, log, current, max_loss)
    for other in compare:
        rows = other.current().iterations
        top.plot([r.iteration for r in rows], [r.avg_loss for r in rows], lw=1, label=Path(other.path).stem)
    _draw_maps(top, current)
    _draw_rate(bottom, current)
    advice = advise(log)
    top.set_title(f"{title or Path(log.path).name}\n{_subtitle(advice)}{_left(current)}", fontsize=10)
    with replacing(path) as temporary:
        figure_files.save(figure, temporary, dpi=110)


def _subtitle(advice: Advice) -> str:
    best = (
        f"   best mAP {advice.best_map:.1%} at {advice.best_iteration}" if advice.best_map is not None else ""
    )
    return f"{advice.verdict}{best}"


def _left(log: Log) -> str:
    hours = log.iterations[-1].hours_left if log.iterations else None
    return f"   {hours:.1f} hours left" if hours is not None and hours > 0 else ""


def _thin(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[:: max(len(values) // POINTS, 1)]


def _draw_loss(axes: Axes, log: Log, current: Log, max_loss: float | None) -> None:
    table = np.array([(r.iteration, r.loss, r.avg_loss) for r in current.iterations], float).reshape(-1, 3)
    redone = np.array([(r.iteration, r.avg_loss) for r in log.iterations], float).reshape(-1, 2)
    if len(redone) > len(table):
        axes.plot(*_thin(redone).T, ".", ms=1, color="0.8", label="before the resume")
    finite = table[np.isfinite(table).all(1)]
    thin = _thin(finite)
    axes.plot(thin[:, 0], thin[:, 1], ".", ms=2, alpha=0.35, color="tab:blue", label="loss")
    axes.plot(thin[:, 0], thin[:, 2], lw=1.8, color="tab:blue", label="average loss")
    for number in table[~np.isfinite(table).all(1), 0][:1]:
        axes.axvspan(number, max(log.max_batches or 0, table[-1, 0]), color="tab:red", alpha=0.12)
        axes.text(
            number, 0.97, " not finite", color="tab:red", va="bottom", transform=axes.get_xaxis_transform()
        )
    starts = [
        b.iteration for a, b in zip(log.iterations, log.iterations[1:], strict=False) if a.session < b.session
    ]
    for start in starts:
        axes.axvline(start, color="0.6", ls=":", lw=1)
    axes.set_ylabel("loss", color="tab:blue")
    axes.grid(alpha=0.3)
    _limits(axes, log, finite, max_loss)
    axes.legend(loc="upper right", fontsize=8)


def _limits(axes: Axes, log: Log, finite: NDArray[np.float64], max_loss: float | None) -> None:
    last = max([log.max_batches or 0, *(r.iteration for r in log.iterations[-1:])])
    axes.set_xlim(0, last or 1)
    if max_loss is not None:
        axes.set_ylim(0, max_loss)
        return
    if not len(finite):
        return
    averages = finite[:, 2]
    if averages.min() > 0 and averages.max() / averages[-1] > STRETCH:
        axes.set_yscale("log")
    else:
        # The first iterations would press everything else to the ground.
        settled = averages[len(averages) // 20 :]
        axes.set_ylim(0, min(float(averages.max()), 2 * float(settled.max())) * 1.05 or 1)


def _draw_maps(axes: Axes, log: Log) -> None:
    evaluations = [e for e in log.evaluations if math.isfinite(e.map)]
    points = [(e.iteration, 100 * e.map) for e in evaluations]
    if not points:
        return
    right = axes.twinx()
    right.plot(*zip(*points, strict=True), "-o", ms=4, color="tab:red")
    doubtful = [point for e, point in zip(evaluations, points, strict=True) if e.saturated]
    if doubtful:
        right.plot(*zip(*doubtful, strict=True), "X", ms=11, color="black", label="saturated (D-01)")
        right.legend(loc="upper left", fontsize=8)
    right.set(ylim=(0, 105), ylabel="mAP, %")
    right.yaxis.label.set_color("tab:red")
    best = max((p for p in points if p not in doubtful), key=lambda p: (p[1], p[0]), default=None)
    step = max(len(points) // 10, 1)
    for point in {*points[::step], points[-1], best or points[-1]}:
        weight = "bold" if point == best else "normal"
        right.annotate(
            f"{point[1]:.1f}",
            point,
            (0, 6),
            textcoords="offset points",
            fontsize=8,
            ha="center",
            weight=weight,
        )


def _draw_rate(axes: Axes, log: Log) -> None:
    table = np.array([(r.iteration, r.rate) for r in log.iterations], float).reshape(-1, 2)
    table = table[np.isfinite(table).all(1) & (table[:, 1] > 0)]
    if len(table):
        axes.plot(*_thin(table).T, color="0.3", lw=1)
        axes.set_yscale("log")
    axes.set(ylabel="rate", xlabel="iteration")
    axes.grid(alpha=0.3)
