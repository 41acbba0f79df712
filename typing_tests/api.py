# SPDX-License-Identifier: Apache-2.0
"""What type checkers must accept, and infer, of the public API; checked by mypy --strict, never run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from typing_extensions import assert_type

from pydarknet.engine.detections import Detections
from pydarknet.engine.network import Network


def detect(network: Network, image: npt.NDArray[np.uint8]) -> None:
    assert_type(network.detect(image), Detections)
    assert_type(network.detect(Path("dog.jpg"), thresh=0.5, nms=0.4, letterbox=True), Detections)
    assert_type(network.detect("dog.jpg"), Detections)
    assert_type(network.detect(b"..."), Detections)
    assert_type(network.detect([image, "dog.jpg"]), list[Detections])
    assert_type(network.detect(("a.jpg", "b.jpg")), list[Detections])


def predict(network: Network, x: npt.NDArray[np.float32]) -> None:
    assert_type(network.predict(x), dict[int, npt.NDArray[np.float32]])
    assert_type(network.predict(x, layers=[3, 7])[3], npt.NDArray[np.float32])


def detections(dets: Detections, image: npt.NDArray[np.uint8]) -> None:
    assert_type(dets.xyxy, npt.NDArray[np.float32])
    assert_type(dets[dets.confidence > 0.5], Detections)
    assert_type(dets[0], Detections)
    assert_type(dets.plot(image), npt.NDArray[np.uint8])
    assert_type(dets.to_json(), str)
    assert_type(len(dets), int)


def network() -> None:
    with Network("a.cfg", Path("a.weights"), names=["cat"], batch=4, threads=None) as net:
        assert_type(net, Network)
        assert_type(net.clone(), Network)
        assert_type(net.names, tuple[str, ...])
        assert_type(net.batch, int)
    Network("a.cfg", backend=3)  # type: ignore[arg-type]
    net.detect(3)  # type: ignore[call-overload]
