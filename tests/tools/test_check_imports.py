# SPDX-License-Identifier: Apache-2.0
"""Each rule of tools/check_imports.py catches a violation planted in a copy of a module."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def check(folder: Path, module: str, code: str) -> list[str]:
    """Findings for one module of the package with code added at its end."""
    path = folder / "pydarknet" / module
    path.parent.mkdir(parents=True)
    path.write_text(f"{(ROOT / 'pydarknet' / module).read_text()}\n{code}\n")
    command = [sys.executable, ROOT / "tools/check_imports.py", folder]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = run.stdout.split("\n")[:-1]
    assert (run.returncode, run.stderr) == (1 if any(lines) else 0, "")
    return list(filter(None, lines))


@pytest.mark.parametrize(
    ("module", "code", "reason"),
    [
        ("engine/draw.py", "from pydarknet.data import Sample", "engine stands before data"),
        ("system/text.py", "import pydarknet.engine.images", "system stands before engine"),
        ("errors.py", "from pydarknet.system import text", "errors stands before system"),
        ("runs/rows.py", "def f():\n    from pydarknet.training import loop", "runs stands before training"),
        ("training/loop.py", "from pydarknet.contrib.mlflow import Mlflow", "only cli imports contrib"),
        ("data/io.py", "from pydarknet import Network", "a room imports modules"),
        ("compat/recall.py", "from pydarknet.engine import _ffi", "only engine/_core.py and"),
        ("engine/images.py", "import cffi", "only engine/_core.py and"),
        ("data/view.py", "from matplotlib.figure import Figure", "only plots.py and system/figure_files.py"),
        ("streaming/sources.py", "import mss", "only contrib/*.py import mss"),
        ("contrib/frames.py", "def f(path, image):\n    cv2.imwrite(path, image)", "cv2.imwrite"),
        ("data/view.py", "cv2.putText(image, text, (0, 0), 0, 1, 0)", "cv2.putText crashes"),
        ("streaming/stream.py", "cv2.VideoCapture(name)", "cv2.VideoCapture crashes"),
    ],
)
def test_a_violation_is_caught(tmp_path: Path, module: str, code: str, reason: str) -> None:
    """It is reported with its line, and nothing else is."""
    line = len((ROOT / "pydarknet" / module).read_text().splitlines()) + 2 + code.count("\n")
    found = check(tmp_path, module, code)
    assert len(found) == 1
    assert found[0].startswith(f"pydarknet/{module}:{line}: ")
    assert reason in found[0]


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("engine/draw.py", "if TYPE_CHECKING:\n    from pydarknet.data import Sample"),
        ("data/io.py", "from pydarknet import __version__"),
        ("cli/info.py", "from pydarknet.contrib import frames"),
        ("training/plots.py", "from matplotlib import figure"),
        ("contrib/frames.py", "import pandas"),
    ],
)
def test_what_is_allowed(tmp_path: Path, module: str, code: str) -> None:
    assert check(tmp_path, module, code) == []
