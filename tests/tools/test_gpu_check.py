# SPDX-License-Identifier: Apache-2.0
"""tools/gpu_check.py: what it writes where there is no GPU, no time, or a stage that crashes."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import gpu_check  # noqa: E402
import gpu_stages  # noqa: E402


def summary(folder: Path) -> list[dict[str, object]]:
    return json.loads((folder / "summary.json").read_text())["stages"]


@pytest.fixture
def _no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that does not load stands first, so a GPU of this machine is not found."""
    (tmp_path / "libcuda.so.1").write_text("not a library")
    monkeypatch.setenv("PYDARKNET_CUDA_PATH", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def test_stages_exist() -> None:
    assert all(callable(getattr(gpu_stages.Check, name)) for name in gpu_check.STAGES)
    assert sum(gpu_check.STAGES.values()) >= 60 * gpu_check.MINUTES  # the total is bounded by --minutes


@pytest.mark.usefixtures("_no_gpu")
def test_without_a_gpu_each_stage_says_why(tmp_path: Path) -> None:
    command = [
        sys.executable,
        ROOT / "tools/gpu_check.py",
        "--out",
        tmp_path,
        "--only",
        "machine",
        "selftest",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert [one["outcome"] for one in summary(tmp_path)] == ["failed", "failed"]
    assert "NVIDIA driver" in str(summary(tmp_path)[0]["reason"])
    assert summary(tmp_path)[1]["reason"] == "no GPU was tested"
    machine = json.loads((tmp_path / "machine.json").read_text())
    assert machine["result"]["info"]["cuda"]["why_not"] == summary(tmp_path)[0]["reason"]


def test_no_stage_begins_when_the_time_is_over(tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "tools/gpu_check.py", "--out", tmp_path, "--minutes", "0"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1
    assert {one["outcome"] for one in summary(tmp_path)} == {"not run"}
    assert len(summary(tmp_path)) == len(gpu_check.STAGES)


def test_a_stage_that_crashes_or_hangs_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = Namespace(out=tmp_path, build=tmp_path, device="cuda", rehearse=False)
    script = tmp_path / "stage.py"
    monkeypatch.setattr(gpu_check, "__file__", str(script))
    script.write_text("raise SystemExit('the last line')")
    found = gpu_check.run_stage("machine", 60, options)
    assert (found["outcome"], found["reason"]) == ("failed", "the last line")
    script.write_text("import time; time.sleep(60)")
    found = gpu_check.run_stage("machine", 0.5, options)
    assert (found["outcome"], found["reason"]) == ("failed", "not done after 0 s")
