# SPDX-License-Identifier: Apache-2.0
"""The notebooks of the documentation: every cell runs, and what it shows can be shown."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "notebooks"
#: A shorter training, with equal code.
SHORT = {"iterations = 200": "iterations = 4", "map_every=50": "map_every=4, plots=False"}


def run_cells(path: Path) -> list[object]:
    """Run a notebook as Jupyter does; the value of each code cell that ends in an expression."""
    book = json.loads(path.read_text("utf-8"))
    names: dict[str, object] = {}
    shown = []
    for cell in book["cells"]:
        if cell["cell_type"] != "code":
            continue
        assert cell["outputs"] == []  # results belong to a machine and a day
        source = "".join(cell["source"])
        for long, short in SHORT.items():
            source = source.replace(long, short)
        tree = ast.parse(source)
        ends = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, path.name, "exec"), names)
        value = None
        if isinstance(ends, ast.Expr):
            value = eval(compile(ast.Expression(ends.value), path.name, "eval"), names)
        if value is not None:
            shown.append(value)
    return shown


def types_of(shown: list[object]) -> list[str]:
    return [type(value).__name__ for value in shown]


@pytest.fixture(autouse=True)
def _in_a_new_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_train_and_detect(capsys: pytest.CaptureFixture[str]) -> None:
    shown = run_cells(FOLDER / "train-and-detect.ipynb")
    kinds = ["int", "Dataset", "CfgFile", "Outcome", "Network", "Evaluation", "Detections", "Image", "tuple"]
    assert types_of(shown) == kinds
    for value in shown[1:7]:
        assert value._repr_html_().startswith("<div><strong>")  # type: ignore[attr-defined]
    assert "finished at iteration 4" in shown[3]._repr_html_()  # type: ignore[attr-defined]
    assert "4/4" not in capsys.readouterr().out  # no bar where there is neither a terminal nor a notebook


def test_look_at_a_network() -> None:
    shown = run_cells(FOLDER / "look-at-a-network.ipynb")
    assert types_of(shown) == ["list", "CfgFile", "Preflight", "Network", "list"]
    assert {"L-02", "L-06"} <= {finding.rule for finding in shown[2].findings}  # type: ignore[attr-defined]


def test_every_notebook_is_on_the_page() -> None:
    page = (FOLDER.parent / "notebooks.md").read_text("utf-8")
    assert all(path.name in page for path in FOLDER.glob("*.ipynb"))
