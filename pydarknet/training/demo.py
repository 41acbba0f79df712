# SPDX-License-Identifier: Apache-2.0
"""Data and network of ``pydarknet demo``: real handwriting on textured backgrounds, learned in minutes.

The handwriting in ``digits.npz`` is that of the test images of the UCI data set "Optical Recognition of
Handwritten Digits" (8×8 pixels, 0..16, 43 writers; E. Alpaydin, C. Kaynak, CC BY 4.0,
doi 10.24432/C50P49).  Training and validation show different samples of it.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from pydarknet.cfg import CfgFile, new
from pydarknet.cfg.keys import HEADS
from pydarknet.cfg.model import Value
from pydarknet.engine.images import save_image
from pydarknet.system.atomic import write_text

DIGIT_IMAGES = Path(__file__).with_name("digits.npz")  # uint8: images (1797, 8, 8), labels (1797)
SIZE = 128  # pixels of an image and of the network's input
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TRAIN, VALID = 800, 100  # images
ITERATIONS = 2400
MAP_EVERY = 300
DIGITS = (28, 48)  # smallest and largest height, pixels
MOST = 6  # digits in an image
ANCHORS = ((18, 30), (21, 36), (25, 42), (20, 34), (24, 38), (28, 46))

_SETTINGS: dict[str, Value] = {
    "learning_rate": 0.02,
    "burn_in": 100,
    "flip": 0,  # a mirrored digit is not a digit
    "hue": 0.05,
    "saturation": 1.2,
    "exposure": 1.2,
    "mosaic": 0,
    "yolo.jitter": 0.1,
    "yolo.resize": 1,
    "yolo.random": 0,
    "yolo.iou_thresh": 0.2,  # every anchor that fits a digit learns from it, which is much faster
}

Pixels = npt.NDArray[np.uint8]


def make_data(folder: Path, seed: int = 0) -> Path:
    """Write images, labels, lists and names.

    Args:
        folder: to write into.
        seed: of all random choices.

    Returns:
        Path of the ``.data`` file.
    """
    with np.load(DIGIT_IMAGES) as digits:
        images, labels = digits["images"].astype(np.float32) / 16, digits["labels"]
    rng = np.random.default_rng(seed)
    cut = len(images) * 3 // 4
    for split, count, first, last in (("train", TRAIN, 0, cut), ("valid", VALID, cut, len(images))):
        listed = []
        for number in range(count):
            path = (folder / split / f"{number:04}.png").absolute()
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels, rows = _image(images[first:last], labels[first:last], rng)
            save_image(path, pixels)
            path.with_suffix(".txt").write_text("".join(rows))
            listed.append(f"{path}\n")
        write_text(folder / f"{split}.txt", "".join(listed))
    write_text(folder / "digits.names", "".join(f"{name}\n" for name in NAMES))
    place = folder.absolute()
    text = f"classes = {len(NAMES)}\ntrain = {place}/train.txt\nvalid = {place}/valid.txt\n"
    write_text(folder / "digits.data", f"{text}names = {place}/digits.names\n")
    return folder / "digits.data"


def _image(
    digits: npt.NDArray[np.float32], labels: npt.NDArray[np.uint8], rng: np.random.Generator
) -> tuple[Pixels, list[str]]:
    """Make one image with digits that do not touch, and its label lines."""
    canvas = _background(rng)
    rows: list[str] = []
    taken = np.zeros((SIZE, SIZE), bool)
    for _ in range(int(rng.integers(1, MOST + 1))):
        pick = int(rng.integers(len(digits)))
        mask = _enlarged(digits[pick], int(rng.integers(*DIGITS)))
        height, width = mask.shape
        for _ in range(20):
            x, y = int(rng.integers(SIZE - width)), int(rng.integers(SIZE - height))
            area = np.s_[y : y + height, x : x + width]
            if not taken[area].any():
                taken[area] = True
                _ink(canvas[area], mask, rng)
                box = ((x + width / 2) / SIZE, (y + height / 2) / SIZE, width / SIZE, height / SIZE)
                rows.append(f"{labels[pick]} {' '.join(f'{value:.6f}' for value in box)}\n")
                break
    return canvas, rows


def _enlarged(digit: npt.NDArray[np.float32], height: int) -> npt.NDArray[np.float32]:
    """Crop a digit to its bounding box and scale it to a height; values 0..1."""
    rows, columns = np.nonzero(digit > 0.1)
    part = digit[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    width = max(height * part.shape[1] // part.shape[0], 6)
    return np.clip(cv2.resize(part, (width, height), interpolation=cv2.INTER_CUBIC), 0, 1).astype(np.float32)


def _ink(area: Pixels, mask: npt.NDArray[np.float32], rng: np.random.Generator) -> None:
    """Draw with a colour that contrasts with the background."""
    bright = area.mean() > 127
    colour = rng.integers(0, 70, 3) if bright else rng.integers(185, 256, 3)
    area[:] = (area * (1 - mask[..., None]) + colour * mask[..., None]).astype(np.uint8)


def _background(rng: np.random.Generator) -> Pixels:
    """Make clouds of two colours with some grain."""
    ends = rng.integers(0, 110, (2, 3)) + (0 if rng.random() < 0.5 else 145)
    coarse = rng.random((int(rng.integers(3, 9)),) * 2).astype(np.float32)
    clouds = cv2.resize(coarse, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)[..., None]
    grain = rng.normal(0, 6, (SIZE, SIZE, 1))
    return np.asarray(np.clip(ends[0] + clouds * (ends[1] - ends[0]) + grain, 0, 255), np.uint8)


def make_cfg(iterations: int, batch: int = 16, width: int = 4) -> CfgFile:
    """Make yolov4-tiny with 1/``width`` of its filters, for :data:`SIZE` pixels and ten classes.

    Args:
        iterations: length of the training.
        batch: images per update.
        width: divisor of the number of filters.
    """
    cfg = new(
        "yolov4-tiny",
        classes=len(NAMES),
        size=SIZE,
        batch=batch,
        subdivisions=1,
        max_batches=iterations,
        anchors=ANCHORS,
        settings=_SETTINGS,
    )
    for section, below in zip(cfg.layers, [*cfg.layers[1:], None], strict=True):
        if section.type == "convolutional" and not (below is not None and below.type in HEADS):
            section.set("filters", section.integer("filters") // width)
    return CfgFile.parse(str(cfg), "digits.cfg")
