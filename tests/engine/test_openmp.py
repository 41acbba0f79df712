# SPDX-License-Identifier: Apache-2.0
"""How the engine's threads wait: reported by the OpenMP runtime itself."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pydarknet.engine._core import build_info

NAMES = "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"
LOAD = f"import os, pydarknet.engine._core; print(*[os.environ.get(name) for name in {NAMES}])"


def _loaded(**environment: str) -> tuple[str, str]:
    """The variables after the engine was loaded, and what GNU's runtime reports."""
    if not build_info()["openmp"]:
        pytest.skip("this build of the engine has no threads of OpenMP")
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "KMP_"))
    }
    done = subprocess.run(
        [sys.executable, "-c", LOAD],
        env=clean | {"OMP_DISPLAY_ENV": "verbose"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    if "GOMP_SPINCOUNT" not in done.stderr:
        pytest.skip("the compiler's OpenMP runtime does not report how its threads wait")
    return done.stdout.strip(), done.stderr


def test_waiting_threads_sleep_soon() -> None:
    """Threads that spin for long would take cores of other processes; children inherit nothing."""
    variables, report = _loaded()
    spins = int(report.split("GOMP_SPINCOUNT = '")[1].split("'")[0])
    assert 0 < spins <= 10_000
    assert variables == "None None None"


def test_the_users_choice_stays() -> None:
    variables, report = _loaded(OMP_WAIT_POLICY="active")
    assert "OMP_WAIT_POLICY = 'ACTIVE'" in report
    assert variables == "active None None"
    variables, report = _loaded(GOMP_SPINCOUNT="1234")
    assert "GOMP_SPINCOUNT = '1234'" in report
    assert variables == "None 1234 None"
    variables, report = _loaded(OMP_WAIT_POLICY="passive")
    assert "GOMP_SPINCOUNT = '0'" in report
