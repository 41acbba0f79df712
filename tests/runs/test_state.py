# SPDX-License-Identifier: Apache-2.0
"""The state of a run from its files, with any content."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_run import append, make, row

from pydarknet.runs.folder import RunFolder
from pydarknet.runs.html_report import write_report
from pydarknet.runs.state import RunState


@pytest.mark.parametrize(
    ("ended", "kind"),
    [
        ("finished", "done"),
        ("early-stop", "done"),
        ("signal", "stopped"),
        ("time-limit", "stopped"),
        ("non-finite", "failed"),
        ("", "lost"),
    ],
)
def test_status(tmp_path: Path, ended: str, kind: str) -> None:
    state = RunState(make(tmp_path / "run", ended=ended)).read()
    assert (state["kind"], state["reason"]) == (kind, ended or None)


def test_a_running_training(tmp_path: Path) -> None:
    """A living process holds the folder; the summary of a session before does not belong to it."""
    folder = make(tmp_path / "run")
    (folder / "summary.json").write_text(json.dumps({"stop_reason": "signal"}))
    with RunFolder(folder).locked():
        state = RunState(folder).read()
    assert (state["kind"], state["summary"]) == ("running", {})
    after = RunState(folder).read()
    assert (after["kind"], after["summary"]) == ("lost", {"stop_reason": "signal"})


def test_the_error_is_shown(tmp_path: Path) -> None:
    folder = make(tmp_path / "run", ended="non-finite")
    (folder / "crash.json").write_text(json.dumps({"error": "NonFinite: the loss is nan at layer 16"}))
    assert RunState(folder).read()["error"] == "NonFinite: the loss is nan at layer 16"


def test_numbers(tmp_path: Path) -> None:
    progress = RunState(make(tmp_path / "run", 45)).read()["progress"]
    assert (progress["iteration"], progress["max_batches"], progress["images"]) == (45, 100, 720)
    assert progress["hours"] == pytest.approx(45 * 0.8 / 3600)
    assert progress["best_iteration"] == 40
    assert progress["best_map"] == progress["last_map"]


def test_best_of_equals_is_the_later(tmp_path: Path) -> None:
    folder = make(tmp_path / "run", 10)
    append(folder, row(11, map=0.9), row(12, map=0.9), row(13, map=0.1))
    progress = RunState(folder).read()["progress"]
    assert (progress["best_map"], progress["best_iteration"], progress["last_map"]) == (0.9, 12, 0.1)


FILES = ("run.json", "evaluation.json", "preflight.json", "findings.jsonl", "results.jsonl", "summary.json")


def test_large_evaluations_are_shown_in_part(tmp_path: Path) -> None:
    """Otherwise 1000 classes are 10 MB at every read; the matrix is a plot then."""
    folder = make(tmp_path / "run")
    cv2.imwrite(str(folder / "confusion.png"), np.zeros((8, 8, 3), np.uint8))
    state = RunState(folder)
    for count, whole in ((6, True), (80, False)):
        names = [str(i) for i in range(count)]
        confusion = {"names": [*names, "background"], "counts": [[0] * (count + 1)] * (count + 1)}
        curves = {"f1": [0.5], "classes": [{"name": name, "f1": [0.5]} for name in names]}
        table = {"map50": 0.5, "confusion": confusion, "curves": curves}
        (folder / "evaluation.json").write_text(json.dumps(table))
        found = state.read()
        expected = table if whole else {"map50": 0.5, "curves": {"f1": [0.5], "classes": []}}
        assert found["evaluation"] == expected
        assert ("confusion.png" in {one["name"] for one in found["images"]}) is not whole


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"7", b"\xff\xfe\x00", b'{"sessions": 3}', b"null\n1\n", b'{"iteration": NaN}\n'],
)
def test_damaged_files_hide_only_themselves(tmp_path: Path, content: bytes) -> None:
    for name in FILES:
        folder = make(tmp_path / name)
        (folder / name).write_bytes(content)
        state = RunState(folder).read()
        assert state["log"].endswith("the last line of the log")
        assert json.loads(json.dumps(state, allow_nan=False)) == state
    for name in FILES:
        (folder / name).write_bytes(content)
    assert write_report(folder).is_file()


def test_names_that_are_no_unicode(tmp_path: Path) -> None:
    """Of the run and its images; OpenCV's own reader crashes on them."""
    folder = make(tmp_path / "run").rename(tmp_path / os.fsdecode(b"caf\xe9"))
    table = {"map50": 0.5, "worst": [{"path": os.fsdecode(b"/x/na\xefve.png")}]}
    (folder / "evaluation.json").write_text(json.dumps(table))
    text = write_report(folder, tmp_path / "report.html").read_text()
    assert "na\\udcefve.png" in text
    assert text.count('"data": "data:image/') == 3


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KNOWN = {"sessions": JSON, "config": JSON, "versions": JSON, "machine": JSON, "findings": JSON}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.fixed_dictionaries({}, optional=KNOWN), st.lists(JSON, max_size=3))
def test_any_json_is_accepted(tmp_path: Path, run: Any, lines: list[Any]) -> None:
    for name in ("run.json", "preflight.json", "evaluation.json", "summary.json"):
        (tmp_path / name).write_text(json.dumps(run))
    rows = [line if not isinstance(line, dict) else {"iteration": 1, "map": 1, **line} for line in lines]
    for name in ("results.jsonl", "findings.jsonl"):
        (tmp_path / name).write_text("".join(json.dumps(line) + "\n" for line in rows))
    json.dumps(RunState(tmp_path).read())


def test_the_log_is_read_from_its_end(tmp_path: Path) -> None:
    """A log of gigabytes costs no more than a short one."""
    folder = make(tmp_path / "run")
    with (folder / "train.log").open("wb") as file:
        file.truncate(10**9)
        file.seek(10**9)
        file.write(b"\nthe end\n")
    assert RunState(folder).read()["log"].splitlines()[-1] == "the end"
    os.truncate(folder / "train.log", 0)


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_a_run_of_an_earlier_version_is_shown(tmp_path: Path, kind: str) -> None:
    """Files that an earlier version wrote are read: status, rows, evaluations, findings, summary, weights."""
    folder = tmp_path / "run"
    shutil.copytree(Path(__file__).parents[1] / "fixtures/saved_run" / kind / "run", folder)
    rows = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    findings = [json.loads(line) for line in (folder / "findings.jsonl").read_text().splitlines()]
    state = RunState(folder).read()
    assert (state["kind"], state["reason"], state["progress"]["iteration"]) == ("stopped", "signal", 4)
    assert state["curves"]["loss"] == pytest.approx([row["loss"] for row in rows], rel=1e-4)
    assert [row["map"] for row in state["evaluations"]] == [
        row["map"] for row in rows if row["map"] is not None
    ]
    assert [row["rule"] for row in state["findings"]] == [row["rule"] for row in findings][::-1]
    assert [file["kind"] for file in state["summary"]["files"]] == ["last", "ema"]
    assert "tiny_last.weights" in write_report(folder).read_text()
