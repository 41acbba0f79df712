# SPDX-License-Identifier: Apache-2.0
"""Servers of the self-test's network in a thread, and an image for them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from served import Serve, Served, start

from pydarknet import Network
from pydarknet.engine import selftest
from pydarknet.serving.limits import Limits
from pydarknet.serving.service import Settings


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Of a server of the self-test's network, in batches of four."""
    weights = tmp_path_factory.mktemp("served") / "tiny.weights"
    floats = np.concatenate(selftest._PARAMETERS).astype("<f4")
    weights.write_bytes(np.array([0, 2, 5, 0, 0], "<i4").tobytes() + floats.tobytes())

    def load() -> Network:
        return Network.parse(selftest.CFG, weights, name="tiny.cfg", precision="fp32", batch=4)

    return Settings(load=load, batch=4)


@pytest.fixture
def serve(settings: Settings) -> Iterator[Serve]:
    """Starts servers with other settings; ``limits`` changes single limits."""
    with contextlib.ExitStack() as stack:

        def other(*, limits: dict[str, Any] | None = None, **changes: Any) -> Served:
            more = {name: changes.pop(name) for name in ("token", "loading") if name in changes}
            return start(stack, replace(settings, limits=Limits(**(limits or {})), **changes), **more)

        yield other


@pytest.fixture(scope="session")
def _shared_server(settings: Settings) -> Iterator[Served]:
    with contextlib.ExitStack() as stack:
        yield start(stack, settings)


@pytest.fixture
def served(_shared_server: Served, png: bytes) -> Iterator[Served]:
    """A server with the default settings, shared by tests; each must leave it in a state to answer."""
    yield _shared_server
    assert len(_shared_server.detect(png).json()) == 2


@pytest.fixture(scope="session")
def png() -> bytes:
    """The self-test's image as a file."""
    levels = np.arange(16, dtype=np.uint8).reshape(4, 4) * 17
    data: bytes = cv2.imencode(".png", levels)[1].tobytes()
    return data


@pytest.fixture
def slowed(settings: Settings) -> Callable[[Callable[[int], object]], Callable[[], Network]]:
    """Loads networks that call a function with the number of images before each batch of a client."""

    def load_with(before: Callable[[int], object]) -> Callable[[], Any]:
        network = settings.load()
        warming = [1, 2, 4]
        turn = threading.Lock()

        class Slow:
            names, cfg, close = network.names, network.cfg, network.close
            batch = 4

            @property
            def info(self) -> Any:
                with turn:  # waits for a pass, as that of a network
                    return network.info

            def clone(self) -> Any:
                return self

            def detect(self, images: list[Any], thresh: float, nms: float, letterbox: bool | None) -> Any:
                with turn:
                    if not warming:
                        before(len(images))
                    del warming[:1]
                    return network.detect(images, thresh, nms, letterbox)

        return Slow

    return load_with
