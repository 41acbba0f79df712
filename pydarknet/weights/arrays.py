# SPDX-License-Identifier: Apache-2.0
"""The arrays inside a weights file, by layer and name, as a cfg lays them out."""

from __future__ import annotations

from collections.abc import Iterator

from pydarknet.cfg.shapes import Node, Walk
from pydarknet.weights.file import Floats


def arrays(values: Floats, nodes: Walk) -> Iterator[tuple[Node, str, Floats]]:
    """(layer, name, values) in file order; ends before the first array that the file does not hold whole."""
    place = 0
    for node in nodes:
        if node.section.integer("dontload", 0):
            continue
        for name, size in node.arrays:
            if place + size > len(values):
                return
            yield node, name, values[place : place + size]
            place += size
