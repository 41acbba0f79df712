# SPDX-License-Identifier: Apache-2.0
"""Charts of an evaluation; drawn without a window, by matplotlib's object interface.

Each function gives a figure; :func:`save` writes one, :func:`png` encodes one for a page.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pydarknet.evaluation.average_precision import RECALLS
from pydarknet.evaluation.curves import CONFIDENCES
from pydarknet.system import figure_files
from pydarknet.system.atomic import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from pydarknet.evaluation.evaluation import Evaluation

_BLUE, _RED, _GREY = "#31688e", "#c23b22", "0.65"
_SLICES = {"size": "by size of the objects", "objects": "by number of objects in the image"}
_MOST_LINES = 10  # classes that get a colour and a name
_WEAKEST = 6  # classes that get one if there are more
_MOST_CELLS = 20  # classes of a matrix whose cells get numbers
_MOST_TICKS = 100  # classes of a matrix that get names


def confusion(evaluation: Evaluation) -> Figure:
    """Confusion matrix; columns are true classes, and colours are fractions of a column."""
    from matplotlib.colors import PowerNorm

    table = evaluation.confusion
    count = len(table.names)
    side = 4.5 + (0.34 * count if count <= _MOST_CELLS + 1 else min(0.18 * count, 16))
    figure = _figure(side + 1.2, side)
    axes = figure.add_subplot()
    shares = table.shares
    # Square root, so that rare confusions are visible.
    image = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, 0, 1))
    figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03, label="fraction of the true class")
    names = [_plain(name, 18) for name in table.names]
    if count <= _MOST_TICKS:
        size = 9 if count <= _MOST_CELLS else 6
        turned = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if count > 6 else {}
        axes.set_xticks(range(count), names, fontsize=size, **turned)  # type: ignore[arg-type]
        axes.set_yticks(range(count), names, fontsize=size)
    if count <= _MOST_CELLS + 1:
        for i, j in zip(*np.nonzero(table.counts), strict=True):
            ink = "white" if shares[i, j] > 0.3 else "black"
            text = f"{table.counts[i, j]}\n{shares[i, j]:.0%}" if count <= 12 else f"{table.counts[i, j]}"
            axes.text(j, i, text, ha="center", va="center", color=ink, fontsize=8)
    axes.axhline(count - 1.5, color=_GREY, lw=1)
    axes.axvline(count - 1.5, color=_GREY, lw=1)
    axes.set(xlabel="there", ylabel="detected")
    axes.set_title(
        f"Confusion at confidence {table.thresh:g}, IoU {table.iou_thresh:g}\n"
        "bottom row: missed; right column: detections of nothing",
        fontsize=10,
    )
    return figure


def precision_recall(evaluation: Evaluation) -> Figure:
    """Precision over recall, for each class and on average."""
    values = evaluation.curves.precision_at_recall
    aps = [one.ap for one in evaluation.darknet.classes]
    figure, axes = _lines(evaluation, RECALLS, values, aps, "AP {:.1%}")
    axes.set(xlabel="recall", ylabel="precision")
    axes.set_title(f"Precision and recall at IoU {evaluation.iou_thresh:g}, mAP {evaluation.darknet.map:.1%}")
    return figure


def f1(evaluation: Evaluation) -> Figure:
    """F1 over the confidence threshold, and where its mean is highest."""
    curves = evaluation.curves
    figure, axes = _over_confidence(evaluation, curves.f1, "F1")
    best = curves.best_confidence
    axes.set_title(f"F1 over confidence; the best mean is {curves.at(best)[2]:.2f}, at {best:.2f}")
    return figure


def precision(evaluation: Evaluation) -> Figure:
    """Precision over the confidence threshold."""
    return _over_confidence(evaluation, evaluation.curves.precision, "precision")[0]


def recall(evaluation: Evaluation) -> Figure:
    """Recall over the confidence threshold."""
    return _over_confidence(evaluation, evaluation.curves.recall, "recall")[0]


def calibration(evaluation: Evaluation) -> Figure:
    """Calibration: fraction of right detections in each bin of confidence, and their number."""
    found = evaluation.calibration
    figure = _figure(6, 6.5)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    width = np.diff(found.edges)
    accuracy = np.nan_to_num(found.accuracy)
    centres = found.edges[:-1] + width / 2
    top.bar(centres, accuracy, width * 0.92, color=_BLUE, label="share that is right")
    gap = np.where(found.count > 0, found.confidence - accuracy, 0)
    top.bar(
        centres, gap, width * 0.92, bottom=accuracy, color=_RED, alpha=0.25, label="gap to the confidence"
    )
    top.plot([0, 1], [0, 1], color="0.3", lw=1, ls="--", label="ideal")
    top.set(ylim=(0, 1), ylabel="right")
    top.set_title(_calibration_title(evaluation), fontsize=10)
    top.legend(loc="upper left", fontsize=8)
    bottom.bar(centres, found.count, width * 0.92, color=_GREY)
    if found.count.any():
        bottom.set_yscale("log")
    bottom.set(xlim=(0, 1), xlabel="confidence", ylabel="detections")
    return figure


def _calibration_title(evaluation: Evaluation) -> str:
    found, thresh = evaluation.calibration, evaluation.thresh
    strong = found.ece_from(thresh)
    text = f"Calibration: error {found.ece:.3f}"
    return text if math.isnan(strong) else f"{text}, from confidence {thresh:g} on {strong:.3f}"


def slices(evaluation: Evaluation) -> Figure:
    """AP, precision and recall of small and large objects, and of images with few and many."""
    parts = evaluation.slices
    figure = _figure(10, 4.2)
    panels = figure.subplots(1, len(parts), sharey=True, squeeze=False)[0]
    for axes, (title, found) in zip(panels, parts.items(), strict=True):
        rows = [row for row in found if row.images]
        places = np.arange(len(rows))
        bars = {"AP": _BLUE, "precision": "#35b779", "recall": "#b5de2b"}
        for number, (what, colour) in enumerate(bars.items()):
            heights = [np.nan_to_num(getattr(row, what.lower())) for row in rows]
            axes.bar(places + (number - 1) * 0.27, heights, 0.25, color=colour, label=what)
        axes.set_xticks(places, [f"{row.name}\n{row.truths} objects" for row in rows], fontsize=8)
        axes.set(ylim=(0, 1.02), title=_SLICES.get(title, title))
        axes.title.set_fontsize(10)
        axes.grid(axis="y", alpha=0.3)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper", fontsize=8)
    return figure


#: name of the file (without ending) -> what draws it.
CHARTS: dict[str, Callable[[Evaluation], Figure]] = {
    "confusion": confusion,
    "pr": precision_recall,
    "f1": f1,
    "p": precision,
    "r": recall,
    "calibration": calibration,
    "slices": slices,
}


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure; the suffix of the path chooses the image format."""
    with replacing(path) as temporary:
        figure_files.save(figure, temporary, dpi=110)


