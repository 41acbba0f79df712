# SPDX-License-Identifier: Apache-2.0
"""Augmentation: boxes follow pixels, the same numbers give the same sample, Darknet's rules by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pydarknet.cfg import CfgFile
from pydarknet.cfg.augmentation import AugmentConfig
from pydarknet.errors import CfgError
from pydarknet.training import augment, truth_boxes
from pydarknet.training.augment import Crop

CONFIG = AugmentConfig(96, 64, jitter=0.3, resize=1.5, flip=True)


def picture(rng: np.random.Generator, height: int = 120, width: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """One bright rectangle on black, and its box."""
    pixels = np.zeros((height, width, 3), np.uint8)
    w, h = int(rng.integers(40, 80)), int(rng.integers(30, 60))
    x, y = int(rng.integers(0, width - w)), int(rng.integers(0, height - h))
    pixels[y : y + h, x : x + w] = 255
    box = [(x + w / 2) / width, (y + h / 2) / height, w / width, h / height, 0]
    return pixels, np.array([box])


def bright(planes: np.ndarray) -> tuple[float, float, float, float] | None:
    """Edges of the bright area, relative."""
    rows, columns = np.nonzero(planes[0] > 0.6)
    if not len(rows):
        return None
    height, width = planes.shape[1:]
    return columns.min() / width, (columns.max() + 1) / width, rows.min() / height, (rows.max() + 1) / height


@pytest.mark.parametrize(
    "options", [{}, {"letter_box": True}, {"resize": 0.7}, {"jitter": 0.0, "resize": 1.0}]
)
def test_boxes_follow_pixels(options: dict[str, object]) -> None:
    """In 200 random crops the box encloses the bright rectangle to about a pixel."""
    config = replace(CONFIG, **options)
    seen = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        source = picture(rng)
        recipe, boxes = augment.decide(source, rng, config)
        pixels = augment.render(recipe, boxes, rng, config)
        found = bright(augment.planes(pixels))
        if len(boxes) == 0 or found is None or min(boxes[0, 2] * 96, boxes[0, 3] * 64) < 4:
            continue
        seen += 1
        edges = [float(edge[0]) for edge in truth_boxes.edges(boxes)]
        tolerance = np.array([1.6 / 96] * 2 + [1.6 / 64] * 2)
        assert np.all(np.abs(np.subtract(edges, found)) <= tolerance), seed
    assert seen > 150


def test_mosaic_boxes_follow_pixels() -> None:
    """In a mosaic every box that lies inside one tile covers bright pixels and is itself bright."""
    config = replace(CONFIG, mosaic=True, mosaic_bound=True)
    boxes_seen = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        planes, boxes = augment.sample(picture, rng, config)
        for left, right, top, bottom in zip(*truth_boxes.edges(boxes), strict=True):
            rows = slice(int(top * 64) + 2, int(bottom * 64) - 2)
            area = planes[0, rows, int(left * 96) + 2 : int(right * 96) - 2]
            if area.size > 20:
                boxes_seen += 1
                assert area.mean() > 0.9, seed
    assert boxes_seen > 60


def test_mosaic_finds_all_bright_pixels() -> None:
    """Bright pixels in a mosaic lie in a box: no object loses its label, slivers of a pixel aside."""
    config = replace(CONFIG, mosaic=True)
    for seed in range(60):
        planes, boxes = augment.sample(picture, np.random.default_rng(seed), config)
        left_over = planes[0] > 0.6
        for left, right, top, bottom in zip(*truth_boxes.edges(boxes), strict=True):
            rows = slice(max(int(top * 64) - 2, 0), int(bottom * 64) + 3)
            left_over[rows, max(int(left * 96) - 2, 0) : int(right * 96) + 3] = False
        assert left_over.mean() < 0.01, seed


def test_the_same_generator_gives_the_same_sample() -> None:
    """A sample is a function of the generator's key."""
    config = replace(CONFIG, mosaic=True, hue=0.1, saturation=1.5, exposure=1.5, blur=5, gaussian_noise=20)

    def sample(seed: int) -> tuple[np.ndarray, np.ndarray]:
        return augment.sample(picture, np.random.default_rng(seed), config)

    assert all((a == b).all() for a, b in zip(sample(3), sample(3), strict=True))
    assert (sample(3)[0] != sample(4)[0]).any()


def test_margins_by_hand() -> None:
    """resize=1.5 moves edges from -25 % to +16.67 % of the side; jitter adds its share, cut to integers."""
    config = replace(CONFIG, jitter=0.1, resize=1.5)
    assert augment._margins(100, config, (0.0, 1.0), (0.0, 1.0)) == (-10 - 25, 10 + 16)
    assert augment._margins(100, replace(config, jitter=0, resize=0.5), (0, 0), (0.0, 1.0)) == (-50, 0)


