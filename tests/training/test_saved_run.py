# SPDX-License-Identifier: Apache-2.0
"""Runs that an earlier version saved are resumed with equal bits (see ``fixtures/saved_run/record.py``)."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pydarknet
from pydarknet.training import checkpoint

SAVED = Path(__file__).parents[1] / "fixtures/saved_run"
ROOT = Path(pydarknet.__file__).parents[1]

# glibc chooses variants of expf, pow and others by processor; those with FMA round differently.  The choice
# is made when a process starts, so recording and test exclude them, the test in a child process.
PLAIN_LIBM = {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4"}


@pytest.fixture(params=["sgd", "adam"])
def saved(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a saved run and its data set, the recorded paths replaced by those of the copy."""
    for name in ("ds", request.param):
        shutil.copytree(SAVED / name, tmp_path / name)
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.suffix not in (".png", ".state", ".weights"):
            path.write_text(path.read_text().replace("@PLACE@", str(tmp_path)))
    return tmp_path / request.param


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64") or sys.platform != "linux",
    reason="the expected bits are those of x86-64 Linux: elsewhere compilers use FMA, and libm differs",
)
def test_a_run_of_an_earlier_version_continues_with_equal_bits(saved: Path) -> None:
    """Weights, momentum, averages and counters at iteration 8 equal those that the older version reached."""
    subprocess.run(
        [sys.executable, "-m", "pydarknet", "train", "--resume", saved / "run", "--quiet"],
        check=True,
        env={**os.environ, **PLAIN_LIBM, "PYTHONPATH": str(ROOT)},
    )
    found = checkpoint.load(saved / "run/weights/tiny_last.state")
    expected = checkpoint.load(saved / "expected.state")
    assert (found.trainer["iteration"], found.trainer["seen"]) == (8, 32)
    arrays = found.trainer["arrays"]
    assert arrays.keys() == expected.trainer["arrays"].keys()
    for name, values in expected.trainer["arrays"].items():
        np.testing.assert_array_equal(arrays[name].view(np.uint32), values.view(np.uint32), err_msg=name)
    assert found.meta == expected.meta
