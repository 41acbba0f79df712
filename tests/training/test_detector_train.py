# SPDX-License-Identifier: Apache-2.0
"""`pydarknet detector train`: the command line as Darknet spells it."""

from __future__ import annotations

from pathlib import Path

import pytest
import shapes
from helpers import run


def test_darknets_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """`detector train` writes below `backup`, as the .data file sets; from its own weights it resumes."""
    data, cfg = shapes.data_set(tmp_path / "ds"), shapes.cfg(tmp_path, 6)
    data.write_text(f"{data.read_text()}backup = {tmp_path}/backup\nsaveweights = 2\nsavelast = 2\n")
    words = ["detector", "train", data, cfg, "-dont_show"]
    assert run(monkeypatch, *words) == 3
    assert run(monkeypatch, *words, "-map", "-force") == 0
    weights = tmp_path / "backup/weights"
    names = {path.name for path in weights.glob("*.weights")}
    assert names >= {"shapes_2.weights", "shapes_4.weights", "shapes_last.weights", "shapes_final.weights"}
    assert "shapes_best.weights" in names
    capsys.readouterr()
    assert run(monkeypatch, "detector", "train", data, cfg, weights / "shapes_last.weights", "-force") == 0
    assert "nothing to do: iteration 6 of 6" in capsys.readouterr().out
    assert run(monkeypatch, *words, "-mjpeg_port", 0) == 0
    assert "live page: http://127.0.0.1:" in capsys.readouterr().out
    assert run(monkeypatch, *words, "-chart", "x.png") == 2
    assert "chart.png" in capsys.readouterr().err
