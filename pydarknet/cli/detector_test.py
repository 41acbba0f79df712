# SPDX-License-Identifier: Apache-2.0
"""``pydarknet detector test DATA CFG WEIGHTS [IMAGE]``, like ``darknet detector test``."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click

from pydarknet.cli._impl.darknet_flags import DarknetCommand, devices, unsupported
from pydarknet.cli._impl.detector import (
    boxes,
    head_lines,
    object_lines,
    open_network,
    without_hidden,
)
from pydarknet.engine import darknet_json
from pydarknet.engine.detections import Detections
from pydarknet.engine.images import save_image
from pydarknet.errors import DataError
from pydarknet.system.atomic import write_text


@click.command("test", cls=DarknetCommand)
@click.argument("data")
@click.argument("cfg")
@click.argument("weights")
@click.argument("image", required=False)
@click.option("-thresh", type=click.FloatRange(0, 1), default=0.25, show_default=True, help="Confidence.")
@click.option("-ext_output", is_flag=True, help="Also print the boxes.")
@click.option("-letter_box", is_flag=True, help="Pad images instead of stretching them.")
@click.option("-out", metavar="FILE", help="Write detections as JSON.")
@click.option("-save_labels", is_flag=True, help="Write a label file for each image.")
@click.option("-dont_show", is_flag=True, expose_value=False, help="No effect: no window is opened.")
@click.option("-hier", type=float, expose_value=False, help="No effect, as in Darknet.")
@unsupported("-benchmark_layers", "see pydarknet bench", takes_value=False)
@devices
def command(
    data: str,
    cfg: str,
    weights: str,
    image: str | None,
    thresh: float,
    ext_output: bool,
    letter_box: bool,
    out: str | None,
    save_labels: bool,
    device: str,
) -> int:
    """Detect objects in an image, or in those whose paths are read from standard input, one per line.

    The annotated image is written to predictions.jpg. An image that cannot be read is reported and
    skipped; the exit code is then 1.

    \b
    Examples:
      pydarknet detector test coco.data yolov4.cfg yolov4.weights dog.jpg -thresh 0.5 -ext_output
      pydarknet detector test coco.data yolov4.cfg yolov4.weights -dont_show -out found.json < list.txt
    """
    records: list[str] = []
    failed = 0
    with open_network(data, cfg, weights, device, "fp32") as network:
        heads = head_lines(network)
        for path in [image.rstrip("\r")] if image else _asked():
            start = time.perf_counter()
            try:
                found = network.detect(path, thresh, letterbox=True if letter_box else None)
            except DataError as error:
                click.echo(f"error: {error}", err=True)
                failed += 1
                continue
            milliseconds = (time.perf_counter() - start) * 1e3
            for line in (*heads, f"{path}: Predicted in {milliseconds:.6f} milli-seconds."):
                click.echo(line)
            for line in object_lines(found, ext_output):
                click.echo(line)
            _save_image(path, found)
            records.append(without_hidden(found).to_json(path, len(records) + 1))
            if save_labels:
                _save_labels(path, found)
    if out:
        write_text(out, darknet_json.format_file(records))
    return 1 if failed else 0


def _asked() -> Iterator[str]:
    """Paths from standard input, with Darknet's prompt."""
    while True:
        click.echo("Enter Image Path: ", nl=False)
        line = sys.stdin.readline()
        if not line:
            return
        if path := line.strip():
            yield path


def _save_image(path: str, found: Detections) -> None:
    save_image(Path("predictions.jpg"), without_hidden(found).plot(path), 80)


def label_path(image: str) -> Path:
    """Path of an image's labels in Darknet: beside it, except in the folders of VOC and COCO."""
    text = re.sub(r"/images/((?:train|val)20(?:14|17))/", r"/labels/\1/", image, count=1)
    return Path(text.replace("/JPEGImages/", "/labels/", 1)).with_suffix(".txt")


def _save_labels(image: str, found: Detections) -> None:
    """Write the best class of each box; existing labels are kept as NAME.txt.orig."""
    width, height = found.image_size
    lines = []
    for rows in boxes(found):
        best = rows[0]
        x1, y1, x2, y2 = found.xyxy[best].astype(float)
        values = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
        lines.append(f"{found.class_id[best]} {' '.join(f'{value:.4f}' for value in values)}\n")
    path = label_path(image)
    original = path.with_name(path.name + ".orig")
    if path.exists() and not original.exists():
        path.rename(original)
    write_text(path, "".join(lines))
