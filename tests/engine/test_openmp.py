# SPDX-License-Identifier: Apache-2.0
"""How the engine's threads wait: reported by the OpenMP runtime itself."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pydarknet.engine._core import build_info

LOAD = "import os, pydarknet.engine._core; print(os.environ.get('OMP_WAIT_POLICY'))"


def _loaded(**environment: str) -> tuple[str, str]:
    """The variable after the engine was loaded, and what GNU's runtime reports."""
    if not build_info()["openmp"]:
        pytest.skip("this build of the engine has no threads of OpenMP")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
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


def test_waiting_threads_sleep() -> None:
    """Threads that spin would take the cores of other threads and processes; children inherit nothing."""
    variable, report = _loaded()
    assert "GOMP_SPINCOUNT = '0'" in report
    assert variable == "None"


def test_the_users_choice_stays() -> None:
    variable, report = _loaded(OMP_WAIT_POLICY="active")
    assert "OMP_WAIT_POLICY = 'ACTIVE'" in report
    assert variable == "active"
    variable, report = _loaded(GOMP_SPINCOUNT="1234")
    assert "GOMP_SPINCOUNT = '1234'" in report
    assert variable == "None"
