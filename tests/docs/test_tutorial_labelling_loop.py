# SPDX-License-Identifier: Apache-2.0
"""The commands of the tutorial of the labelling loop run, one after the other, in an empty folder."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from pydarknet import data
from pydarknet.cli import cli

ROOT = Path(__file__).parents[2]


def test_the_loop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As in the text, but for trainings of two iterations; the second set has the images of both exports."""
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "tutorial-labelling-loop.md").read_text()
    commands = [shlex.split(line) for line in re.findall(r"^\$ (.*)$", page, re.MULTILINE)]
    steps = "shapes.py convert convert cfg train shapes.py detect convert train"
    assert [words[1].rpartition("/")[2] for words in commands] == steps.split()
    for program, *arguments in commands:
        if program == "python":
            call = [sys.executable, str(ROOT / arguments[0]), *arguments[1:]]
            subprocess.run(call, check=True, capture_output=True)
            continue
        if arguments[0] == "train":
            arguments[arguments.index("--max-batches") + 1] = "2"
            arguments.append("--force")
        result = CliRunner().invoke(cli, arguments, catch_exceptions=False, standalone_mode=False)
        assert result.return_value in (0, None), (arguments, result.output)
        if arguments[0] == "train":  # too short for an evaluation, and so for a best
            weights = tmp_path / arguments[arguments.index("--out") + 1] / "weights"
            (weights / "shapes_best.weights").write_bytes((weights / "shapes_final.weights").read_bytes())
        if arguments[0] == "detect":  # the boxes are corrected in the tool
            assert len(data.read("tasks.json", images="new/img", predictions="yes")) == 8
            truth = data.read("new", names=("square", "disc", "triangle"))
            data.write(truth, "new/img/annotations.xml", "cvat", overwrite=True)
    first, new, both = (data.read(tmp_path / name) for name in ("export", "new/img/annotations.xml", "ds2"))
    assert (len(first), len(new), len(both)) == (40, 8, 48)
    assert both.box_count == first.box_count + new.box_count
