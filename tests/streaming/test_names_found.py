# SPDX-License-Identifier: Apache-2.0
"""Class names by way of any file that leads to them, and those that lie beside a network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pydarknet.engine.names import names_beside, names_from
from pydarknet.errors import DataError


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.names", "dog\ncat\n"),
        ("x.data", "classes = 2\nnames = x.names\n"),
        ("data.yaml", "nc: 2\nnames: [dog, cat]\n"),
        ("data.yml", "names:\n  1: cat\n  0: dog\n"),
    ],
)
def test_files_that_lead_to_names(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "x.names").write_text("dog\ncat\n")
    (tmp_path / name).write_text(text)
    assert names_from(tmp_path / name) == ("dog", "cat")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.data", "classes = 2\n", r"x\.data: has no line 'names = FILE'"),
        ("x.yaml", "nc: 2\n", r"x\.yaml: has no 'names', a list or a mapping from 0"),
        ("x.yaml", "names: {1: a, 2: b}\n", r"x\.yaml: has no 'names'"),
        ("x.yaml", "names: [a\n", r"x\.yaml: is not a YAML mapping"),
        ("x.yaml", "just text\n", r"x\.yaml: is not a YAML mapping"),
        ("x.yaml", None, r"x\.yaml: cannot be read: No such file"),
    ],
)
def test_files_that_do_not(tmp_path: Path, name: str, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        names_from(tmp_path / name)


@pytest.mark.parametrize(
    "place",
    [
        "run/weights/net_best.names",
        "run/weights/net.names",
        "run/net.names",
        "run/weights/small.names",
        "cfg/small.names",
    ],
)
def test_names_beside_a_network(tmp_path: Path, place: str) -> None:
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_text("dog\ncat\n")
    found = names_beside(tmp_path / "cfg" / "small.cfg", tmp_path / "run" / "weights" / "net_best.weights")
    assert found == ("dog", "cat")


@pytest.mark.parametrize("place", ["run/weights/run.json", "run/run.json"])
def test_names_of_a_run_come_first(tmp_path: Path, place: str) -> None:
    (tmp_path / "run" / "weights").mkdir(parents=True)
    (tmp_path / "run" / "net.names").write_text("other\n")
    (tmp_path / place).write_text(json.dumps({"names": ["dog", "cat"]}))
    assert names_beside(tmp_path / "net.cfg", tmp_path / "run/weights/net_1000.weights") == ("dog", "cat")


@pytest.mark.parametrize("text", ["not json", "[1]", '{"names": 3}', "{}"])
def test_no_names(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    assert names_beside(tmp_path / "net.cfg", tmp_path / "net.weights") is None