def png(figure: Figure) -> bytes:
    """A figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure_files.save(figure, buffer, dpi=110)
    return buffer.getvalue()


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _over_confidence(
    evaluation: Evaluation, values: npt.NDArray[np.floating[Any]], what: str
) -> tuple[Figure, Axes]:
    best = evaluation.curves.best_confidence
    ends = values[:, int(np.searchsorted(CONFIDENCES, best))].tolist()
    figure, axes = _lines(evaluation, CONFIDENCES, values, ends, "{:.2f}")
    axes.axvline(best, color=_RED, lw=1, ls=":")
    axes.set(xlabel="confidence threshold", ylabel=what)
    axes.set_title(f"{what.capitalize()} over confidence; in the legend at {best:.2f}, where mean F1 is best")
    return figure, axes


def _lines(
    evaluation: Evaluation,
    x: npt.NDArray[np.floating[Any]],
    values: npt.NDArray[np.floating[Any]],
    ends: Sequence[float],
    note: str,
) -> tuple[Figure, Axes]:
    """A line for each class and a thick one for the mean; of many classes the weakest are named.

    Args:
        evaluation: knows the classes.
        x: places of the values.
        values: (classes, n).
        ends: a score for each class, by which the weakest are selected.
        note: how it is written in the legend.
    """
    from matplotlib import colormaps

    figure = _figure(8.5, 5.5)
    axes = figure.add_subplot()
    known = [label for label in range(len(values)) if not np.isnan(values[label, 0])]
    many = len(known) > _MOST_LINES
    named = sorted(sorted(known, key=lambda label: ends[label])[: _WEAKEST if many else None])
    for label in (label for label in known if label not in named):
        axes.plot(x, values[label], color=_GREY, lw=0.6)
    for number, label in enumerate(named):
        text = f"{_plain(evaluation.names[label], 24)}  {note.format(ends[label])}"
        axes.plot(x, values[label], label=text, color=colormaps["tab10"](number), lw=1.3)
    axes.plot(x, evaluation.curves.mean(values), color="black", lw=2.5, label=f"mean of {len(known)} classes")
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.title.set_fontsize(10)
    axes.grid(alpha=0.3)
    title = f"the {len(named)} weakest" if many else None
    figure.legend(loc="outside right upper", fontsize=8, title=title, title_fontsize=8)
    return figure, axes


def _plain(name: str, most: int) -> str:
    """A class name for matplotlib, where $ would begin a formula."""
    short = name if len(name) <= most else f"{name[: most - 1]}…"
    return short.replace("$", r"\$")
