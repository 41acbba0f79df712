# SPDX-License-Identifier: Apache-2.0
"""Words of YOLOv5, Ultralytics and Darknet: what a user of them gets to read."""

from __future__ import annotations

import logging
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from pydarknet.cli import COMMANDS, cli
from pydarknet.cli._impl import hints
from pydarknet.cli._impl.common_options import is_quiet, with_common

ROWS = [
    ("train", "--image-size", "Use --size."),
    ("train", "--save-dir", "Use --out."),
    ("train", "--exist-ok", "The same command again resumes the run; --restart starts over."),
    ("train", "--gpus", "Use --device."),
    ("weights info", "--device", "This command does not compute a network."),
    ("train", "--lr0", "Use --lr."),
    ("train", "--learning-rate", "Use --lr."),
    ("train", "--iterations", "Use --max-batches."),
    ("train", "--early-stop", "Use --patience."),
    ("train", "--optimizer", "SGD is the default; --set adam=1 chooses Adam"),
    ("train", "--noval", "--map-every 0 evaluates never."),
    ("train", "--single-cls", "Merge the classes of the data set: pydarknet data remap --merge NEW=A,B"),
    ("train", "--patiense", "Did you mean --patience?"),
    ("train", "--zzz", "--help lists the options."),
    ("detect", "--source", "The source is an argument without an option"),
    ("detect", "-thresh", "Use --thresh."),
    ("detect", "--img", "Use --size."),
    ("detect", "--vid-stride", "Use --every."),
    ("detect", "--view-img", "Use --show."),
    ("detect", "-i", "Use --device."),
    ("eval", "--conf", "Use --thresh."),
    ("eval", "--name", "Use --out."),
    ("anchors", "--imgsz", "Use --size."),
    ("train", "--img", "Use --size."),
    ("train", "--nosave", "--keep last,0 keeps the last weights alone."),
    ("train", "--multi-scale", "A key of the cfg does this: --set yolo.random=1."),
    ("train", "-mjpeg_port", "Use --http."),
    ("train", "--evolve", "There is no search"),
    ("train", "--iou", "--help lists the options."),  # not --out
    ("detect", "-hier", "--help lists the options."),
    ("detect", "-letter_box", "Use --letterbox."),
    ("detect", "-ext_output", "Corners are in the file of --to"),
    ("detect", "--iou", "Use --nms."),
    ("eval", "-iou_thresh", "Use --iou."),
    ("eval", "-points", "--protocol voc11 or coco101"),
    ("eval", "--task", "Use --split."),
    ("bench", "--imgsz", "Use --sizes."),
    ("serve", "--host", "Use --http."),
    ("anchors", "-num_of_clusters", "Use --num."),
    ("export", "--include", "The one format is ONNX: pydarknet export onnx CFG WEIGHTS."),
]

#: Names that an option of ours has beside its own, as other programs spell them.
ALIASES = {
    "train": {"--imgsz", "--img-size", "--batch-size", "--name", "--project", "--save-period", "--hyp"},
    "detect": {"--line-thickness", "--conf", "--conf-thres", "--iou-thres", "--imgsz", "--img-size"},
    "eval": {"--batch-size", "--imgsz", "--img-size"},
}


@pytest.mark.parametrize(("command", "option", "hint"), ROWS)
def test_the_hint(command: str, option: str, hint: str) -> None:
    result = CliRunner().invoke(cli, [*command.split(), option, "0"])
    assert result.exit_code == 2
    shown = option.replace("_", "-") if option.startswith("--") else option
    assert f"No such option '{shown}'. {hint}" in result.output


@pytest.mark.parametrize("command", ALIASES)
def test_names_of_other_programs_that_are_options(command: str) -> None:
    assert ALIASES[command] <= set(hints._options(commands()[command]))


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("predict x.jpg", "No such command 'predict'. Use pydarknet detect."),
        ("val", "No such command 'val'. Use pydarknet eval."),
        ("track", "No such command 'track'. Use pydarknet detect --track bytetrack."),
        ("trian", "No such command 'trian'. Did you mean 'train'?"),
        ("zzzz", "No such command 'zzzz'.\n"),
    ],
)
def test_the_hint_for_a_command(line: str, hint: str) -> None:
    result = CliRunner().invoke(cli, line.split())
    assert result.exit_code == 2
    assert hint in result.output


def test_commands_that_hints_name_exist() -> None:
    every = {name.partition(" ")[0] for name in commands()} | set(commands())
    for other, ours in hints.COMMANDS.items():
        assert other not in COMMANDS
        assert ours.partition(" --")[0] in every


def test_options_written_as_in_ultralytics() -> None:
    result = CliRunner().invoke(cli, ["train", "--set", "hue=0.1", "data=pets.yaml", "model=yolov4-tiny"])
    assert result.exit_code == 2
    assert "(data=pets.yaml model=yolov4-tiny). Options are written --data pets.yaml." in result.output
    assert "Options are" not in CliRunner().invoke(cli, ["train", "--set", "hue=0.1", "more"]).output


def test_underscores_are_dashes() -> None:
    result = CliRunner().invoke(
        cli, ["train", "--max_batches=4", "--set", "resize_step=32", "--val_fraction", "2"]
    )
    assert "Missing option '--cfg'" in result.output


def test_a_missing_network_names_the_command_that_writes_one() -> None:
    result = CliRunner().invoke(cli, ["train", "--data", "x.data"])
    assert "--model yolov4-tiny makes one, and so does `pydarknet cfg new`" in result.output


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


def test_every_command_can_be_quiet_and_verbose() -> None:
    for name, command in commands().items():
        if not name.startswith("detector "):
            flags = {flag for parameter in command.params for flag in parameter.opts}
            assert {"-q", "--quiet", "-v", "--verbose"} <= flags, name


def test_quiet_keeps_results_and_drops_the_rest(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("pydarknet")

    @click.command()
    def command() -> None:
        log.warning("a warning")
        click.echo(f"the result; quiet: {is_quiet()}")

    assert "quiet: False" in CliRunner().invoke(with_common(command)).output
    assert caplog.messages == ["a warning"]
    assert CliRunner().invoke(command, ["-q"]).output == "the result; quiet: True\n"
    assert caplog.messages == ["a warning"]
    log.warning("again")  # the next command is not quiet
    assert caplog.messages == ["a warning", "again"]
