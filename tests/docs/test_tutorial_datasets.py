# SPDX-License-Identifier: Apache-2.0
"""The tutorial prints what it says, and the commands and code of the reference page exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from pydarknet.cli import cli
from pydarknet.data import Dataset, Sample, advice, read, write

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)


def sessions(page: str) -> list[tuple[str, str]]:
    """(command, what it prints) of every command of a page."""
    found = []
    for block in BLOCK.findall((ROOT / "docs" / page).read_text()):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


def test_the_tutorial_prints_what_it_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    commands = sessions("tutorial-datasets.md")
    assert len(commands) == 7
    for command, expected in commands:
        words = shlex.split(command)
        if words[0] == "python":
            done = subprocess.run(
                [sys.executable, ROOT / words[1], *words[2:]], capture_output=True, check=True
            )
            assert done.stdout.decode() == expected
        else:
            assert words[0] == "pydarknet"
            result = CliRunner().invoke(cli, words[1:])
            assert result.stdout == expected, command
    assert (tmp_path / "ds-stats" / "labels.png").is_file()


def test_pictures_of_the_tutorial_are_there():
    pictures = re.findall(r"\]\((images/.*?)\)", (ROOT / "docs" / "tutorial-datasets.md").read_text())
    assert len(pictures) == 2
    for name in pictures:
        assert cv2.imread(str(ROOT / "docs" / name)).shape[0] > 200


@pytest.mark.parametrize("command", [c for c, _ in sessions("dataset-tools.md") if "pydarknet data" in c])
def test_options_of_the_reference_page_exist(command):
    words = shlex.split(command)
    shown = CliRunner().invoke(cli, [*words[1:3], "--help"]).output
    for option in re.findall(r"--[a-z-]+", command):
        assert option in shown


def test_python_of_the_reference_page_runs(tmp_path, monkeypatch):
    """The blocks of code, in order, on a folder of the names they use."""
    names = ("hammer", "screwdriver")
    samples = []
    for i in range(12):
        image = tmp_path / f"{i}.png"
        cv2.imwrite(str(image), np.zeros((9, 9, 3), np.uint8))
        n = 4 if i == 0 else 1
        samples.append(Sample(image, [(j, 0, j + 1, 1) for j in range(n)], [i % 2 if i else 1] * n))
    write(Dataset(samples, names), tmp_path / "ds")
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "dataset-tools.md").read_text()
    operations, adapters = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    scope: dict[str, object] = {}
    exec(operations, scope)
    assert len(read(tmp_path / "ds-balanced")) == 11  # without the first; 6 to 5 is a ratio of 1.2
    pytest.importorskip("supervision", reason="the second block needs the extra supervision")
    exec(adapters, scope)
    assert len(scope["dataset"]) == 12


def test_every_advice_is_explained():
    """The table of codes is complete."""
    source = Path(advice.__file__).read_text()
    used = set(re.findall(r'Advice\(\s*f?"([a-z-]+)', source)) - {"not-in-"} | {"not-in-train", "not-in-val"}
    page = (ROOT / "docs" / "dataset-tools.md").read_text()
    listed = {
        code
        for row in re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)
        for code in re.findall("`(.*?)`", row)
    }
    assert used <= listed
    assert len(used) == 14
