# SPDX-License-Identifier: Apache-2.0
"""``pydarknet detector calc_anchors``: Darknet's command line and output with this package's k-means.

The anchors are those of ``pydarknet anchors``: the best of many starts instead of one random start.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from pydarknet.cfg.anchors import Clusters
from pydarknet.cli._impl.darknet_flags import DarknetCommand


def calc_anchors(
    data: str | Path,
    clusters: int = 5,
    width: int = 416,
    height: int = 416,
    show: bool = False,
    echo: Callable[[str], object] = lambda _: None,
    folder: str | Path = ".",
) -> Clusters:
    """Compute anchors for the training images of a ``.data`` file, as ``darknet detector calc_anchors``.

    Writes ``anchors.txt`` and ``counters_per_class.txt``, and, with ``show``, ``cloud.png``.

    Args:
        data: path of the ``.data`` file.
        clusters: number of anchors.
        width: of the network input in pixels.
        height: of the network input in pixels.
        show: also save a scatter plot.
        echo: receives Darknet's output piece by piece, line ends included.
        folder: where the files are written.

    Raises:
        DataError: the data set cannot be read or has too few boxes.
        CfgError: the size is not a multiple of 32.
    """
    import numpy as np

    from pydarknet.cfg import anchors
    from pydarknet.cfg.generate import USUAL_STRIDE, check_size
    from pydarknet.data import read
    from pydarknet.system.atomic import write_text

    check_size("the network", (width, height), USUAL_STRIDE)
    echo(f"\n num_of_clusters = {clusters}, width = {width}, height = {height} \n")
    dataset = read(data)
    dataset = dataset.only("train") if "train" in dataset.splits else dataset
    echo(f" read labels from {len(dataset)} images \n")
    boxes = 0
    for number, sample in enumerate(dataset, start=1):
        boxes += int(sample.target.sum())
        echo(f"\r loaded \t image: {number} \t box: {boxes}")
    echo("\n all loaded. \n\n calculating k-means++ ...\n")
    found = anchors.kmeans(anchors.sizes_of(dataset, width, height), clusters)
    echo(f"\n iterations = {found.iterations} \n\n")
    labels = np.concatenate([sample.classes[sample.target] for sample in dataset])
    counts = np.bincount(labels, minlength=len(dataset.names))
    counters = f"counters_per_class = {', '.join(map(str, counts))}"
    echo(f"\n{counters}\n\n avg IoU = {100 * found.mean_iou:2.2f} % \n")
    line = anchors.text(found.anchors, width)
    echo(f"\nSaving anchors to the file: anchors.txt \nanchors = {line}\n")
    write_text(Path(folder) / "anchors.txt", line)
    write_text(Path(folder) / "counters_per_class.txt", counters)
    if show:
        from pydarknet.cfg.plots import plot_anchors

        sizes = anchors.sizes_of(dataset, width, height)
        plot_anchors(sizes, found.anchors, Path(folder) / "cloud.png")
    return found


@click.command(name="calc_anchors", cls=DarknetCommand)
@click.argument("data", type=click.Path(exists=True, dir_okay=False))
@click.option(
    "-num_of_clusters",
    "clusters",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    help="Number of anchors.",
)
@click.option("-width", type=click.IntRange(1), required=True, help="Width of the network input in pixels.")
@click.option("-height", type=click.IntRange(1), required=True, help="Height of the network input in pixels.")
@click.option("-show", is_flag=True, help="Also save a scatter plot as cloud.png.")
def command(data: str, clusters: int, width: int, height: int, show: bool) -> None:
    """Compute anchors like ``darknet detector calc_anchors``.

    \b
    Example:
      pydarknet detector calc_anchors obj.data -num_of_clusters 9 -width 416 -height 416
    """
    calc_anchors(data, clusters, width, height, show, echo=lambda text: click.echo(text, nl=False))
