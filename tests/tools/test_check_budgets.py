# SPDX-License-Identifier: Apache-2.0
"""tools/check_budgets.py catches long files and details of a backend outside its folder, by every suffix."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools"


def check(folder: Path, name: str, text: str) -> list[str]:
    """Findings for a repository with one tracked file."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    for command in (["init", "-q"], ["add", "."]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    run = subprocess.run(
        [sys.executable, TOOLS / "check_budgets.py"], cwd=folder, capture_output=True, text=True, check=False
    )
    found = run.stdout.split()
    assert (run.returncode, run.stderr) == (1 if found else 0, "")
    return run.stdout.splitlines() if found else []


@pytest.mark.parametrize("suffix", ["py", "h", "cpp", "hpp", "cu", "cuh"])
def test_a_file_has_at_most_450_lines(tmp_path: Path, suffix: str) -> None:
    assert check(tmp_path, f"a.{suffix}", "\n" * 450) == []
    assert check(tmp_path, f"a.{suffix}", "\n" * 451) == [f"a.{suffix}: 451 lines, at most 450; split it"]


@pytest.mark.parametrize("line", ["#include <dnnl.hpp>", "#ifdef DN_HAVE_ONEDNN", "#include <omp.h>"])
def test_details_of_a_backend_stay_in_its_folder(tmp_path: Path, line: str) -> None:
    assert check(tmp_path, "darknet/src/backends/cpu/plan.cpp", f"\n{line}\n") == []
    assert check(tmp_path, "darknet/src/graph.cpp", f"\n{line}\n") == [
        "darknet/src/graph.cpp:2: a backend's detail outside darknet/src/backends"
    ]
