# SPDX-License-Identifier: Apache-2.0
"""Inputs of a training that the backend composes of images: ``dn_tile`` of ``darknet.h``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pydarknet.engine.images import Pixels

_INTS = (
    *("image", "x", "y", "width", "height", "from_x", "from_y", "crop_width", "crop_height"),
    *("part_x", "part_y", "part_width", "part_height", "flip"),
)
#: A tile as the engine reads it.
TILE = np.dtype(
    [
        ("pixels", np.uintp),
        ("stride", np.uintp),
        ("tables", np.uintp),
        *((name, np.intc) for name in _INTS),
        ("fill", np.uint8, 4),
    ],
    align=True,
)


@dataclass(frozen=True)
class Tile:
    """A part of an image that fills a rectangle of an input.

    Attributes:
        pixels: uint8 (h, w, c), blue first, of which the values of a pixel and the pixels of a row follow
            each other: a part of the crop.
        area: left, right, top and bottom of the rectangle in the input.
        corner: left and top of it in the crop at the size of the input.
        crop: width and height of the rectangle of the image that is resized to the size of the input.
        part: left and top of the pixels in the crop.
        flip: the crop is mirrored.
        tables: uint8 (3, 256), new values of hue, saturation and value, or (1, 256) of grey; None: none.
        fill: colour of the crop beside the pixels.
    """

    pixels: Pixels
    area: tuple[int, int, int, int]
    corner: tuple[int, int]
    crop: tuple[int, int]
    part: tuple[int, int]
    flip: bool
    tables: Pixels | None
    fill: tuple[int, ...] = ()

    def record(self, image: int) -> tuple[Any, ...]:
        """A row of type :data:`TILE`; the pixels and tables must live as long as it is used."""
        left, right, top, bottom = self.area
        height, width = self.pixels.shape[:2]
        tables = 0 if self.tables is None else self.tables.ctypes.data
        return (
            *(self.pixels.ctypes.data, self.pixels.strides[0], tables, image),
            *(left, top, right - left, bottom - top, *self.corner, *self.crop, *self.part, width, height),
            *(int(self.flip), (*self.fill, 0, 0, 0, 0)[:4]),
        )


def records(images: Sequence[Sequence[Tile]]) -> npt.NDArray[np.void]:
    """The tiles of a mini-batch as the engine reads them."""
    return np.array([tile.record(number) for number, tiles in enumerate(images) for tile in tiles], TILE)
