# SPDX-License-Identifier: Apache-2.0
"""The page on cfg files is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pydarknet.cfg import FAMILIES, new, parse, walk
from pydarknet.cfg.edit import retune
from pydarknet.cfg.generate import AUGMENT

PAGE = (Path(__file__).parents[2] / "docs" / "cfg.md").read_text("utf-8")


def test_the_python_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, object] = {}
    for block in blocks:
        exec(block, names)
    assert (tmp_path / "yolov4-tiny.cfg").exists()
    assert names["nodes"][0].dst == (608, 416, 8)  # type: ignore[index]
    assert len(blocks) == 2


def test_the_table_of_models_is_right() -> None:
    for name, family in FAMILIES.items():
        nodes = walk(new(name))
        file = family.pretrained[0] if family.pretrained else ""
        row = f"| {name} | {family.size} | {len(nodes)} | {nodes.floats:,} | {nodes.bflops:.3f} | {file} |"
        assert row in PAGE


def test_the_table_of_augmentation_is_right() -> None:
    for row in re.findall(r"^\| (`.*)\|$", PAGE.partition("### Augmentation")[2], re.MULTILINE):
        names, *cells = (cell.strip() for cell in row.split("|"))
        for key in re.findall(r"`(\w+)`", names):
            values = [{**level["net"], **level["yolo"]}[key] for level in AUGMENT.values()]
            assert [float(cell) for cell in cells] == values, key


def test_the_retune_example_is_right() -> None:
    old = parse("[net]\nbatch=24\nsubdivisions=8\nlearning_rate=0.001\nmax_batches=4000\nsteps=3000,3600\n")
    net = retune(old, batch=64, max_batches=6000).net
    for key in ("subdivisions", "learning_rate", "steps"):
        assert f"{key}: {old.net.get(key)} → {net.get(key)}" in PAGE
