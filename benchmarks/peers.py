# SPDX-License-Identifier: Apache-2.0
"""Processes of benchmarks: those of pydarknet, environments of its peers, limits of instruction sets."""

from __future__ import annotations

import os
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
    """The peer's interpreter; its environment is made below ``envs`` if it is missing.

    Args:
        envs: folder of all environments.
        peer: name of this one.
        packages: what pip installs beside NumPy; may begin with options of ``pip install``.
    """
    python = envs / peer / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(envs / peer)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", "numpy"], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *packages], check=True)
    return python


def limited_environment(isa: str, folder: Path) -> dict[str, str]:
    """The environment of processes that compute with an instruction set.

    Args:
        isa: ``native``, all that the processor has; or ``avx2``: no library that is loaded finds more.
        folder: where the library that hides them is built, by ``cc``.
    """
    if isa == "native":
        return dict(os.environ)
    library = folder / "hide_avx512.so"
    source = Path(__file__).with_name("hide_avx512.c")
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    return {**os.environ, "LD_PRELOAD": str(library)}
