# SPDX-License-Identifier: Apache-2.0
"""Benchmarks run in the root of a checkout, whose package has no compiled module after a normal install."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import pydarknet

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
WHERE = "import pydarknet; print(pydarknet.__file__)"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder with a package that cannot be imported."""
    (tmp_path / "pydarknet").mkdir()
    (tmp_path / "pydarknet/__init__.py").write_text("raise ImportError('the sources')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(BENCHMARKS)


@pytest.mark.usefixtures("checkout")
def test_children_do_not_import_the_working_folder() -> None:
    from peers import run_elsewhere

    command = [sys.executable, "-c", WHERE]
    plain = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "ImportError: the sources" in plain.stderr
    assert run_elsewhere(command, capture_output=True).stdout.strip() == pydarknet.__file__


@pytest.mark.usefixtures("checkout")
def test_the_smallest_case() -> None:
    """One network, both tasks, both precisions, each in a child of its own."""
    command = [sys.executable, BENCHMARKS / "memory.py", "yolov3-tiny", "--size", "32", "--mini-batch", "1"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [line.split() for line in run.stdout.splitlines()[1:]]
    tasks = [("detect", "fp32"), ("train", "fp32"), ("detect", "bf16"), ("train", "bf16")]
    assert [(name, *task) for name, *task, _, _, _ in rows] == [("yolov3-tiny", *task) for task in tasks]
    assert all(float(row[-2]) > 10 for row in rows)
