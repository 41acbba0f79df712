# SPDX-License-Identifier: Apache-2.0
"""tools/gpu_check.py: what it writes where there is no GPU, no time, or a stage that crashes."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import Namespace
from functools import partial
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import gpu_check  # noqa: E402
import gpu_counters  # noqa: E402
import gpu_stages  # noqa: E402

from pydarknet.errors import BackendError  # noqa: E402


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


#: What ncu prints of three launches of two kernels, behind the output of the program.
NCU = """==PROF== Connected to process 12
"ID","Process ID","Kernel Name","Stream","Metric Name","Metric Unit","Metric Value"
"0","12","dn_normalize_f16(dn::cuda::NormalizeArgs)","7","dram__bytes.sum","byte","1,000,000"
"0","12","dn_normalize_f16(dn::cuda::NormalizeArgs)","7","gpu__time_duration.sum","ns","2,000"
"1","12","sm90_xmma_fprop","7","dram__bytes.sum","byte","400,000"
"1","12","sm90_xmma_fprop","7","gpu__time_duration.sum","ns","9,000"
"2","12","dn_normalize_f16(dn::cuda::NormalizeArgs)","7","dram__bytes.sum","byte","3,000,000"
"2","12","dn_normalize_f16(dn::cuda::NormalizeArgs)","7","gpu__time_duration.sum","ns","2,000"
"""


def test_counters_of_the_slowest_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    measure = partial(gpu_counters.measure, "net.cfg", "cuda", 8, 20)
    with pytest.raises(BackendError, match="ncu is not installed"):
        measure()
    ncu = tmp_path / "ncu"

    def prints(text: str) -> None:
        ncu.write_text(f"#!/bin/sh\n[ $PYDARKNET_CUDA_GRAPHS = 0 ] && cat <<'END'\n{text}END\n")
        ncu.chmod(0o755)

    prints(NCU)
    first, second = measure()
    assert (first["name"], first["launches"], first["microseconds"]) == ("sm90_xmma_fprop", 1, 9)
    assert second["name"] == "dn_normalize_f16(dn::cuda::NormalizeArgs)"
    assert (second["launches"], second["megabytes"], second["gigabytes_per_second"]) == (2, 4, 1000)
    prints("==ERROR== ERR_NVGPUCTRPERM - The user does not have permission\n")
    with pytest.raises(BackendError, match="leaves them to administrators"):
        measure()
    prints("==ERROR== no kernel was profiled\n")
    with pytest.raises(BackendError, match="measured nothing: ==ERROR== no kernel was profiled"):
        measure()
