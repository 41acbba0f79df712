# SPDX-License-Identifier: Apache-2.0
"""Calls of hooks when one of them fails."""

from __future__ import annotations

from pathlib import Path

import pytest
import shapes

from pydarknet import TrainConfig
from pydarknet.errors import HookError
from pydarknet.training import Hook, train
from pydarknet.training.loop import TrainingLoop


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    data, cfg = shapes.data_set(tmp_path / "ds"), shapes.cfg(tmp_path, 4)
    return TrainConfig(cfg, data, out=tmp_path / "run", threads=1, force=True, plots=False)


def test_a_start_that_fails_ends_the_hooks_before_it(config: TrainConfig) -> None:
    seen: list[str] = []

    class Witness(Hook):
        def __init__(self, name: str) -> None:
            self._name = name

        def start(self, training: TrainingLoop) -> None:
            seen.append(f"start {self._name}")
            if self._name == "b":
                raise ZeroDivisionError

        def end(self, training: TrainingLoop, reason: str) -> None:
            seen.append(f"end {self._name} {reason}")

    with pytest.raises(HookError, match="failed in start: ZeroDivisionError"):
        train(config, [Witness("a"), Witness("b"), Witness("c")])
    assert seen == ["start a", "start b", "end a failed"]
