# SPDX-License-Identifier: Apache-2.0
"""A clone detects in one thread while its original is trained in another."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from pydarknet import Network

# Without batch norm, at a learning rate of 0, nothing moves: every answer is the same.
CFG = """[net]
width=64
height=64
channels=3
batch=1
subdivisions=1
max_batches=100000
learning_rate=0.001
decay=0
[convolutional]
filters=8
size=3
stride=2
pad=1
activation=leaky
[convolutional]
filters=7
size=1
activation=linear
[yolo]
mask=0
anchors=8,8
classes=2
num=1
"""


@pytest.mark.parametrize("backend", ["ref", "cpu"])
def test_detections_are_the_same_while_an_update_that_moves_nothing_repeats(
    tmp_path: Path, backend: str
) -> None:
    generator = np.random.default_rng(0)
    images = [generator.integers(0, 255, (64, 64, 3), dtype=np.uint8) for _ in range(8)]
    batch = generator.random((1, 3, 64, 64), np.float32)
    truths = np.zeros((1, 1, 6), np.float32)
    truths[0, 0, :4] = 0.5, 0.5, 0.2, 0.2
    cfg = tmp_path / "net.cfg"
    cfg.write_text(CFG)
    with (
        Network(cfg, threads=1, backend=backend, precision="fp32") as network,
        network.trainer() as trainer,
        network.clone() as clone,
    ):
        trainer.set_learning_rate(0)
        enough, updates = threading.Event(), 0
        clone.batch = 4

        def confidences() -> np.ndarray:
            return np.concatenate([found.confidence for found in clone.detect(images, thresh=0.2, nms=0)])

        def train() -> None:
            nonlocal updates
            while not enough.is_set() or updates < 20:
                trainer.accumulate(batch, truths)
                trainer.update()
                updates += 1

        expected = confidences()
        assert len(expected) > 0
        thread = threading.Thread(target=train)
        thread.start()
        try:
            answers = [confidences() for _ in range(30)]
        finally:
            enough.set()
            thread.join()
        assert updates >= 20
        assert all(np.array_equal(answer, expected) for answer in answers)
