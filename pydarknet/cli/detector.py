# SPDX-License-Identifier: Apache-2.0
"""``pydarknet detector ...``: Darknet's command lines, one module per subcommand."""

from __future__ import annotations

import click

from pydarknet.cli import LazyGroup

# name -> (module in pydarknet.cli, one-line help); the module holds a click command named `command`.
SUBCOMMANDS: dict[str, tuple[str, str]] = {
    "calc_anchors": ("calc_anchors", "Compute anchors for a data set."),
    "demo": ("detector_demo", "Detect objects in a video or camera stream."),
    "map": ("detector_map", "Measure mAP."),
    "recall": ("detector_recall", "Measure the recall of boxes."),
    "test": ("detector_test", "Detect objects in images."),
    "train": ("detector_train", "Train, or resume a training."),
    "valid": ("detector_valid", "Write results for evaluation servers."),
}


@click.group(cls=LazyGroup, table=SUBCOMMANDS)
def command() -> None:
    """Darknet's command lines: same arguments, same printed lines.

    Arguments are in Darknet's order; flags have one dash and can stand anywhere. An unknown flag is an error.

    \b
    Examples:
      pydarknet detector test coco.data yolov4.cfg yolov4.weights dog.jpg -ext_output
      pydarknet detector test coco.data yolov4.cfg yolov4.weights -out found.json < list.txt
      pydarknet detector demo coco.data yolov4.cfg yolov4.weights video.mp4 -out_filename out.avi
    """
