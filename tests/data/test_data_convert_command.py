# SPDX-License-Identifier: Apache-2.0
"""The command ``convert`` as a user sees it: summaries, exit codes, messages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from data_files import make_image, make_text

from pydarknet import data
from pydarknet.cli.convert import command
from pydarknet.errors import ArgumentError, DataError


def test_command(tools: Path, tmp_path: Path) -> None:
    """Good data: exit code 0, a summary, a data set."""
    arguments = [str(tools), "--out", str(tmp_path / "ds"), "--jobs", "1"]
    result = CliRunner().invoke(command, arguments, standalone_mode=False)
    assert result.return_value == 0
    assert "written: 40 images, 44 boxes, 3 classes" in result.output
    assert data.read(tmp_path / "ds").names == ("hammer", "drill", "saw")


def test_command_json_and_exit_code(tools: Path, tmp_path: Path) -> None:
    """Records lost to errors make the exit code 1; --json is JSON and nothing else."""
    make_text(tools / "3.txt", "7 0.5 0.5 0.1 0.1\n")
    arguments = [str(tools), "--out", str(tmp_path / "ds"), "--jobs", "1", "--json"]
    result = CliRunner().invoke(command, arguments, standalone_mode=False)
    assert result.return_value == 1
    assert json.loads(result.stdout)["counts"] == {"class-range": 1, "emptied": 1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "boxes"], "expected KEY=VALUE"),
        (["--min-size", "tiny"], "must look like 5 or 5@416x416"),
        (["--classes", "a,a"], "duplicate class"),
        (["--merge", "=a"], "expected new=a,b,c"),
        (["--map", "a=b", "--map", "a=c"], "class 'a' is to become 'b' and 'c'"),
        (["--engine", "cloud"], "has no 'cloud'; expected one of local, ray"),
        (["--set-out", "paths=x"], "format 'darknet' has no option 'paths'"),
        (["--to", "via"], "format 'via' can only be read"),
    ],
)
def test_command_faults(tools: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    """Options that make no sense say so."""
    result = CliRunner().invoke(
        command, [str(tools), "--out", str(tmp_path / "ds"), "--jobs", "1", *arguments]
    )
    assert isinstance(result.exception, (ArgumentError, DataError))
    assert message in str(result.exception)


def test_command_lists_formats() -> None:
    """Every format with its options."""
    output = CliRunner().invoke(command, ["--formats"]).output
    assert "coco         read, write  COCO JSON" in output
    assert "--set uri_map=" in output


def test_crowdhuman_classes_option(tmp_path: Path) -> None:
    """``--classes head:hbox,person:fbox`` says which box is which class."""
    make_image(tmp_path / "Images/x.jpg", 640, 480)
    person = {"tag": "person", "fbox": [1, 2, 30, 40], "vbox": [1, 2, 30, 30], "hbox": [5, 5, 15, 5]}
    file = make_text(tmp_path / "a.odgt", json.dumps({"ID": "x", "gtboxes": [person]}))
    out = tmp_path / "ds"
    CliRunner().invoke(command, [str(file), "--out", str(out), "--jobs", "1", "--classes", "visible:vbox"])
    assert (out / "obj.names").read_text() == "visible\n"
