# SPDX-License-Identifier: Apache-2.0
"""``pydarknet detector recall DATA CFG WEIGHTS``, like ``darknet detector recall``."""

from __future__ import annotations

from pathlib import Path

import click

from pydarknet.cli._impl.darknet_flags import DarknetCommand, devices


@click.command("recall", cls=DarknetCommand)
@click.argument("data")
@click.argument("cfg")
@click.argument("weights")
@click.option("-dont_show", is_flag=True, expose_value=False, help="No effect: no window is opened.")
@devices
def command(data: str, cfg: str, weights: str, device: str) -> int:
    """Measure the fraction of objects of `valid` that have a box, whatever its class.

    One line on standard error for each image, about all images so far: its number, objects that a box
    overlaps by more than a half, objects, boxes per image, mean best overlap, recall.

    \b
    Examples:
      pydarknet detector recall obj.data yolov4-tiny.cfg yolov4-tiny_best.weights
    """
    from contextlib import closing

    from pydarknet.cli._impl.detector_images import DataFile
    from pydarknet.compat.recall import Proposer, Recall
    from pydarknet.data.album import ImageCache

    samples = DataFile(Path(data)).images().samples
    album, recall = ImageCache(samples, 3), Recall()
    with closing(Proposer(cfg, weights, device)) as propose:
        for number, sample in enumerate(samples):
            image = album.pixels(number)
            if image is not None:
                size = (sample.width, sample.height) * 2
                recall.add(propose(image), sample.boxes[sample.target] / size)
                click.echo(recall.line(), err=True)
    return 0
