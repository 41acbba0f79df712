# SPDX-License-Identifier: Apache-2.0
"""``pydarknet detector valid DATA CFG WEIGHTS``, like ``darknet detector valid``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pydarknet.cli._impl.darknet_flags import DarknetCommand, devices

if TYPE_CHECKING:
    from pydarknet.streaming.outputs.result_files import Found

SCORE, NMS = 0.001, 0.6
KINDS = ("voc", "coco", "imagenet", "bdd", "kitti")


@click.command("valid", cls=DarknetCommand)
@click.argument("data")
@click.argument("cfg")
@click.argument("weights")
@click.option("-out", metavar="NAME", help="Base name of the results, instead of the usual one.")
@click.option("-letter_box", is_flag=True, help="Pad images instead of stretching them.")
@click.option("-dont_show", is_flag=True, expose_value=False, help="No effect: no window is opened.")
@devices
def command(data: str, cfg: str, weights: str, out: str | None, letter_box: bool, device: str) -> int:
    """Write detections in the images of `valid` for an evaluation server.

    `eval` of the .data file selects it: voc (default), coco, imagenet, bdd or kitti; `results` is the
    folder (default: results). Confidences from 0.001 on are written, boxes are cut at the image's border.

    \b
    Files, in the folder of results:
      voc       comp4_det_test_CLASS.txt: image score xmin ymin xmax ymax, pixels from 1
      coco      coco_results.json; the image's id is the number in its file name
      imagenet  imagenet-detection.txt: image class score xmin ymin xmax ymax
      bdd       bdd_results.json
      kitti     kitti_results/data/IMAGE.txt
    \b
    Examples:
      pydarknet detector valid coco.data yolov4.cfg yolov4.weights
      pydarknet detector valid voc.data yolov4.cfg yolov4.weights -out comp3_det_test_
    """
    from pydarknet.cli._impl.detector_images import DataFile, darknet_progress, open_network
    from pydarknet.data.album import ImageCache
    from pydarknet.errors import DataError
    from pydarknet.evaluation.collect import detect_all

    file = DataFile(Path(data))
    kind = file.entry("eval", "voc")
    if kind not in KINDS:
        raise DataError(f"{data}: found eval = {kind}, expected one of {', '.join(KINDS)}")
    if file.entry("map", "-") != "-":
        raise DataError(f"{data}: found a class map; it belongs in the cfg: map = FILE in [region]")
    with open_network(file, cfg, weights, device) as network:
        cache = ImageCache(file.images().samples, network.info.channels)
        start = time.perf_counter()
        boxed = True if letter_box else None
        found = [
            (one.sample.image, one.found)
            for one in detect_all(
                network, cache, score=SCORE, nms=NMS, letterbox=boxed, progress=darknet_progress
            )
        ]
        seconds = time.perf_counter() - start
        paths = _write(kind, found, file.file("results", "results"), network.names, out)
    click.echo(f"Total Detection Time: {seconds:f} Seconds", err=True)
    where = str(paths[0]) if len(paths) == 1 else f"{len(paths)} files in {paths[0].parent}"
    click.echo(f"results: {where}", err=True)
    return 0


def _write(kind: str, found: Found, folder: Path, names: tuple[str, ...], out: str | None) -> list[Path]:
    from pydarknet.streaming.outputs import result_files

    if kind == "voc":
        return result_files.voc(found, folder, names, out or "comp4_det_test_")
    if kind == "coco":
        return result_files.coco(found, folder / f"{out or 'coco_results'}.json")
    if kind == "imagenet":
        return result_files.imagenet(found, folder / f"{out or 'imagenet-detection'}.txt")
    if kind == "bdd":
        return result_files.bdd(found, folder / f"{out or 'bdd_results'}.json", names)
    return result_files.kitti(found, folder / (out or "kitti_results") / "data", names)
