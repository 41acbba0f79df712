# SPDX-License-Identifier: Apache-2.0
"""Augmentation of training images: crop, flip, colour, blur, noise, mosaic and mixup, as in Darknet.

All random numbers come from the generator that is passed in; the same generator gives the same pixels.
Images are uint8 (h, w, c), blue first, until :func:`planes`.

:func:`arrange` decides what a sample shows, in :class:`Recipe` and :class:`Placed`, and transforms the boxes.
:func:`sample` computes its pixels here; :mod:`pydarknet.training.tiles` leaves that to the GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from pydarknet.cfg.augmentation import AugmentConfig
from pydarknet.engine.images import Pixels
from pydarknet.training import truth_boxes
from pydarknet.training.truth_boxes import Boxes

Source = tuple[Pixels, Boxes]  # an image with its boxes
Draw = Callable[[np.random.Generator], Source]
Item = TypeVar("Item")

BACKGROUND_BLUR = 17  # kernel of blur mode 1, in pixels


@dataclass(frozen=True)
class Crop:
    """Rectangle to cut from an image: margins in pixels, negative ones outside of the image."""

    left: int
    right: int
    top: int
    bottom: int
    flip: bool = False

    def size(self, image: Pixels) -> tuple[int, int]:
        """Width and height of the rectangle."""
        return image.shape[1] - self.left - self.right, image.shape[0] - self.top - self.bottom


@dataclass(frozen=True)
class Recipe:
    """The part of an image that is shown, and its colours.

    Attributes:
        image: the image.
        crop: rectangle of it.
        tables: uint8 (3, 256), new values of hue, saturation and exposure, or (1, 256) of grey; None: none.
    """

    image: Pixels
    crop: Crop
    tables: Pixels | None


@dataclass(frozen=True)
class Placed(Generic[Item]):
    """An augmented image, or its recipe, in a sample.

    Attributes:
        item: the image, of the size of the sample.
        area: left, right, top and bottom of the part of the sample that it fills, in pixels.
        corner: left and top of this part in the image.
    """

    item: Item
    area: tuple[int, int, int, int]
    corner: tuple[int, int] = (0, 0)


Show = Callable[[Recipe, Boxes, np.random.Generator], Item]  # what arrange() makes of a recipe


def rand_scale(rng: np.random.Generator, limit: float) -> float:
    """Draw a factor between 1 and ``limit``, or its inverse, with equal probability."""
    factor = float(rng.uniform(min(1.0, limit), max(1.0, limit)))
    return factor if rng.random() < 0.5 else 1 / factor


def draw_crop(
    rng: np.random.Generator, image: Pixels, config: AugmentConfig, tile: int | None = None
) -> Crop:
    """Draw a crop: jitter, resize and letter box; in a mosaic towards its centre in half of the cases."""
    height, width = image.shape[:2]
    q1, q2, r1, r2, r3, r4 = rng.random(6)
    (left, right), (top, bottom) = (
        _margins(side, config, (float(a), float(b)), (float(q1), float(q2)))
        for side, a, b in ((width, r1, r2), (height, r3, r4))
    )
    if config.letter_box:
        ratio = width / height / (config.width / config.height)
        if ratio > 1:
            widen = (width * config.height / config.width - height) / 2
            top, bottom = int(top - widen), int(bottom - widen)
        else:
            widen = (height * config.width / config.height - width) / 2
            left, right = int(left - widen), int(right - widen)
    flip = bool(config.flip and rng.random() < 0.5)
    if tile is not None and rng.random() < 0.5:
        if (tile in (0, 2)) != flip:
            left, right = 0, right + left
        else:
            left, right = left + right, 0
        top, bottom = (0, bottom + top) if tile in (0, 1) else (top + bottom, 0)
    crop = Crop(left, right, top, bottom, flip)
    if min(crop.size(image)) <= 0 or max(left, right) >= width or max(top, bottom) >= height:
        return Crop(0, 0, 0, 0, flip)
    return crop


def _margins(
    side: int, config: AugmentConfig, jitter: tuple[float, float], resize: tuple[float, float]
) -> tuple[int, int]:
    """Both margins along one side; numbers are truncated to integers as in Darknet."""
    d = int(side * config.jitter)
    shrink, grow = (
        min(config.resize, 1 / config.resize),
        max(config.resize, 1 / config.resize),
    )
    if config.resize < 1:
        grow = 1.0
    low, high = int(side * (1 - 1 / shrink) / 2), int(side * (1 - 1 / grow) / 2)
    first, second = (
        int(-d + 2 * d * r) + int(low + (high - low) * q) for r, q in zip(jitter, resize, strict=True)
    )
    return first, second


def cut(image: Pixels, crop: Crop, size: tuple[int, int]) -> Pixels:
    """Cut the rectangle and resize it to (width, height); outside of the image is its mean colour."""
    height, width = image.shape[:2]
    part = image[
        max(crop.top, 0) : height - max(crop.bottom, 0), max(crop.left, 0) : width - max(crop.right, 0)
    ]
    top, bottom, left, right = (max(-m, 0) for m in (crop.top, crop.bottom, crop.left, crop.right))
    if top or bottom or left or right:
        colour = np.rint(cv2.mean(image)).tolist()
        part = cv2.copyMakeBorder(part, top, bottom, left, right, cv2.BORDER_CONSTANT, value=colour)
    resized = cv2.resize(part, size, interpolation=cv2.INTER_LINEAR)
    if crop.flip:
        resized = cv2.flip(resized, 1)
    return np.asarray(resized).reshape(size[1], size[0], -1)


def follow(boxes: Boxes, image: Pixels, crop: Crop, config: AugmentConfig, rng: np.random.Generator) -> Boxes:
    """Transform boxes as :func:`cut` does the pixels: shuffled, at most ``max_boxes``, visible ones only."""
    boxes = boxes[~truth_boxes.outside(boxes)]
    boxes = boxes[rng.permutation(len(boxes))][: config.max_boxes]
    height, width = image.shape[:2]
    w, h = crop.size(image)
    moved = truth_boxes.transform(boxes, (w / width, h / height), (crop.left / w, crop.top / h), crop.flip)
    return moved[truth_boxes.visible(moved, (config.width, config.height))]


def draw_tables(rng: np.random.Generator, config: AugmentConfig, channels: int) -> Pixels | None:
    """Draw new values of hue, saturation and exposure; None: colours stay.

    Hue saturates below 0 instead of wrapping, as in Darknet.
    """
    hue = float(rng.uniform(-config.hue, config.hue))
    saturation, exposure = rand_scale(rng, config.saturation), rand_scale(rng, config.exposure)
    if channels not in (1, 3) or (hue == 0 and saturation == 1 and exposure == 1):
        return None
    levels = np.arange(256, dtype=np.float64)
    rows = [levels * exposure]
    if channels == 3:
        rows = [levels + 179 * hue, levels * saturation, *rows]
    return np.clip(np.rint(np.stack(rows)), 0, 255).astype(np.uint8)


def recolour(image: Pixels, tables: Pixels | None) -> Pixels:
    """Change the colours by the tables of a recipe."""
    if tables is None:
        return image
    if image.shape[2] == 1:
        return np.asarray(tables[0][image])
    hsv = cv2.LUT(cv2.cvtColor(image, cv2.COLOR_BGR2HSV), np.ascontiguousarray(tables.T)[np.newaxis])
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR))


def blurred(image: Pixels, boxes: Boxes, rng: np.random.Generator, config: AugmentConfig) -> Pixels:
    """Blur a third of the images behind the objects, and a third as a whole with kernel ``blur``."""
    mode = (0, 1, config.blur)[int(rng.integers(3))] if config.blur else 0
    height, width = image.shape[:2]
    if mode > 1 and len(boxes):
        mode = min(mode, int(min((boxes[:, 2] * width).min(), (boxes[:, 3] * height).min())) // 8)
    if mode == 0:
        return image
    kernel = BACKGROUND_BLUR if mode == 1 else mode // 2 * 2 + 1
    soft = cv2.GaussianBlur(image, (kernel, kernel), 0).reshape(image.shape)
    if mode == 1:
        for left, right, top, bottom in zip(*truth_boxes.edges(boxes), strict=True):
            area = np.s_[int(top * height) : int(bottom * height), int(left * width) : int(right * width)]
            soft[area] = image[area]
    return soft


def noisy(image: Pixels, rng: np.random.Generator, config: AugmentConfig) -> Pixels:
    """Add noise to half of the images; it only brightens, since Darknet draws it in unsigned bytes."""
    if not config.gaussian_noise or rng.random() < 0.5:
        return image
    noise = rng.standard_normal(image.shape, np.float32) * min(config.gaussian_noise, 127)
    return np.asarray(cv2.add(image, np.clip(np.rint(noise), 0, 255).astype(np.uint8))).reshape(image.shape)


def decide(
    source: Source, rng: np.random.Generator, config: AugmentConfig, tile: int | None = None
) -> tuple[Recipe, Boxes]:
    """Draw the recipe of an image, of the size of the network, with its boxes."""
    image, boxes = source
    crop = draw_crop(rng, image, config, tile)
    boxes = follow(boxes, image, crop, config, rng)
    return Recipe(image, crop, draw_tables(rng, config, image.shape[2])), boxes


def render(recipe: Recipe, boxes: Boxes, rng: np.random.Generator, config: AugmentConfig) -> Pixels:
    """Compute an image by its recipe; blur and noise are drawn here."""
    pixels = recolour(cut(recipe.image, recipe.crop, (config.width, config.height)), recipe.tables)
    return noisy(blurred(pixels, boxes, rng, config), rng, config)


def arrange(
    draw: Draw, rng: np.random.Generator, config: AugmentConfig, show: Show[Item]
) -> tuple[list[Placed[Item]], Boxes]:
    """Decide what a sample shows: one image, four in a mosaic, or two mixed, which lie upon each other.

    Args:
        draw: returns another image with its boxes.
        rng: everything random.
        config: settings.
        show: makes of a recipe, right after its numbers were drawn, what is placed.

    Returns:
        What is placed, and at most ``max_boxes`` boxes.
    """
    mixed = bool(rng.random() < 0.5)
    if config.mosaic and mixed:
        parts, boxes = _mosaic(draw, rng, config, show)
        return parts, boxes[: config.max_boxes]
    parts, found = [], []
    for _ in range(2 if config.mixup and mixed else 1):
        recipe, boxes = decide(draw(rng), rng, config)
        parts.append(Placed(show(recipe, boxes, rng), (0, config.width, 0, config.height)))
        found.append(boxes)
    return parts, np.concatenate(found)[: config.max_boxes]


def sample(
    draw: Draw, rng: np.random.Generator, config: AugmentConfig
) -> tuple[npt.NDArray[np.float32], Boxes]:
    """Make a training sample.

    Returns:
        float32 (channels, height, width) in 0..1, red first; at most ``max_boxes`` boxes.
    """
    parts, boxes = arrange(draw, rng, config, partial(render, config=config))
    return planes(_joined(parts, config)), boxes


def _joined(parts: Sequence[Placed[Pixels]], config: AugmentConfig) -> npt.NDArray[np.generic]:
    """The pixels of a sample: one image, the mean of two, or a mosaic."""
    first = parts[0].item
    if len(parts) == 1:
        return first
    if len(parts) == 2:
        blend = cv2.addWeighted(first, 0.5, parts[1].item, 0.5, 0, dtype=cv2.CV_32F)
        return np.asarray(blend.reshape(first.shape))
    canvas = np.empty((config.height, config.width, config.channels), np.uint8)
    for part in parts:
        (x1, x2, y1, y2), (x, y) = part.area, part.corner
        canvas[y1:y2, x1:x2] = part.item[y : y + y2 - y1, x : x + x2 - x1]
    return canvas


def planes(pixels: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    """Convert (h, w, c) in 0..255, blue first, to float32 (c, h, w) in 0..1, red first."""
    if pixels.shape[2] >= 3:
        pixels = pixels[:, :, [2, 1, 0, *range(3, pixels.shape[2])]]
    scaled: npt.NDArray[np.float32] = np.divide(pixels.transpose(2, 0, 1), np.float32(255), dtype=np.float32)
    return scaled


def _mosaic(
    draw: Draw, rng: np.random.Generator, config: AugmentConfig, show: Show[Item]
) -> tuple[list[Placed[Item]], Boxes]:
    w, h = config.width, config.height
    cut_x, cut_y = (int(rng.integers(int(side * 0.2), int(side * 0.8) + 1)) for side in (w, h))
    parts, found = [], []
    for tile in range(4):
        recipe, boxes = decide(draw(rng), rng, config, tile)
        item = show(recipe, boxes, rng)
        sx, sy = _offset(tile, recipe.crop, recipe.image, (w, h), (cut_x, cut_y))
        x1, x2 = (0, cut_x) if tile in (0, 2) else (cut_x, w)
        y1, y2 = (0, cut_y) if tile in (0, 1) else (cut_y, h)
        parts.append(Placed(item, (x1, x2, y1, y2), (sx, sy)))
        boxes = boxes.copy()
        boxes[:, 0] += (x1 - sx) / w
        boxes[:, 1] += (y1 - sy) / h
        found.append(_clipped(boxes, (w, h), parts[-1].area if config.mosaic_bound else None))
    return parts, np.concatenate(found)


def _offset(
    tile: int, crop: Crop, image: Pixels, size: tuple[int, int], cuts: tuple[int, int]
) -> tuple[int, int]:
    """Offset of a tile's part inside its image, after the filled margins."""
    (w, h), (cut_x, cut_y) = size, cuts
    height, width = image.shape[:2]
    left, right = (crop.right, crop.left) if crop.flip else (crop.left, crop.right)
    filled = [max(0, -margin * w // width) for margin in (left, right)]
    filled += [max(0, -margin * h // height) for margin in (crop.top, crop.bottom)]
    x = w - cut_x - min(w - cut_x, filled[1]) if tile in (0, 2) else min(cut_x, filled[0])
    y = h - cut_y - min(h - cut_y, filled[3]) if tile in (0, 1) else min(cut_y, filled[2])
    return x, y


def _clipped(boxes: Boxes, size: tuple[int, int], bounds: tuple[int, int, int, int] | None) -> Boxes:
    """Clip boxes to the canvas, or to their tile if ``bounds`` is given; drop those without area.

    Without ``bounds`` a box may reach into a neighbouring tile, as in Darknet.
    """
    w, h = size
    left, right, top, bottom = truth_boxes.edges(boxes)
    if bounds is None:
        edges = []
        for low, high, side in ((left, right, w), (top, bottom, h)):  # by whole pixels, as Darknet
            edges.append(low - np.minimum(np.trunc(low * side), 0) / side)
            edges.append(high - np.maximum(np.trunc(high * side) - side, 0) / side)
    else:
        x1, x2, y1, y2 = bounds
        edges = [np.clip(np.trunc(edge * w), x1, x2) / w for edge in (left, right)]
        edges += [np.clip(np.trunc(edge * h), y1, y2) / h for edge in (top, bottom)]
    clipped = truth_boxes.from_edges(edges, boxes[:, 4])
    inside = (clipped[:, :4] > 0).all(1) & (clipped[:, :4] < 1).all(1)
    return clipped[inside & (clipped[:, 2] > 1 / w) & (clipped[:, 3] > 1 / h)]
