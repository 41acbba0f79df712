# SPDX-License-Identifier: Apache-2.0
"""Thousands of augmented images have the distributions that Darknet draws from: means and spreads by hand.

Generators have fixed seeds, so results do not vary; tolerances are four standard errors.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from pydarknet.cfg.augmentation import AugmentConfig
from pydarknet.engine.images import Pixels
from pydarknet.training import augment
from pydarknet.training.truth_boxes import Boxes

DRAWS = 4000
CONFIG = AugmentConfig(width=32, height=32, jitter=0, resize=1, flip=False, hue=0, saturation=1, exposure=1)
GREY = np.full((200, 400, 3), 100, np.uint8)
NO_BOXES: Boxes = np.empty((0, 5))


def agrees(values: npt.ArrayLike, mean: float, deviation: float) -> bool:
    """Whether the mean of independent draws is right, four standard errors allowed."""
    values = np.asarray(values, float)
    return abs(values.mean() - mean) <= 4 * deviation / math.sqrt(len(values))


def is_half(flags: npt.ArrayLike) -> bool:
    return agrees(flags, 0.5, 0.5)


def test_factors() -> None:
    """Uniform in 1 .. s, or the inverse of such a number, equally often."""
    s = 1.5
    rng = np.random.default_rng(0)
    factors = np.array([augment.rand_scale(rng, s) for _ in range(DRAWS)])
    large = factors[factors >= 1]
    assert is_half(factors >= 1)
    assert agrees(large, (1 + s) / 2, (s - 1) / math.sqrt(12))
    assert agrees(1 / factors[factors < 1], (1 + s) / 2, (s - 1) / math.sqrt(12))
    assert 1 / s <= factors.min() < 0.68
    assert 1.48 < factors.max() <= s


def test_margins() -> None:
    """Jitter moves each edge alone; resize=1.5 moves left with top, right with bottom, -25 % to 16.67 %."""
    rng = np.random.default_rng(1)
    jittered = [augment.draw_crop(rng, GREY, replace(CONFIG, jitter=0.2)) for _ in range(DRAWS)]
    edges = np.array([(c.left, c.right, c.top, c.bottom) for c in jittered], float)
    for column, side in zip(edges.T, (400, 400, 200, 200), strict=True):
        assert agrees(column, 0, 0.4 * side / math.sqrt(12))
        assert column.min() < -0.19 * side
        assert column.max() > 0.19 * side
    apart = np.corrcoef(edges.T) - np.eye(4)
    assert np.abs(apart).max() < 4 / math.sqrt(DRAWS)
    resized = [augment.draw_crop(rng, GREY, replace(CONFIG, resize=1.5)) for _ in range(DRAWS)]
    edges = np.array([(c.left, c.right, c.top, c.bottom) for c in resized], float)
    for column, side in zip(edges.T, (400, 400, 200, 200), strict=True):
        assert agrees(column + 0.5, (-0.25 + 1 / 6) / 2 * side, (0.25 + 1 / 6) * side / math.sqrt(12))
    correlation = np.corrcoef(edges.T)
    assert min(correlation[0, 2], correlation[1, 3]) > 0.99
    assert abs(correlation[0, 1]) < 4 / math.sqrt(DRAWS)


def test_choices_by_a_coin() -> None:
    """Flip, the push of a tile towards the centre of its mosaic, noise, mosaic: each in half of the cases."""
    rng = np.random.default_rng(2)
    config = replace(CONFIG, jitter=0.2, flip=True, gaussian_noise=20)
    assert is_half([augment.draw_crop(rng, GREY, config).flip for _ in range(DRAWS)])
    towards = [augment.draw_crop(rng, GREY, replace(config, flip=False), tile=0) for _ in range(DRAWS)]
    assert is_half([crop.left == crop.top == 0 for crop in towards])
    small = GREY[:8, :8]
    assert is_half([bool((augment.noisy(small, rng, config) > 100).any()) for _ in range(DRAWS)])


def test_blurs() -> None:
    """A third of the images is sharp, a third is blurred strongly, a third with the kernel of the cfg."""
    rng = np.random.default_rng(3)
    image = np.zeros((16, 16, 3), np.uint8)
    image[8, 8] = 255
    peaks = [int(augment.blurred(image, NO_BOXES, rng, replace(CONFIG, blur=5)).max()) for _ in range(1500)]
    values, counts = np.unique(peaks, return_counts=True)
    assert len(values) == 3
    assert values[-1] == 255
    for count in counts:
        assert abs(count / 1500 - 1 / 3) <= 4 * math.sqrt(2 / 9 / 1500)


def test_mosaics() -> None:
    """Half of the samples have four images; their common corner is uniform in 20 % .. 80 % of each side."""
    rng = np.random.default_rng(4)
    levels = itertools.cycle(range(40, 240, 40))

    def draw(_: np.random.Generator) -> tuple[Pixels, Boxes]:
        return np.full((32, 32, 3), next(levels), np.uint8), NO_BOXES

    corners, mosaics = [], []
    for _ in range(800):
        pixels, _boxes = augment.sample(draw, rng, replace(CONFIG, mosaic=True))
        mosaics.append(len(np.unique(pixels)) > 1)
        if mosaics[-1]:
            corners.append([int((line == line[0]).sum()) for line in (pixels[0, 0], pixels[0, :, 0])])
    assert is_half(mosaics)
    low, high = int(0.2 * 32), int(0.8 * 32)
    for column in np.array(corners).T:
        assert (column.min(), column.max()) == (low, high)
        assert agrees(column, (low + high) / 2, (high - low + 1) / math.sqrt(12))


@pytest.mark.parametrize("exposure", [1.5, 3.0])
def test_brightness(exposure: float) -> None:
    """The mean of a batch of grey images is theirs times the mean of the factors."""
    rng = np.random.default_rng(5)
    config = replace(CONFIG, exposure=exposure)
    small = np.full((2, 2, 3), 60, np.uint8)
    drawn = [augment.draw_tables(rng, config, 3) for _ in range(DRAWS)]
    means = [float(augment.recolour(small, tables).mean()) / 60 for tables in drawn]
    span = exposure - 1
    mean = ((1 + exposure) / 2 + math.log(exposure) / span) / 2
    square = ((exposure**3 - 1) / 3 / span + 1 / exposure) / 2
    assert agrees(means, mean, math.sqrt(square - mean**2))


@pytest.mark.parametrize("hue", [0.1, 0.5])
def test_hues(hue: float) -> None:
    """Hues of cyan images are uniform in +- hue of the circle around theirs."""
    rng = np.random.default_rng(6)
    cyan = np.zeros((1, 1, 3), np.uint8)
    cyan[..., :2] = 255
    config = replace(CONFIG, hue=hue)
    found = []
    for _ in range(DRAWS):
        tables = augment.draw_tables(rng, config, 3)
        blue, green, red = (int(v) / 255 for v in augment.recolour(cyan, tables)[0, 0])
        top, bottom = max(red, green, blue), min(red, green, blue)
        assert top > bottom
        found.append({green: 2 + blue - red, blue: 4 + red - green, red: (green - blue) % 6}[top] / 6)
    distance = np.abs(np.array(found) - 0.5)
    assert agrees(distance, hue / 2 * 179 / 180, hue / math.sqrt(12))
    assert distance.max() <= hue + 1 / 90
