# SPDX-License-Identifier: Apache-2.0
"""The thread of the network: its end, whenever it comes."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from served import wait

from pydarknet import Network
from pydarknet.serving.batcher import Batcher
from pydarknet.serving.limits import Refused
from pydarknet.serving.service import Settings


def test_an_end_during_loading_compiles_no_more_plans(settings: Settings) -> None:
    compiled: list[int] = []
    began, go = threading.Event(), threading.Event()

    def detect(images: list[Any], thresh: float) -> list[Any]:
        compiled.append(len(images))
        began.set()
        assert go.wait(20)
        return []

    def load() -> tuple[Network, Any]:
        return settings.load(), detect

    ready: list[object] = []
    batcher = Batcher(load, [1, 2, 4, 8], ready.append, lambda *_: None)
    batcher.start()
    assert began.wait(20)
    closing = threading.Thread(target=batcher.close)
    closing.start()
    wait(lambda: batcher._closed)
    go.set()
    closing.join()
    assert compiled == [1]
    assert ready == []


def test_an_error_that_ends_the_thread_is_reported(settings: Settings) -> None:
    """Whoever waits is refused, and so is who comes later."""
    reported: list[BaseException | None] = []
    go = threading.Event()

    def ready(error: BaseException | None) -> None:
        reported.append(error)
        if error is None:
            assert go.wait(20)
            raise ZeroDivisionError

    batcher = Batcher(lambda: (settings.load(), lambda images, _: images), [1], ready, lambda *_: None)
    batcher.start()
    waiting = batcher.submit(lambda: np.zeros((4, 4, 1), np.uint8), 0.5)
    go.set()
    with pytest.raises(Refused, match="stopping"):
        waiting.result(20)
    wait(lambda: len(reported) == 2)
    assert isinstance(reported[1], ZeroDivisionError)
    with pytest.raises(Refused, match="stopping"):
        batcher.submit(lambda: np.zeros((4, 4, 1), np.uint8), 0.5)
    batcher.close()
