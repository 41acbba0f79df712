# SPDX-License-Identifier: Apache-2.0
"""What we generate runs, and gives the published networks' outputs with the same weights."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pydarknet import cfg
from pydarknet.cfg import FAMILIES, walk
from pydarknet.network import Network

REFERENCE = (
    "yolov4",
    "yolov4-tiny",
    "yolov4-tiny-3l",
    "yolov4-csp",
    "yolov3-spp",
    "yolov3-tiny",
    "yolov7-tiny",
)


@pytest.mark.parametrize("name", REFERENCE)
def test_generated_families_give_the_reference_outputs(shared: Path, tmp_path: Path, name: str) -> None:
    path, weights = tmp_path / f"{name}.cfg", tmp_path / f"{name}.weights"
    cfg.new(name, settings={"width": 192, "height": 128}).save(path)
    script = shared / "tools" / "random_weights.py"  # made the weights of the reference outputs
    subprocess.run([sys.executable, script, path, weights, "1"], check=True)
    image = np.random.default_rng(2).random((1, 3, 128, 192), np.float32)
    with Network(path, weights, precision="fp32") as network:
        outputs = network.predict(image)
    with np.load(shared / "fixtures" / "zoo" / f"{name}.npz") as expected:
        assert sorted(expected.files) == [f"layer_{index:03d}" for index in sorted(outputs)]
        for index, output in outputs.items():
            reference = expected[f"layer_{index:03d}"].ravel()
            assert np.abs(output.ravel() - reference).max() <= 1e-4 * np.abs(reference).max(), index


@pytest.mark.parametrize("name", FAMILIES)
def test_the_engine_counts_as_the_shape_walk_does(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.cfg"
    stride = FAMILIES[name].stride
    cfg.new(name, 3, (2 * stride, stride)).save(path)
    nodes = walk(cfg.parse(path))
    with Network(path) as network:
        layers = network.layers
    assert [layer.type for layer in layers] == [node.type for node in nodes]
    assert [layer.out_shape[::-1] for layer in layers] == [node.dst for node in nodes]
    assert [layer.parameters for layer in layers] == [node.floats for node in nodes]
    assert [layer.bflops for layer in layers] == pytest.approx([node.bflops for node in nodes])
