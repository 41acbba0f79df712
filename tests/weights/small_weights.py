# SPDX-License-Identifier: Apache-2.0
"""A network of six layers, weights for it, and the command to try on them."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from click.testing import CliRunner, Result

from pydarknet.cli.weights import command

CFG = """[net]
width=32
height=32
channels=3

[convolutional]
batch_normalize=1
filters=4
size=3
pad=1
activation=leaky

[maxpool]
size=2
stride=2

[convolutional]
filters=6
size=1
groups=2
activation=linear

[shortcut]
from=-2
weights_type=per_feature
activation=linear

[convolutional]
filters=21
size=1
activation=linear

[yolo]
mask=0,1,2
anchors=5,5,10,10,20,20
num=3
classes=2
"""
# biases, scales, mean, variance, weights of layer 0; biases, weights of layer 2; weights of 3; both of 4
SIZES = [4, 4, 4, 4, 108, 6, 12, 2, 21, 126]
TOTAL = sum(SIZES)


def make(path: Path, seed: int = 0, count: int = TOTAL, seen: int = 6400) -> Path:
    values = np.random.default_rng(seed).uniform(0.1, 1, count).astype("<f4")
    path.write_bytes(struct.pack("<iiiQ", 0, 2, 5, seen) + values.tobytes())
    return path


def run(*arguments: object) -> Result:
    runner = CliRunner()
    words = [str(argument) for argument in arguments]
    result = runner.invoke(command, words, catch_exceptions=False, standalone_mode=False)
    result.exit_code = result.return_value or 0
    return result
