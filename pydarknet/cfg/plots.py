# SPDX-License-Identifier: Apache-2.0
"""Plot of box sizes and anchors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from pydarknet.cfg.anchors import SAMPLE, checked_sizes
from pydarknet.engine.boxes import iou_of_sizes
from pydarknet.system import figure_files
from pydarknet.system.atomic import replacing


def plot_anchors(boxes: ArrayLike, anchors: ArrayLike, path: Path, title: str = "") -> None:
    """Scatter plot of box sizes, coloured by the anchor they belong to, saved as an image."""
    sizes, targets = checked_sizes(boxes), np.asarray(anchors, float)
    if len(sizes) > SAMPLE:
        sizes = np.random.default_rng(0).choice(sizes, SAMPLE, replace=False)
    figure = Figure(figsize=(7, 7), layout="constrained")
    axes = figure.subplots()
    groups = iou_of_sizes(sizes, targets).argmax(1)
    axes.scatter(sizes[:, 0], sizes[:, 1], s=6, c=groups, cmap="tab20", alpha=0.6, linewidths=0)
    axes.scatter(
        targets[:, 0], targets[:, 1], s=70, marker="s", facecolors="none", edgecolors="black", linewidths=1.5
    )
    for width, height in targets:
        axes.annotate(
            f"{width:.0f}×{height:.0f}", (width, height), (4, 4), textcoords="offset points", fontsize=8
        )
    axes.set(xlabel="width, pixels of the network input", ylabel="height", title=title, xlim=0, ylim=0)
    axes.grid(alpha=0.3)
    with replacing(path) as temporary:
        figure_files.save(figure, temporary)
