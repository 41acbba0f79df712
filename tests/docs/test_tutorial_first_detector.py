# SPDX-License-Identifier: Apache-2.0
"""The commands of the first tutorial run, one after the other, in an empty folder."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from pydarknet.cli import cli

ROOT = Path(__file__).parents[2]


def test_four_commands_train_a_detector(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As in the text, but for a training of two iterations, which the checks would refuse."""
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "tutorial-first-detector.md").read_text()
    commands = [shlex.split(line) for line in re.findall(r"^\$ (.*)$", page, re.MULTILINE)]
    assert [words[1] for words in commands] == ["tools/shapes.py", "data", "cfg", "check", "train", "detect"]
    for program, *words in commands:
        if program == "python":
            subprocess.run([sys.executable, ROOT / words[0], *words[1:]], check=True, capture_output=True)
            continue
        if words[0] == "train":
            words[words.index("--max-batches") + 1] = "2"
            words.append("--force")
        result = CliRunner().invoke(cli, words, catch_exceptions=False, standalone_mode=False)
        assert result.return_value in (0, None), (words, result.output)
        if words[0] == "train":  # too short for an evaluation, and so for a best
            final = tmp_path / "runs/shapes/weights/shapes_final.weights"
            final.with_name("shapes_best.weights").write_bytes(final.read_bytes())
    assert (tmp_path / "found").is_dir()
