# SPDX-License-Identifier: Apache-2.0
"""``pydarknet detector map DATA CFG WEIGHTS``, like ``darknet detector map``."""

from __future__ import annotations

import time
from pathlib import Path

import click

from pydarknet.cli._impl.darknet_flags import DarknetCommand, devices

_HINTS = """Set -points flag:
 `-points 101` for MS COCO\x20
 `-points 11` for PascalVOC 2007 (uncomment `difficult` in voc.data)\x20
 `-points 0` (AUC) for ImageNet, PascalVOC 2010-2012, your custom dataset"""


@click.command("map", cls=DarknetCommand)
@click.argument("data")
@click.argument("cfg")
@click.argument("weights")
@click.option(
    "-thresh",
    type=click.FloatRange(0, 1),
    default=0.25,
    show_default=True,
    help="Confidence from which TP and FP are counted.",
)
@click.option(
    "-iou_thresh",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.5,
    show_default=True,
    help="Overlap above which a detection belongs to a truth.",
)
@click.option(
    "-points",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Points of recall: 11 or 101; 0: area under the curve.",
)
@click.option("-letter_box", is_flag=True, help="Pad images instead of stretching them.")
@click.option("-dont_show", is_flag=True, expose_value=False, help="No effect: no window is opened.")
@devices
def command(
    data: str,
    cfg: str,
    weights: str,
    thresh: float,
    iou_thresh: float,
    points: int,
    letter_box: bool,
    device: str,
) -> int:
    """Measure mAP on the images of `valid`; `pydarknet eval` reports more.

    Standard output is Darknet's, line for line. Boxes of the label files that `difficult` of the .data file
    lists count neither for nor against a detection.

    \b
    Examples:
      pydarknet detector map obj.data yolov4-tiny.cfg backup/yolov4-tiny_best.weights
      pydarknet detector map obj.data yolov4-tiny.cfg yolov4-tiny_best.weights -points 101 -iou_thresh 0.75
    """
    from pydarknet.cli._impl.detector import head_lines
    from pydarknet.cli._impl.detector_images import DataFile, darknet_progress, open_network
    from pydarknet.data.album import ImageCache
    from pydarknet.evaluation.collect import collect
    from pydarknet.evaluation.diagnose import explain_low_map
    from pydarknet.evaluation.evaluation import Evaluation

    if points == 1:
        raise click.UsageError("-points 1 is not valid; write 0, 11 or 101")
    file = DataFile(Path(data))
    with open_network(file, cfg, weights, device) as network:
        cache = ImageCache(file.images().samples, network.info.channels)
        click.echo("\n calculation mAP (mean average precision)...")
        for line in head_lines(network):
            click.echo(line)
        start = time.perf_counter()
        boxed = True if letter_box else None
        images = collect(network, cache, letterbox=boxed, progress=darknet_progress)
        seconds = time.perf_counter() - start
        info = network.info
    evaluation = Evaluation(images, file.names, thresh=thresh, iou_thresh=iou_thresh, points=points)
    report = evaluation.darknet
    click.echo(f"\n{report.counts}")
    for rank in range(0, report.detections, 100):
        click.echo(f" rank = {rank} of ranks = {report.detections} \r", nl=False)
    click.echo(f"{report.table}\n\n{_HINTS}")
    for line in explain_low_map(evaluation, info):
        click.echo(line, err=True)
    click.echo(f"Total Detection Time: {seconds:.0f} Seconds", err=True)
    return 0
