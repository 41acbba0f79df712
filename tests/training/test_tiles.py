# SPDX-License-Identifier: Apache-2.0
"""Samples whose pixels a GPU computes: those that OpenCV computes on the host, and the same boxes.

The GPU is that of the fakes of NVIDIA's libraries, see ``test_gpu_training.py``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pydarknet import Network
from pydarknet.cfg.augmentation import AugmentConfig
from pydarknet.engine._core import ffi
from pydarknet.engine.tiles import TILE
from pydarknet.training import augment, tiles, truth_boxes
from pydarknet.training.loader import generator

FAKES = os.environ.get("PYDARKNET_FAKE_CUDA", "")
STEP = 1 / 255

#: Its first layer shows the input.
CFG = """[net]
batch=4
width={width}
height={height}
channels={channels}

[activation]
activation=linear

[convolutional]
filters=6
size=1
activation=linear

[yolo]
mask=0
num=1
anchors=8,8
classes=1
"""

CONFIG = AugmentConfig(64, 48, jitter=0.3, resize=1.5, hue=0.1, saturation=1.5, exposure=1.5)
PLAIN = {"hue": 0.0, "saturation": 1.0, "exposure": 1.0}
OPTIONS: list[dict[str, object]] = [
    {},
    {"mosaic": True},
    {"mixup": True},
    {"letter_box": True, "flip": False},
    {"channels": 1, "mosaic": True},
    {"width": 32, "height": 32, "mosaic": True},
    {"mosaic": True, **PLAIN},
    {"mixup": True, "resize": 0.6, **PLAIN},
]


def draws(config: AugmentConfig) -> augment.Draw:
    """Smooth images with noise, from smaller than the input to a few times its size, with boxes."""

    def draw(rng: np.random.Generator) -> augment.Source:
        height, width = (int(side) for side in rng.integers(24, 400, 2))
        ramp = np.add.outer(np.arange(height) % 97, np.arange(width) % 131)[..., np.newaxis]
        noise = rng.integers(0, 60, (height, width, config.channels))
        return (ramp + noise).astype(np.uint8), rng.uniform(0.2, 0.8, (3, 5))

    return draw


def composed(precision: str = "fp32") -> None:
    """Inputs that the GPU composes, against those of the host: a step of 1/255, none where colours stay."""
    shown = 0
    for options in OPTIONS:
        config = replace(CONFIG, **options)
        text = CFG.format(width=config.width, height=config.height, channels=config.channels)
        draw = draws(config)
        with Network.parse(text, device="cuda", precision=precision, threads=1).trainer() as trainer:
            for first in range(0, 8, 4):
                numbers = range(first, first + 4)
                host = [augment.sample(draw, generator(5, 0, k), config) for k in numbers]
                device = [tiles.sample(draw, generator(5, 0, k), config) for k in numbers]
                table = np.stack([truth_boxes.packed(boxes, 20) for _, boxes in device])
                assert np.array_equal(table, [truth_boxes.packed(boxes, 20) for _, boxes in host])
                trainer.accumulate_tiles([pixels for pixels, _ in device], table)
                found = trainer.output(0).reshape(4, config.channels, config.height, config.width)
                wanted = np.stack([planes for planes, _ in host])
                worst = float(np.abs(found - wanted).max())
                assert worst == 0 if config.hue == 0 else worst < STEP + 1e-6, (options, first, worst)
                shown += sum(len(pixels) for pixels, _ in device)
            trainer.network.close()
    assert shown > 100  # mosaics and pairs are among them


@pytest.mark.skipif(not FAKES, reason="PYDARKNET_FAKE_CUDA names no folder of fakes")
def test_the_gpu_computes_the_pixels_of_the_host(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, __file__],
        check=False,
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "PYDARKNET_CUDA_PATH": FAKES,
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_boxes_and_bytes() -> None:
    """Boxes are those of the host, which draws the same numbers; pixels are as many as the engine takes."""
    cut_here = 0
    for options in OPTIONS:
        config = replace(CONFIG, **options)
        most = tiles.MOST_BYTES * config.width * config.height * config.channels
        for seed in range(20):
            draw, rngs = draws(config), [np.random.default_rng(seed) for _ in range(2)]
            found, boxes = tiles.sample(draw, rngs[0], config)
            assert np.array_equal(boxes, augment.sample(draw, rngs[1], config)[1])
            assert rngs[0].random() == rngs[1].random()
            assert sum(tile.pixels.nbytes for tile in found) <= most
            cut_here += sum(tile.crop == (config.width, config.height) for tile in found)
    assert cut_here > 10  # of images that are much larger


def test_a_tile_is_laid_out_as_in_the_header() -> None:
    assert TILE.itemsize == ffi.sizeof("dn_tile")
    assert TILE.names is not None
    assert TILE.fields is not None
    for name in TILE.names:
        assert TILE.fields[name][1] == ffi.offsetof("dn_tile", name), name


def test_what_a_gpu_does_not_compute() -> None:
    assert tiles.why_not(CONFIG) == ""
    assert tiles.why_not(replace(CONFIG, blur=5)) == "a GPU does not compute blur, which the cfg asks for"
    assert "gaussian_noise" in tiles.why_not(replace(CONFIG, gaussian_noise=9))
    assert "the network takes 4" in tiles.why_not(replace(CONFIG, channels=4))


if __name__ == "__main__":
    composed()
