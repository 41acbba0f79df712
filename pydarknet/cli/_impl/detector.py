# SPDX-License-Identifier: Apache-2.0
"""Shared parts of ``detector test`` and ``demo``: Darknet's way of loading, and its lines about objects."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import numpy.typing as npt

from pydarknet.engine.darknet_files import head_line, read_data, read_names, resolve
from pydarknet.engine.detections import Detections
from pydarknet.engine.network import Network
from pydarknet.errors import DataError


def open_network(data: str, cfg: str, weights: str, device: str, precision: str = "auto") -> Network:
    """Open a network with the class names of the ``.data`` file.

    If their number does not match the network, this is reported, and names are dropped or added, as in
    Darknet.
    """
    network = Network(cfg, weights, device=device, precision=precision, strict=False)
    path, names = _names_of(data)
    classes = network.info.classes
    if len(names) != classes:
        click.echo(
            f" Error: in the file {path} number of names {len(names)} that isn't equal to classes={classes} "
            f"in the file {cfg} "
        )
        names = (*names[:classes], *map(str, range(len(names), classes)))
    network.rename(names)
    return network


def _names_of(data: str) -> tuple[str, tuple[str, ...]]:
    if not Path(data).is_file():
        raise DataError(f"{data}: file not found; expected a .data file with a line names = FILE")
    entries = read_data(data)
    if "names" not in entries:
        raise DataError(f"{data}: has no line names = FILE")
    path = resolve(entries["names"][0], Path(data).parent)
    return str(path), read_names(path)


def head_lines(network: Network) -> list[str]:
    """Darknet's line for every head."""
    lines = (head_line(layer.index, layer.type) for layer in network.layers)
    return [line for line in lines if line]


def boxes(found: Detections) -> list[list[int]]:
    """Rows grouped by box; of each, the row of the best visible class is first, without one it is left out.

    Boxes are in their order, the other rows of a box in the order of classes.
    """
    visible = _visible(found)
    groups: dict[bytes, list[int]] = {}
    for row in range(len(found)):
        groups.setdefault(found.xyxy[row].tobytes(), []).append(row)
    ordered = []
    for rows in groups.values():
        best = max((row for row in rows if visible[row]), key=found.confidence.__getitem__, default=None)
        if best is not None:
            ordered.append([best, *(row for row in rows if row != best)])
    return ordered


def object_lines(found: Detections, ext_output: bool) -> list[str]:
    """Darknet's lines: boxes from left to right, each with its best class, then its other classes."""
    lines = []
    labels = found.labels
    for rows in sorted(boxes(found), key=lambda rows: float(found.xyxy[rows[0], 0])):
        left, top, right, bottom = found.xyxy[rows[0]].astype(float)
        place = (
            f"\t(left_x: {left:4.0f}   top_y: {top:4.0f}   width: {right - left:4.0f}   "
            f"height: {bottom - top:4.0f})"
        )
        for row in rows:
            line = f"{labels[row]}: {100 * float(found.confidence[row]):.0f}%"
            lines.append(line + place if ext_output else line)
    return lines


def without_hidden(found: Detections) -> Detections:
    """Without classes whose name begins with ``dont_show``."""
    return found[_visible(found)]


def _visible(found: Detections) -> npt.NDArray[np.bool_]:
    return np.array([not label.startswith("dont_show") for label in found.labels], bool)
