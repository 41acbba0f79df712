# SPDX-License-Identifier: Apache-2.0
"""Plots of data set statistics; drawn without a window, by matplotlib's object interface."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pydarknet.data.dataset import Dataset
from pydarknet.data.label_files import atomic
from pydarknet.data.stats import SMALL, Stats, collect_boxes
from pydarknet.system import figure_files

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_BARS = 30
_BLUE = "#31688e"


def save_labels(dataset: Dataset, stats: Stats, path: Path) -> None:
    """``labels.png``: boxes per class, where boxes lie, how large they are, how many an image has.

    Args:
        dataset: the boxes to draw.
        stats: its numbers; sizes are drawn at the first of its networks.
        path: PNG file to write.
    """
    figure, axes = _figure(2, 2, "labels")
    boxes = collect_boxes(dataset)
    network = stats.networks[0]
    _class_bars(axes[0], stats)
    _heat(axes[1], stats)
    _box_sizes(axes[2], boxes[:, 2] * network.width, boxes[:, 3] * network.height)
    axes[2].set_title(f"box sizes at {network.width}x{network.height}, in pixels")
    counts = stats.boxes_per_image_counts
    axes[3].bar(list(counts), list(counts.values()), color=_BLUE, width=1.0)
    axes[3].set(title="boxes per image", xlabel="boxes", ylabel="images")
    _save(figure, path)


def save_images(dataset: Dataset, path: Path) -> None:
    """``images.png``: widths against heights, and the distribution of aspect ratios.

    Args:
        dataset: the images to draw.
        path: PNG file to write.
    """
    figure, axes = _figure(1, 2, "images")
    pairs, counts = np.unique([(s.width, s.height) for s in dataset] or [(0, 0)], axis=0, return_counts=True)
    axes[0].scatter(pairs[:, 0], pairs[:, 1], s=10 + 90 * counts / counts.max(), alpha=0.5, color=_BLUE)
    axes[0].set(title=f"{len(pairs)} image sizes", xlabel="width", ylabel="height")
    axes[0].set(xlim=(0, None), ylim=(0, None))
    aspect = pairs[:, 0] / np.maximum(pairs[:, 1], 1)
    axes[1].hist(aspect, bins=40, weights=counts, color=_BLUE)
    axes[1].set(title="width / height", xlabel="ratio", ylabel="images")
    _save(figure, path)


def _figure(rows: int, columns: int, title: str) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5 * columns, 4.5 * rows), layout="constrained")
    figure.suptitle(title)
    return figure, [figure.add_subplot(rows, columns, i + 1) for i in range(rows * columns)]


def _save(figure: Figure, path: Path) -> None:
    with atomic(path) as file:
        figure_files.save(figure, file)


def _class_bars(axes: Axes, stats: Stats) -> None:
    ranked = sorted(stats.classes, key=lambda c: -c.boxes)[:_MOST_BARS]
    places = range(len(ranked))
    bars = axes.barh(places, [c.boxes for c in ranked], color=_BLUE)
    axes.bar_label(bars, padding=2, fontsize=8)
    # A $ in a class name is not a formula.
    axes.set_yticks(places, [c.name.replace("$", r"\$") for c in ranked], fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    more = (
        f" (the {_MOST_BARS} most frequent of {len(stats.classes)})"
        if len(ranked) < len(stats.classes)
        else ""
    )
    axes.set(title=f"boxes per class{more}", xlabel="boxes")


def _heat(axes: Axes, stats: Stats) -> None:
    axes.imshow(np.array(stats.centres), extent=(0, 1, 1, 0), cmap="viridis", interpolation="nearest")
    axes.set(title="centres of boxes", xlabel="x / width", ylabel="y / height")


def _box_sizes(axes: Axes, widths: np.ndarray, heights: np.ndarray) -> None:
    if len(widths):
        axes.hexbin(widths, heights, gridsize=40, bins="log", mincnt=1, cmap="viridis")
        side = np.linspace(1, max(widths.max(), 2), 200)
        for limit in SMALL:
            axes.plot(side, limit**2 / side, color="crimson", linewidth=0.8, linestyle="--")
        axes.set(xlim=(0, widths.max() * 1.05), ylim=(0, heights.max() * 1.05))
    axes.set(xlabel=f"width (dashed: areas of {', '.join(f'{s}²' for s in SMALL)})", ylabel="height")
