# SPDX-License-Identifier: Apache-2.0
"""FX-shapes: squares, discs and triangles on noise, and a very small network that learns them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from pydarknet.training import Hook, Step
from pydarknet.training.evaluator import Evaluator
from pydarknet.training.loop import TrainingLoop

NAMES = ("square", "disc", "triangle")

CFG = """[net]
batch={batch}
subdivisions={subdivisions}
width={size}
height={size}
channels=3
momentum=0.9
decay=0.0005
saturation=1.5
exposure=1.5
hue=.1
mosaic={mosaic}
learning_rate=0.01
burn_in=5
max_batches={max_batches}
policy=steps
steps={steps}
scales=.1,.1

[convolutional]
batch_normalize=1
filters=8
size=3
stride=2
pad=1
activation=leaky

[convolutional]
batch_normalize=1
filters=16
size=3
stride=2
pad=1
activation=leaky

[convolutional]
batch_normalize=1
filters=24
size=3
stride=2
pad=1
activation=leaky

[convolutional]
filters={filters}
size=1
stride=1
pad=1
activation=linear

[yolo]
mask=0,1
anchors=14,14, 26,26
classes={classes}
num=2
jitter=.2
resize=1.2
ignore_thresh=.7
iou_thresh=0.213
iou_loss=ciou
iou_normalizer=.07
scale_x_y=1.05
random={random}
"""


def image(rng: np.random.Generator, size: int = 96) -> tuple[np.ndarray, list[tuple[float, ...]]]:
    """Pixels and rows of class, x, y, w, h."""
    pixels = rng.integers(0, 80, (size, size, 3), np.uint8)
    rows = []
    for _ in range(int(rng.integers(1, 4))):
        kind, half = int(rng.integers(3)), int(rng.integers(6, 15))
        x, y = (int(v) for v in rng.integers(half, size - half, 2))
        colour = tuple(int(v) for v in rng.integers(120, 256, 3))
        if kind == 0:
            cv2.rectangle(pixels, (x - half, y - half), (x + half, y + half), colour, -1)
        elif kind == 1:
            cv2.circle(pixels, (x, y), half, colour, -1)
        else:
            corners = np.array([(x, y - half), (x - half, y + half), (x + half, y + half)])
            cv2.fillPoly(pixels, [corners], colour)
        rows.append((kind, x / size, y / size, 2 * half / size, 2 * half / size))
    return pixels, rows


def data_set(folder: Path, train: int = 16, valid: int = 4, seed: int = 0) -> Path:
    """Images, labels, lists and names below a folder; returns the ``.data`` file."""
    rng = np.random.default_rng(seed)
    for split, count in (("train", train), ("valid", valid)):
        place = folder / split
        place.mkdir(parents=True)
        listed = []
        for number in range(count):
            pixels, rows = image(rng)
            path = place / f"{split}{number}.png"
            cv2.imwrite(str(path), pixels)
            text = "".join(f"{k} {x:.6f} {y:.6f} {w:.6f} {h:.6f}\n" for k, x, y, w, h in rows)
            path.with_suffix(".txt").write_text(text)
            listed.append(f"{path}\n")
        (folder / f"{split}.txt").write_text("".join(listed))
    (folder / "obj.names").write_text("".join(f"{name}\n" for name in NAMES))
    data = folder / "obj.data"
    data.write_text(
        f"classes=3\ntrain={folder}/train.txt\nvalid={folder}/valid.txt\nnames={folder}/obj.names\n"
    )
    return data


def cfg(folder: Path, max_batches: int = 20, **values: object) -> Path:
    """The cfg file of a network of 2 000 parameters."""
    settings = {"batch": 4, "subdivisions": 2, "size": 48, "mosaic": 1, "random": 0, "classes": 3, **values}
    settings["filters"] = 2 * (5 + int(str(settings["classes"])))
    steps = f"{max_batches * 8 // 10},{max_batches * 9 // 10}"
    path = folder / "shapes.cfg"
    path.write_text(CFG.format(max_batches=max_batches, steps=steps, **settings))
    return path


def evaluator(training: TrainingLoop) -> Evaluator:
    """The hook that evaluates."""
    return next(hook for hook in training._hooks if isinstance(hook, Evaluator))


class StopAt(Hook):
    """Ends a training after an iteration, as a signal does."""

    def __init__(self, iteration: int) -> None:
        self.iteration = iteration

    def after_step(self, training: TrainingLoop, step: Step) -> None:
        if step.iteration == self.iteration:
            training.stop_reason = "signal"
