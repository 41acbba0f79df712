# SPDX-License-Identifier: Apache-2.0
"""Processes of benchmarks: those of pydarknet, and environments of the peers that it is compared with."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def run_elsewhere(command: Iterable[str | Path], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command in a temporary folder; raise CalledProcessError if it fails.

    ``python -m`` and ``python -c`` import from the working folder first: in the root of a checkout, the
    package without its compiled module.

    Args:
        command: program and arguments; paths must be absolute.
        options: of :func:`subprocess.run`.
    """
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run(list(map(str, command)), cwd=folder, check=True, text=True, **options)


def peer_python(envs: Path, peer: str, *packages: str) -> Path:
    """The peer's interpreter; its environment is made below ``envs`` if it is missing."""
    python = envs / peer / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(envs / peer)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", "numpy", *packages], check=True)
    return python
