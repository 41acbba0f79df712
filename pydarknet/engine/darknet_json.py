# SPDX-License-Identifier: Apache-2.0
"""Darknet's detection JSON (``detector test -out file.json``), to the letter where that is valid JSON.

Names and paths are escaped, which Darknet leaves out; tracked objects have a ``track_id`` more.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from pydarknet.errors import ArgumentError

if TYPE_CHECKING:  # Detections imports this module
    from pydarknet.engine.detections import Detections


def format_record(detections: Detections, filename: str, frame_id: int) -> str:
    """The record of one image: boxes as centre and size relative to the image, not clipped, six decimals.

    Args:
        detections: what was found; its ``image_size`` must be known.
        filename: of the image, as it should stand in the file.
        frame_id: number of the image, from 1.

    Raises:
        ArgumentError: ``image_size`` is unknown.
    """
    width, height = detections.image_size
    if width < 1 or height < 1:
        raise ArgumentError("these Detections have no image_size, to which relative coordinates would refer")
    objects = []
    for row, name in enumerate(detections.labels):
        x1, y1, x2, y2 = (float(value) for value in detections.xyxy[row])
        box = (
            f'"center_x":{(x1 + x2) / 2 / width:.6f}, "center_y":{(y1 + y2) / 2 / height:.6f}, '
            f'"width":{(x2 - x1) / width:.6f}, "height":{(y2 - y1) / height:.6f}'
        )
        track = "" if detections.tracker_id is None else f', "track_id":{int(detections.tracker_id[row])}'
        objects.append(
            f'  {{"class_id":{int(detections.class_id[row])}, "name":{json.dumps(name)}, '
            f'"relative_coordinates":{{{box}}}, "confidence":{float(detections.confidence[row]):.6f}{track}}}'
        )
    listed = ", \n".join(objects)
    head = f'{{\n "frame_id":{frame_id}, \n "filename":{json.dumps(filename)}, \n "objects": [ \n'
    return f"{head}{listed}\n ] \n}}"


def format_file(records: Iterable[str]) -> str:
    """A whole file from the records of its images."""
    return "[\n" + ", \n".join(records) + "\n]"
