# SPDX-License-Identifier: Apache-2.0
"""``pydarknet detector ...``: Darknet's own command lines, one module for each of its words."""

from __future__ import annotations

import click

from pydarknet.cli import LazyGroup

# name -> (module in pydarknet.cli, one-line help); the module holds a click command named `command`.
SUBCOMMANDS: dict[str, tuple[str, str]] = {
    "calc_anchors": ("calc_anchors", "Find anchors for a data set."),
    "demo": ("detector_demo", "Find objects in a film or in front of a camera."),
    "map": ("detector_map", "Measure mAP."),
    "recall": ("detector_recall", "Measure how many objects get a box at all."),
    "test": ("detector_test", "Find objects in images."),
    "train": ("detector_train", "Train, or go on with a training."),
    "valid": ("detector_valid", "Write results for evaluation servers."),
}


@click.group(cls=LazyGroup, table=SUBCOMMANDS)
def command() -> None:
    """Darknet's command lines: same arguments, same printed lines.

    Words come in Darknet's order, flags with one dash anywhere between them. An unknown flag is an error.

    \b
    Examples:
      pydarknet detector test coco.data yolov4.cfg yolov4.weights dog.jpg -ext_output
      pydarknet detector test coco.data yolov4.cfg yolov4.weights -out found.json < list.txt
      pydarknet detector demo coco.data yolov4.cfg yolov4.weights film.mp4 -out_filename out.avi
    """
