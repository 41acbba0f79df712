# SPDX-License-Identifier: Apache-2.0
"""The forward pass against a reference Darknet's: every kind of layer, and whole published networks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers import npz

from pydarknet import Network

LAYERS = Path(__file__).parents[1] / "fixtures" / "layers"
TOPICS = sorted(path.stem for path in LAYERS.glob("*.cfg"))
ZOO = [
    "Gaussian_yolov3_BDD",
    "csresnext50-panet-spp",
    "enet-coco",
    "resnet152_trident",
    "yolov2",
    "yolov3-spp",
    "yolov3-tiny",
    "yolov4-csp",
    "yolov4-sam-mish-csp-reorg-bfm",
    "yolov4-tiny-3l",
    "yolov4-tiny",
    "yolov4-tiny_contrastive",
    "yolov4",
    "yolov7-tiny",
]


def assert_close(actual: np.ndarray, expected: np.ndarray, what: str) -> None:
    """max|a - b| <= 1e-4 max|b|, the bound of the reference files."""
    assert actual.shape == expected.shape, what
    off = np.max(np.abs(actual - expected)) / np.max(np.abs(expected))
    assert off <= 1e-4, f"{what}: off by {off:.2e} of the largest value"


def expected_outputs(name: str, network: Network) -> dict[int, np.ndarray]:
    data = npz(LAYERS / f"{name}.npz")
    outputs = {int(key[6:]): data[key] for key in data if key.startswith("layer_")}
    for layer in network.layers:
        output = outputs[layer.index]
        if output.shape[1] != layer.outputs:
            # Antialiasing: Darknet keeps the blurred batch, smaller by the stride, at the front of a buffer
            # made for the output before it.
            assert "antialiasing" in name
            outputs[layer.index] = output.ravel()[: len(output) * layer.outputs].reshape(len(output), -1)
    return outputs


@pytest.mark.parametrize("name", TOPICS)
def test_every_layer_equals_darknet(name: str, backend: str) -> None:
    data = npz(LAYERS / f"{name}.npz")
    cfg, weights = LAYERS / f"{name}.cfg", LAYERS / f"{name}.weights"
    with Network(cfg, weights, backend=backend, precision="fp32", batch=len(data["input"])) as network:
        expected = expected_outputs(name, network)
        assert sorted(expected) == [layer.index for layer in network.layers]
        # contrastive and cost have no output in inference
        wanted = [layer.index for layer in network.layers if layer.type not in ("contrastive", "cost")]
        outputs = network.predict(data["input"], wanted)
        for i in wanted:
            assert_close(outputs[i], expected[i], network.layers[i].where)


@pytest.mark.parametrize("name", TOPICS)
def test_final_outputs_alone_equal_darknet(name: str, backend: str) -> None:
    """Without the inner layers on request, the plan fuses and reuses memory; a batch of 1 goes one by one."""
    data = npz(LAYERS / f"{name}.npz")
    with Network(
        LAYERS / f"{name}.cfg", LAYERS / f"{name}.weights", backend=backend, precision="fp32"
    ) as network:
        expected = expected_outputs(name, network)
        for i, output in network.predict(data["input"]).items():
            assert_close(output, expected[i], network.layers[i].where)


@pytest.fixture(scope="module", params=ZOO)
def published(
    request: pytest.FixtureRequest, shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, Path]]:
    """A public network's cfg with random weights, one file at a time: they have up to 260 MB."""
    cfg = shared / "fixtures" / "zoo" / f"{request.param}.cfg"
    weights = tmp_path_factory.mktemp("zoo") / f"{request.param}.weights"
    subprocess.run([sys.executable, shared / "tools" / "random_weights.py", cfg, weights, "1"], check=True)
    yield cfg, weights
    weights.unlink()


@pytest.mark.slow
def test_published_network_equals_darknet(published: tuple[Path, Path], backend: str) -> None:
    cfg, weights = published
    expected = npz(cfg.with_suffix(".npz"))
    x = np.random.default_rng(2).random((1, 3, 128, 192), np.float32)
    with Network(cfg, weights, backend=backend, precision="fp32") as network:
        outputs = network.predict(x, [int(key[6:]) for key in expected])
        for i, output in outputs.items():
            assert_close(output[0], expected[f"layer_{i:03}"], network.layers[i].where)
