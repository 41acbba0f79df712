# SPDX-License-Identifier: Apache-2.0
"""``--device`` of every command that computes: it is there, and a device that is not is one clear line."""

from __future__ import annotations

import shutil
from pathlib import Path

import click
import pytest
from helpers import run

from pydarknet.cli import cli
from pydarknet.engine import _core

#: The commands that have the option, and what each needs before the device matters.
COMMANDS = {
    "bench": "net.cfg net.weights --seconds 0",
    "cfg memory": "net.cfg",
    "check": "net.cfg",
    "demo": "--out new-demo",
    "detect": "--cfg net.cfg --weights net.weights a.png",
    "eval": "--cfg net.cfg --weights net.weights --data data.yaml",
    "export onnx": "net.cfg net.weights",
    "sagemaker serve": "--ml-root ml",
    "serve": "net.cfg net.weights --http 0",
    "train": "--cfg net.cfg --data d/obj.data --out new-run",
}
#: Commands of Darknet, which name the device with -i or -gpus.
DARKNET = ("demo", "map", "recall", "test", "train", "valid")

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True, scope="module")
def _model(folder: Path) -> None:
    """The model of `sagemaker serve`."""
    (folder / "ml/model").mkdir(parents=True)
    for name in ("net.cfg", "net.weights"):
        shutil.copy(folder / name, folder / "ml/model")


def commands(group: click.Group, prefix: str = "") -> dict[str, list[str]]:
    """The options of every command by its path."""
    found: dict[str, list[str]] = {}
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            found |= commands(command, f"{prefix}{name} ")
        else:
            found[f"{prefix}{name}"] = [word for one in command.params for word in one.opts]
    return found


def test_the_tables_are_complete() -> None:
    every = commands(cli)
    assert {name for name, options in every.items() if "--device" in options} == set(COMMANDS)
    backends = {name for name, options in every.items() if "--backend" in options}
    assert backends < set(COMMANDS)
    flagged = {name for name, options in every.items() if "-gpus" in options}
    assert flagged == {f"detector {name}" for name in DARKNET}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_device_that_is_not_there(
    command: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """No machine has GPU 99; most have none at all, and the line says why."""
    expected = 2 if command == "check" else 1  # its 0 and 1 are findings
    words = [*command.split(), *COMMANDS[command].split()]
    assert run(monkeypatch, *words, "--device", "cuda:99") == expected
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1, err
    assert err.startswith("error: ")
    assert '"cuda:99"' in err
    assert not Path("new-demo").exists()
    assert not Path("new-run").exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_word_that_is_no_device(
    command: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    words = [*command.split(), *COMMANDS[command].split()]
    assert run(monkeypatch, *words, "--device", "gpu") == 2
    assert "found device 'gpu', expected auto, cpu, cuda or cuda:N" in capsys.readouterr().err


@pytest.mark.parametrize("name", DARKNET)
def test_darknets_flags_name_the_device_too(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    words = ("detector", name, "gone.data", "net.cfg", "net.weights", "-i", "99")
    assert run(monkeypatch, *words) == 1
    note, error = capsys.readouterr().err.splitlines()
    assert note.startswith("note: -i 99: ")
    assert note.endswith("; computing on the CPU")
    assert "gone.data" in error


def test_bench_prints_where_it_computed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    words = ("bench", "net.cfg", "--seconds", 0, "--device", "cpu")
    assert run(monkeypatch, *words) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith("computing on cpu (" if "cpu" in _core.backend_names() else "computing on ref")
