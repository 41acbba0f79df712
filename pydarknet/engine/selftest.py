# SPDX-License-Identifier: Apache-2.0
"""A network small enough to compute by hand, run through every backend: does this installation compute right?

The arithmetic, for a 4 × 4 image of the values 0, 1/15, ..., 15/15 (grey levels 0, 17, ..., 255):

* a 3 × 3 convolution of ones sums each neighbourhood, zero outside; batch-norm with mean 2, scale 2, bias -1
  and variance 1 - 1e-5 (so that the root is 1) makes 2 s - 5 of a sum s;
* the 2 × 2 maxima are at the sums 45, 54, 81 and 90 fifteenths: 1, 2.2, 5.8 and 7;
* a 1 × 1 convolution passes them on as objectness (less 6) and class score, the box entries being 0;
* the yolo head applies the logistic function. Over the threshold 0.5 is one cell, the last; its box is the
  anchor, 2 × 2 pixels, in the middle of that cell: corners (2, 2) and (4, 4).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

CFG = """
[net]
width=4
height=4
channels=1

[convolutional]
batch_normalize=1
filters=1
size=3
stride=1
pad=1
activation=leaky

[maxpool]
size=2
stride=2

[convolutional]
filters=6
size=1
activation=linear

[yolo]
mask=0
anchors=2,2
classes=1
num=1
"""

_PARAMETERS = [
    [-1.0, 2.0, 2.0, 1 - 1e-5, *[1.0] * 9],  # bias, scale, mean, variance, weights
    [0.0, 0.0, 0.0, 0.0, -6.0, 0.0, *[0.0] * 4, 1.0, 1.0],  # biases, weights
]
_POOLED = [1.0, 2.2, 5.8, 7.0]
_HEAD = [
    *[0.5] * 8,  # x, y: logistic of 0
    *[0.0] * 8,  # w, h: raw
    *[0.0066929, 0.0218813, 0.4501660, 0.7310586],  # logistic of -5, -3.8, -0.2, 1
    *[0.7310586, 0.9002495, 0.9969815, 0.9990889],  # logistic of 1, 2.2, 5.8, 7
]
_BOX = [2.0, 2.0, 4.0, 4.0]
_CONFIDENCE = 0.7310586 * 0.9990889


@dataclass(frozen=True)
class SelfTestResult:
    """One comparison: what was computed, whether it holds, and how far off it is."""

    name: str
    passed: bool
    detail: str


def run() -> list[SelfTestResult]:
    """Compute the network with every backend and on every GPU in fp32, and with ``auto``."""
    from pydarknet.engine import _core

    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "selftest.weights"
        floats = np.concatenate(_PARAMETERS).astype("<f4").tobytes()
        weights.write_bytes(np.array([0, 2, 5], "<i4").tobytes() + bytes(8) + floats)
        runs = [(backend, "fp32", 1e-5) for backend in _devices(_core.build_info())]
        runs.append(("auto", "auto", 0.02))
        return [_compare(str(weights), *settings) for settings in runs]


def not_run() -> dict[str, str]:
    """Backends and GPUs that cannot be used here, with the reasons."""
    from pydarknet.engine import _core

    build = _core.build_info()
    reasons = {one["name"]: one["reason"] for one in build["backends"] if not one["available"]}
    gpus = (build["cuda"] or {}).get("devices", ())
    return reasons | {f"cuda:{gpu['index']}": gpu["why_not"] for gpu in gpus if gpu["why_not"]}


def _devices(build: dict[str, Any]) -> Iterator[str]:
    """Names of the backends that are available, those on GPUs once for each GPU."""
    for backend in build["backends"]:
        if backend["name"] == "cuda":
            gpus = (build["cuda"] or {}).get("devices", ())
            yield from (f"cuda:{gpu['index']}" for gpu in gpus if not gpu["why_not"])
        elif backend["available"]:
            yield str(backend["name"])


def _compare(weights: str, backend: str, precision: str, tolerance: float) -> SelfTestResult:
    from pydarknet.engine.network import Network
    from pydarknet.errors import DarknetError

    name = f"{backend} {precision}"
    try:
        with Network.parse(
            CFG, weights, name="selftest.cfg", backend=backend, precision=precision
        ) as network:
            levels = np.arange(16, dtype=np.uint8).reshape(4, 4) * 17
            outputs = network.predict(levels[np.newaxis, np.newaxis] / np.float32(255), layers=[1, 3])
            found = network.detect(levels, thresh=0.5)
            chosen = "auto: " if backend == "auto" else ""
            name = f"{chosen}{network.info.backend} {network.info.precision}"
    except DarknetError as error:
        return SelfTestResult(name, False, str(error))
    if len(found) != 1:
        return SelfTestResult(name, False, f"found {len(found)} objects, expected 1")
    off = max(
        float(np.max(np.abs(outputs[1][0] - _POOLED) / np.max(_POOLED))),
        float(np.max(np.abs(outputs[3][0] - _HEAD))),
        float(np.max(np.abs(found.xyxy[0] - _BOX))),
        abs(float(found.confidence[0]) - _CONFIDENCE),
    )
    return SelfTestResult(name, off <= tolerance, f"off by {off:.1e} at most, allowed {tolerance:.0e}")