def test_beyond_the_image_is_its_mean_colour() -> None:
    """A crop that reaches beyond the image is filled with the mean of each channel."""
    image = np.zeros((10, 10, 3), np.uint8)
    image[:, :5] = (200, 100, 50)
    cut = augment.cut(image, Crop(-10, 0, 0, 0), (20, 10))
    assert cut[5, 2].tolist() == [100, 50, 25]
    assert cut[5, 12].tolist() == [200, 100, 50]


def test_noise_only_brightens() -> None:
    """Negative noise becomes 0, as in Darknet's unsigned bytes."""
    image = np.full((50, 50, 3), 100, np.uint8)
    config = replace(CONFIG, gaussian_noise=30)
    changed = [augment.noisy(image, np.random.default_rng(seed), config) for seed in range(8)]
    assert all((noisy >= 100).all() for noisy in changed)
    assert any((noisy > 100).any() for noisy in changed)


def test_hue_below_red_saturates() -> None:
    """A hue that would go below 0 becomes pure red instead of wrapping around."""
    image = np.full((2, 2, 3), 0, np.uint8)
    image[:] = (0, 40, 255)  # a little above red
    rng = np.random.default_rng(1)
    config = replace(CONFIG, hue=0.2)
    found = [augment.recolour(image, augment.draw_tables(rng, config, 3)) for _ in range(40)]
    assert all(pixels[0, 0, 0] <= pixels[0, 0, 1] or pixels[0, 0, 1] > 0 for pixels in found)
    assert any(pixels[0, 0].tolist() == [0, 0, 255] for pixels in found)


def test_blur_keeps_objects_sharp() -> None:
    """Background blur leaves the boxes as they were."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (64, 96, 3), np.uint8)
    boxes = np.array([[0.5, 0.5, 0.25, 0.5, 0]])
    seen = set()
    for seed in range(12):
        soft = augment.blurred(image, boxes, np.random.default_rng(seed), replace(CONFIG, blur=1))
        inside = (soft[16:48, 36:60] == image[16:48, 36:60]).all()
        outside = (soft[:, :30] == image[:, :30]).all()
        assert inside
        seen.add(outside)
    assert seen == {True, False}


def test_boxes_outside_are_dropped_and_slivers_stay() -> None:
    """Boxes outside the image or smaller than a pixel go; a sliver of one pixel stays a positive."""
    boxes = np.array([[1.5, 0.5, 0.2, 0.2, 0], [0, 0, 0.1, 0.1, 0], [0.99, 0.5, 0.2, 0.2, 1]])
    assert truth_boxes.outside(boxes).tolist() == [True, True, False]
    moved = truth_boxes.transform(boxes[2:], (0.9, 1.0), (0.0, 0.0), False)
    assert truth_boxes.visible(moved, (96, 96)).tolist() == [True]
    assert truth_boxes.visible(np.array([[0.5, 0.5, 0.009, 0.5, 0]]), (96, 96)).tolist() == [False]


def test_packed_is_ended_by_zeros() -> None:
    """Truths are rows of six, zeros after the last, no more than fit."""
    table = truth_boxes.packed(np.array([[0.1, 0.2, 0.3, 0.4, 5]] * 3), 2)
    assert table.shape == (2, 6)
    assert table[0].tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4, 5, 0])
    assert not truth_boxes.packed(np.zeros((0, 5)), 2).any()


@pytest.mark.parametrize(
    ("net", "message"),
    [
        ("track=1", "track: is not supported"),
        ("contrastive=1", "contrastive: is not supported"),
        ("mixup=5", "mixup: found 5, expected 0 to 4"),
        ("mosaic=1\nletter_box=1", "cannot be combined with mosaic"),
    ],
)
def test_unsupported_settings_are_refused(net: str, message: str) -> None:
    """Unsupported settings are reported with their line in the cfg."""
    text = f"[net]\nwidth=32\nheight=32\nchannels=3\n{net}\n[yolo]\nclasses=1\n"
    with pytest.raises(CfgError, match=message):
        AugmentConfig.of(CfgFile.parse(text))


@pytest.mark.parametrize(
    ("net", "mixup", "mosaic"),
    [
        ("mixup=1", True, False),
        ("mixup=2", False, False),
        ("mixup=3", False, True),
        ("mixup=4", False, True),
        ("cutmix=1", False, False),
        ("cutmix=1\nmixup=1", False, False),
        ("mosaic=1\ncutmix=1", False, True),
        ("mosaic=1\nmixup=1", False, True),
    ],
)
def test_mixing_is_darknets(net: str, mixup: bool, mosaic: bool) -> None:
    """``mosaic`` and ``cutmix`` come before ``mixup``; a detector never mixes by cutmix."""
    config = AugmentConfig.of(CfgFile.parse(f"[net]\nwidth=32\nheight=32\n{net}\n[yolo]\nclasses=1\n"))
    assert (config.mixup, config.mosaic) == (mixup, mosaic)


def test_recipe_needs_a_head() -> None:
    """A network without heads cannot be trained as a detector."""
    with pytest.raises(CfgError, match="head to train"):
        AugmentConfig.of(CfgFile.parse("[net]\nwidth=32\nheight=32\n[convolutional]\nfilters=2\n"))
