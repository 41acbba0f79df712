# SPDX-License-Identifier: Apache-2.0
"""``pydarknet runs``: results side by side, and the settings that differ."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from made_run import append, make, row

from pydarknet.cli.runs import command
from pydarknet.errors import ArgumentError, DataError


def run(*arguments: object) -> str:
    words = [str(argument) for argument in arguments]
    return CliRunner().invoke(command, words, catch_exceptions=False).output


def made(folder: Path, rows: int, rate: float, ended: str = "") -> Path:
    """A run of these iterations, with mAP 0.8 · (1 − e^(−n/30)) at every tenth."""
    make(folder, rows, ended=ended)
    (folder / "train.log").unlink()
    cfg = folder / "pets.cfg"
    cfg.write_text(cfg.read_text().replace("batch=16", f"batch=16\nlearning_rate={rate}", 1))
    return folder


@pytest.fixture
def three(tmp_path: Path) -> Path:
    made(tmp_path / "a", 40, 0.001, "finished")
    made(tmp_path / "b", 60, 0.002, "early-stop")
    made(tmp_path / "c", 20, 0.001)
    (tmp_path / "notes").mkdir()
    return tmp_path


def test_a_line_for_each(three: Path) -> None:
    """Only the rate differs: it is the only setting shown, and what is not as in the first run is marked."""
    head, *lines = run(three).splitlines()
    names = head.split()
    assert names[:8] == ["run", "state", "iterations", "hours", "map50", "at", "map5095", "val_loss"]
    assert names[-1] == "learning_rate"
    cells = [line.split() for line in lines]
    assert [(c[0], c[1], c[2], c[-1]) for c in cells] == [
        ("a", "finished", "40", "0.001"),
        ("b", "early-stop", "60", "0.002*"),
        ("c", "lost", "20", "0.001"),
    ]
    assert [c[4:6] for c in cells] == [["0.5891", "40"], ["0.6917", "60"], ["0.3893", "20"]]
    assert cells[0][6] == "0.3682"


def test_against_another(three: Path) -> None:
    cells = [line.split()[-1] for line in run(three, "--against", "b").splitlines()[1:]]
    assert cells == ["0.001*", "0.002", "0.001*"]


@pytest.mark.parametrize(
    ("key", "order"), [("map50", "bac"), ("val_loss", "bac"), ("name", "abc"), ("state", "bac")]
)
def test_sorted(three: Path, key: str, order: str) -> None:
    """The largest mAP first, the smallest loss first, words by the alphabet."""
    assert [line[0] for line in run(three, "--sort", key).splitlines()[1:]] == list(order)


def test_two_beside_each_other(three: Path) -> None:
    lines = [line.split() for line in run(three / "a", three / "b").splitlines()]
    assert lines[0] == ["a", "b"]
    assert ["state", "finished", "early-stop"] in lines
    assert lines[-1] == ["learning_rate", "0.001", "0.002*"]


def test_json(three: Path) -> None:
    table = json.loads(run(three, "--json"))
    assert table["differing"] == ["learning_rate"]
    assert table["runs"][1]["results"]["map50"] == "0.6917"
    assert table["runs"][0]["settings"]["config.seed"] == "7"


def test_a_run_that_was_resumed_counts_once(three: Path) -> None:
    """Iterations 31 to 40 again, worse: what the lost ones measured does not count."""
    append(three / "a", *(row(n, session=1, map=0.1 if n == 40 else None) for n in range(31, 41)))
    assert run(three).splitlines()[1].split()[2:6] == ["40", "0.01", "0.5057", "30"]


def test_damaged_runs_are_shown_with_what_is_left(three: Path) -> None:
    (three / "a" / "results.jsonl").write_text("killed")
    (three / "a" / "run.json").write_text("{")
    (three / "a" / "pets.cfg").write_bytes(b"\xff\x00")
    assert run(three).splitlines()[1].split()[0] == "a"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["notes"], "found no runs"),
        (["nowhere"], "folder not found"),
        (["", "--sort", "speed"], r"found the column 'speed', expected name, state, iterations"),
        (["", "--against", "z"], "z: is not one of the runs: a, b, c"),
    ],
)
def test_errors(three: Path, words: list[str], message: str) -> None:
    with pytest.raises((DataError, ArgumentError), match=message):
        run(three / words[0], *words[1:])


def test_a_log_beside_runs_does_not_hide_them(three: Path) -> None:
    """``pydarknet train ... | tee runs/train.log`` leaves a log in the folder of the runs."""
    before = run(three)
    (three / "train.log").write_text("Training ended\n")
    assert run(three) == before


def test_paths_in_the_working_folder_are_short(three: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "ab":
        (three / name / "run.json").write_text(json.dumps({"config": {"data": f"{three}/ds/{name}.data"}}))
    monkeypatch.chdir(three)
    output = run("a", "b")
    assert "ds/b.data" in output
    assert str(three) not in output
