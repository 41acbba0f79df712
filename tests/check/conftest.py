# SPDX-License-Identifier: Apache-2.0
"""Small data sets and cases to check."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from datasets_on_disk import Images

from pydarknet.cfg import CfgFile, new


@pytest.fixture
def cfg() -> CfgFile:
    """A cfg without a fault: two classes, 416×416."""
    return new("yolov4-tiny", classes=2, size=416)


@pytest.fixture
def images(tmp_path: Path) -> Images:
    return Images(tmp_path / "ds")


@pytest.fixture
def weights_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a plausible weights file with so many values: small random ones first, then a hole of zeros."""

    def write(floats: int, seen: int = 0, name: str = "some.weights", extra: int = 0) -> Path:
        path = tmp_path / name
        rng = np.random.default_rng(1)
        start = rng.uniform(0.01, 0.2, min(floats, 50_000)).astype("<f4")
        with path.open("wb") as file:
            file.write(np.array([0, 2, 5], "<i4").tobytes() + np.array([seen], "<u8").tobytes())
            file.write(start.tobytes())
            file.truncate(20 + 4 * floats + extra)
        return path

    return write


@pytest.fixture(autouse=True)
def _enough_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Findings must not depend on the machine that the tests run on."""
    monkeypatch.setattr("pydarknet.check.rules_cfg.free_memory", lambda _: 2**50)
