# SPDX-License-Identifier: Apache-2.0
"""Environments of the peers that benchmarks compare with."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def peer_python(envs: Path, peer: str, *packages: str) -> Path:
    """The peer's interpreter; its environment is made below ``envs`` when it is not there."""
    python = envs / peer / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(envs / peer)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", "numpy", *packages], check=True)
    return python
