# SPDX-License-Identifier: Apache-2.0
"""Small things that several test files need."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from pydarknet import Detections
from pydarknet.cli import main
from pydarknet.engine import selftest


def npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz file, which is closed again."""
    with np.load(path) as arrays:
        return dict(arrays)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """The exit code of a ``pydarknet`` command line."""
    monkeypatch.setattr("sys.argv", ["pydarknet", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    assert isinstance(end.value.code, int)
    return end.value.code


def is_the_object(dets: Detections) -> bool:
    """Detections in the self-test's image according to the self-test's arithmetic."""
    return (
        len(dets) == 1
        and bool(np.allclose(dets.xyxy, [[2, 2, 4, 4]], atol=1e-4))
        and math.isclose(dets.confidence[0], selftest._CONFIDENCE, rel_tol=1e-4)
    )
