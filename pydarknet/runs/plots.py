# SPDX-License-Identifier: Apache-2.0
"""``results.png``, ten panels with all metrics of a training, and ``loss.png``, its two losses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pydarknet.runs.rows import Rows
from pydarknet.system import figure_files
from pydarknet.system.atomic import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]

POINTS = 2000  # points in a panel, at most about
_STRETCH = 30  # above this ratio of the largest to the smallest value, the axis of a loss is logarithmic
_COLOURS = ("tab:blue", "tab:orange", "tab:green")

#: title of a panel, its columns, and whether they are shares of 1
PANELS: tuple[tuple[str, tuple[str, ...], bool], ...] = (
    ("loss", ("loss", "avg_loss"), False),
    ("class loss", ("class_loss",), False),
    ("box loss", ("iou_loss",), False),
    ("IoU in training", ("iou",), True),
    ("learning rate", ("rate",), False),
    ("validation loss", ("val_loss",), False),
    ("precision", ("precision",), True),
    ("recall", ("recall",), True),
    ("mAP@0.5", ("map",), True),
    ("mAP@0.5:0.95", ("map5095",), True),
)


def draw_results(rows: Rows, path: str | Path, title: str = "") -> None:
    """Draw ``results.png``: the panels of :data:`PANELS`; those without data say so.

    Args:
        rows: of the training; one is enough.
        path: file to write; the suffix sets the format.
        title: of the figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(16, 6.4))
    figure.subplots_adjust(0.04, 0.07, 0.99, 0.88, wspace=0.28, hspace=0.32)
    figure.suptitle(_plain(title), fontsize=12)
    for axes, (name, columns, share) in zip(figure.subplots(2, 5).flat, PANELS, strict=True):
        _panel(axes, rows, columns, share)
        axes.set_title(name, fontsize=10)
    _save(figure, path)


def draw_loss(rows: Rows, path: str | Path, title: str = "") -> None:
    """Draw ``loss.png``: the average training loss and the validation loss.

    Args:
        rows: of the training; one is enough.
        path: file to write; the suffix sets the format.
        title: of the figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.5))
    figure.subplots_adjust(0.09, 0.1, 0.98, 0.92)
    axes = figure.subplots()
    drawn = _panel(axes, rows, ("avg_loss" if "avg_loss" in rows.columns else "loss", "val_loss"), False)
    names = {"avg_loss": "training, average", "loss": "training", "val_loss": "validation"}
    if drawn:
        axes.legend([names[name] for name in drawn], fontsize=9)
    axes.set_title(_plain(title), fontsize=11)
    axes.set(xlabel="iteration", ylabel="loss")
    _save(figure, path)


def _panel(axes: Axes, rows: Rows, columns: Sequence[str], share: bool) -> list[str]:
    """Draw the columns that have numbers; returns their names."""
    drawn: list[str] = []
    for name, colour in zip(columns, _COLOURS, strict=False):
        points = _points(rows, name)
        if not len(points):
            continue
        single = name == "loss" and len(columns) > 1  # of one iteration: noise behind the average
        few = len(points) <= 50
        look = {"alpha": 0.3, "lw": 0.8} if single else {"lw": 1.6, "marker": "o" if few else "", "ms": 3}
        axes.plot(*points.T, color=_COLOURS[0] if name == "avg_loss" else colour, **look)
        drawn.append(name)
    if not drawn:
        axes.text(0.5, 0.5, "not measured", ha="center", va="center", color="0.6", transform=axes.transAxes)
        axes.set(xticks=[], yticks=[])
        return drawn
    _limits(axes, _points(rows, drawn[-1])[:, 1], share, "loss" in drawn[-1])
    axes.set_xlim(0, rows.columns["iteration"][-1])
    axes.grid(alpha=0.3)
    axes.tick_params(labelsize=8)
    return drawn


def _limits(axes: Axes, values: Floats, share: bool, logarithmic: bool) -> None:
    if share:
        axes.set_ylim(0, 1.02)
    elif logarithmic and values.min() > 0 and values.max() / values.min() > _STRETCH:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=min(0.0, float(values.min())))


def _points(rows: Rows, name: str) -> Floats:
    """Iterations and finite values of a column, (n, 2), thinned."""
    if name not in rows.columns:
        return np.zeros((0, 2))
    table: Floats = np.array([rows.columns["iteration"], rows.columns[name]]).T
    table = table[np.isfinite(table).all(1)]
    every = max(math.ceil(len(table) / POINTS), 1)
    thinned: Floats = table[(len(table) - 1) % every :: every]
    return thinned


def _plain(text: str) -> str:
    """Escape $, which would start a formula."""
    return text.replace("$", r"\$")


def _save(figure: Figure, path: str | Path) -> None:
    with replacing(path) as temporary:
        figure_files.save(figure, temporary)
