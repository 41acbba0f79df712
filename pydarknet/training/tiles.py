# SPDX-License-Identifier: Apache-2.0
"""Samples whose pixels the GPU computes: their recipes as tiles for the engine.

The tiles hold the pixels that are shown, so that few bytes go to the GPU: of a mosaic about a quarter of each
image.  An image that is much larger than what is shown of it is cut and resized here, since that reads fewer
pixels than copying it.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from pydarknet.cfg.augmentation import AugmentConfig
from pydarknet.engine.tiles import Tile
from pydarknet.training.augment import Draw, Placed, Recipe, arrange, cut
from pydarknet.training.truth_boxes import Boxes

MOST_BYTES = 4  # of pixels, for each value of the input: what the engine takes


def why_not(config: AugmentConfig) -> str:
    """The reason why a GPU cannot compute the pixels of these samples, or ""."""
    for word, asked in (("blur", config.blur), ("gaussian_noise", config.gaussian_noise)):
        if asked:
            return f"a GPU does not compute {word}, which the cfg asks for"
    if config.channels not in (1, 3):
        return f"a GPU computes images of 1 and 3 channels, the network takes {config.channels}"
    return ""


def sample(draw: Draw, rng: np.random.Generator, config: AugmentConfig) -> tuple[list[Tile], Boxes]:
    """Make a training sample as :func:`augment.sample` does, its pixels left to the engine."""
    parts, boxes = arrange(draw, rng, config, lambda recipe, *_: recipe)
    most = MOST_BYTES / (2 if len(parts) == 2 else 1)
    return [_tile(part, config, most) for part in parts], boxes


def _tile(placed: Placed[Recipe], config: AugmentConfig, most: float) -> Tile:
    """Tile of an image; its pixels are at most ``most`` bytes for each value that it shows."""
    (x1, x2, y1, y2), (x, y), recipe = placed.area, placed.corner, placed.item
    image, crop, size = recipe.image, recipe.crop, (config.width, config.height)
    crop_size = crop.size(image)
    begin = size[0] - x - (x2 - x1) if crop.flip else x
    left, right = _read((begin, begin + x2 - x1), size[0], crop_size[0])
    top, bottom = _read((y, y + y2 - y1), size[1], crop_size[1])
    within_x = _overlap((left, right), (-crop.left, image.shape[1] - crop.left))
    within_y = _overlap((top, bottom), (-crop.top, image.shape[0] - crop.top))
    if math.prod(b - a for a, b in (within_x, within_y)) > most * (x2 - x1) * (y2 - y1):
        shown = cut(image, crop, size)[y : y + y2 - y1, x : x + x2 - x1]
        return Tile(shown, placed.area, (x, y), size, (x, y), False, recipe.tables)
    rows, columns = (
        [place + margin for place in within]
        for within, margin in ((within_y, crop.top), (within_x, crop.left))
    )
    pixels = image[slice(*rows), slice(*columns)]
    if 2 * pixels.nbytes < image.nbytes:
        pixels = np.ascontiguousarray(pixels)  # a view would keep all of the image in memory
    beyond = (within_x, within_y) != ((left, right), (top, bottom))
    fill = tuple(int(value) for value in np.rint(cv2.mean(image))) if beyond else ()
    part = (within_x[0], within_y[0])
    return Tile(pixels, placed.area, (x, y), crop_size, part, crop.flip, recipe.tables, fill)


def _overlap(read: tuple[int, int], there: tuple[int, int]) -> tuple[int, int]:
    """The overlap of what is read and what is there, from first to behind the last; it may be empty."""
    first = min(max(read[0], there[0]), read[1])
    return first, max(min(read[1], there[1]), first)


def _read(shown: tuple[int, int], side: int, crop: int) -> tuple[int, int]:
    """First and behind the last pixel of a crop that a bilinear resize to ``side`` reads for those shown."""
    first, last = ((place + 0.5) * crop / side - 0.5 for place in (shown[0], shown[1] - 1))
    return max(math.floor(first), 0), min(math.floor(last) + 3, crop)
