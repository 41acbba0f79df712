# SPDX-License-Identifier: Apache-2.0
"""Words of YOLOv5, Ultralytics and Darknet: what a user of them gets to read."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from pydarknet.cli import COMMANDS, cli
from pydarknet.cli._impl import hints

ROWS = [
    ("train", "--img", "Use --size."),
    ("train", "--imgsz", "Use --size."),
    ("train", "--img-size", "Use --size."),
    ("train", "--name", "Use --out."),
    ("train", "--project", "Use --out."),
    ("train", "--exist-ok", "The same command again resumes the run; --restart starts over."),
    ("train", "--gpus", "Use --device."),
    ("weights info", "--device", "This command does not compute a network."),
    ("train", "--save-period", "Use --save-every."),
    ("train", "--save_period", "Use --save-every."),
    ("train", "--lr0", "Use --lr."),
    ("train", "--learning-rate", "Use --lr."),
    ("train", "--hyp", "--set KEY=VALUE changes keys of the cfg"),
    ("train", "--model", "`pydarknet cfg new --model NAME` writes a cfg"),
    ("train", "--iterations", "Use --max-batches."),
    ("train", "--early-stop", "Use --patience."),
    ("train", "--optimizer", "SGD is the default; --set adam=1 chooses Adam"),
    ("train", "--noval", "Use --map-every."),
    ("train", "--single-cls", "Merge the classes of the data set: pydarknet data remap --merge NEW=A,B"),
    ("train", "--patiense", "Did you mean --patience?"),
    ("train", "--zzz", "--help lists the options."),
    ("detect", "--source", "The source is an argument without an option"),
    ("detect", "--line_thickness", "Use --line-width."),
    ("detect", "--conf", "Use --thresh."),
    ("detect", "--conf-thres", "Use --thresh."),
    ("detect", "-thresh", "Use --thresh."),
    ("detect", "--iou-thres", "Use --nms."),
    ("detect", "--img", "Use --size."),
    ("detect", "--imgsz", "Use --size."),
    ("detect", "--vid-stride", "Use --every."),
    ("detect", "--max-det", "All objects above --thresh are reported"),
    ("detect", "--view-img", "Use --show."),
    ("detect", "-i", "Use --device."),
    ("eval", "--batch-size", "Use --batch."),
]


@pytest.mark.parametrize(("command", "option", "hint"), ROWS)
def test_the_hint(command: str, option: str, hint: str) -> None:
    result = CliRunner().invoke(cli, [*command.split(), option, "0"])
    assert result.exit_code == 2
    assert f"No such option '{option.replace('_', '-')}'. {hint}" in result.output


def test_underscores_are_dashes() -> None:
    result = CliRunner().invoke(
        cli, ["train", "--max_batches=4", "--set", "resize_step=32", "--val_fraction", "2"]
    )
    assert "Missing option '--cfg'" in result.output


def test_a_missing_network_names_the_command_that_writes_one() -> None:
    result = CliRunner().invoke(cli, ["train", "--data", "x.data"])
    assert "`pydarknet cfg new --model yolov4-tiny --data obj.data` writes one" in result.output


def commands(group: click.Group = cli, prefix: str = "") -> dict[str, click.Command]:
    """Every command by its path."""
    found: dict[str, click.Command] = {}
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        nested = isinstance(command, click.Group)
        found |= commands(command, f"{prefix}{name} ") if nested else {f"{prefix}{name}": command}
    return found


def test_no_hint_names_an_option_that_is_not_there() -> None:
    """Each name here is an option of some command; no name there is an option of ours that is hidden."""
    every = commands()
    options = {name: set(hints._options(command)) for name, command in every.items()}
    known = set().union(*options.values())
    for others, ours in hints.SYNONYMS.items():
        assert set(ours) <= known, others
    for (command, name), _ in hints.ADVICE.items():
        assert command in ("", *COMMANDS)
        assert f"--{name}" not in options.get(command, set()), "the option exists"


def test_advice_names_options_that_exist() -> None:
    every = commands()
    for (command, _), advice in hints.ADVICE.items():
        words = [word.strip(".,;:`") for word in advice.split() if word.startswith("--")]
        if command and "pydarknet" not in advice:
            assert set(words) <= set(hints._options(every[command])), advice
