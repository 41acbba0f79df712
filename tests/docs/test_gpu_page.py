# SPDX-License-Identifier: Apache-2.0
"""The page about GPUs names messages and packages that exist, and its notebook runs without a GPU."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/gpu.md").read_text("utf-8")


def test_every_message_of_the_table_is_one_of_the_program() -> None:
    python = [ROOT / f"pydarknet/{name}.py" for name in ("engine/devices", "training/placement")]
    files = [*ROOT.glob("darknet/src/backends/cuda/*.cpp"), *python]
    program = re.sub(r'"\s*\n\s*"', "", "".join(file.read_text("utf-8") for file in files))
    rows = re.findall(r"^\| (`.*?) \|", PAGE.partition("## Troubleshooting")[2], re.MULTILINE)
    messages = [message for row in rows for message in re.findall("`(.*?)`", row)]
    assert len(messages) >= 12
    for message in messages:
        longest = max(re.split(r"[\w.]*\d[\d.]*|'[^']*'", message), key=len)
        assert longest.strip() in program, message


def test_the_extras_are_those_of_the_project() -> None:
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    for extra in set(re.findall(r"\[(cuda\w*|gpu)\]", PAGE)):
        assert re.search(rf"^{extra} = \[", project, re.MULTILINE), extra
    assert '"nvidia-cudnn-cu12==9.10.2.21"' in project
    assert "cuDNN 9.10.2" in PAGE


def test_the_notebook_runs_on_a_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cell by cell, with a shorter training."""
    monkeypatch.chdir(tmp_path)
    book = json.loads((ROOT / "docs/notebooks/on-a-gpu.ipynb").read_text("utf-8"))
    names: dict[str, object] = {}
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []  # results belong to a machine and a day
            source = "".join(cell["source"]).replace("iterations = 200", "iterations = 4")
            exec(source.replace("map_every=50", "map_every=0, plots=False"), names)
    printed = capsys.readouterr().out
    assert "pass  ref fp32" in printed
    assert "finished None" in printed
    assert " ms an image" in printed
