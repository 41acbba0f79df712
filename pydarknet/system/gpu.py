# SPDX-License-Identifier: Apache-2.0
"""NVIDIA GPUs of the machine, as ``nvidia-smi`` lists them."""

from __future__ import annotations

import contextlib
import shutil
import subprocess


def gpu_names() -> list[str]:
    """Name and memory of each NVIDIA GPU, e.g. ``"NVIDIA A100-SXM4-40GB, 40960 MiB"``."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    command = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        run = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        return [line.strip() for line in run.stdout.splitlines() if line.strip()]
    return []
