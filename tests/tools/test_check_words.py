# SPDX-License-Identifier: Apache-2.0
"""tools/check_words.py catches words planted in text, and only there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def check(path: Path, text: str) -> list[str]:
    """Findings for a file of this text, without its path."""
    path.write_text(text)
    command = [sys.executable, ROOT / "tools/check_words.py", path.parent]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in run.stdout.split("\n") if line]
    assert (run.returncode, run.stderr) == (1 if lines else 0, "")
    return [line.removeprefix(f"{path}:") for line in lines]


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("a.md", "One.\nA film of a street.\n", "2: 'film': use video"),
        ("a.md", "It goes\n  on.\n", "1: 'goes\\n  on': use continue, resume"),
        ("a.py", '"""What it does."""\n', '1: \'"""What \': use a noun or a verb'),
        ("a.py", 'x = 1\ny = f"{x} is no number"\n', "2: 'is no': use is not a"),
        ("a.py", "x = 1  # nobody reads it\n", "1: 'nobody': use the actor, or the passive"),
        ("a.hpp", "int x;  // told by the caller\n", "1: 'told': use report, state, explain"),
        ("a.cpp", 'int x;\nfail("Pictures");\n', "2: 'Pictures': use image"),
        ("a.js", "/* one\ntwo anew */\n", "2: 'anew': use again, from scratch"),
    ],
)
def test_a_planted_word_is_caught(tmp_path: Path, name: str, text: str, found: str) -> None:
    assert check(tmp_path / name, text) == [found]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.py", 'picture = f"{picture}"\nstream.tell()\n'),
        ("a.py", '"""There is no file; it is no longer used."""\n'),
        ("a.md", "`pictures` becomes `--no-pictures`; see `tests/film/a.mp4`, as we recommend.\n"),
        ("a.cpp", "int told(int mend);\n"),
    ],
)
def test_names_options_and_paths_do_not_count(tmp_path: Path, name: str, text: str) -> None:
    assert check(tmp_path / name, text) == []
