# SPDX-License-Identifier: Apache-2.0
"""The pages on preflight, logs and weights are true."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from pydarknet.cfg import new
from pydarknet.check import CATALOGUE, Inputs
from pydarknet.cli import cli

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page: str, kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", (DOCS / page).read_text("utf-8"), re.DOTALL)


def shown(page: str, command: str) -> list[str]:
    """The output that a page shows for a command."""
    (block,) = [block for block in blocks(page, "console") if block.startswith(f"$ {command}")]
    return block.splitlines()[1:]


def run(command: str) -> list[str]:
    return CliRunner().invoke(cli, command.split()[1:]).output.splitlines()


@pytest.fixture
def bad_cfg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """my.cfg with the three faults of the page."""
    monkeypatch.chdir(tmp_path)
    cfg = new("yolov4-tiny", classes=3, size=416)
    text = str(cfg).replace("width=416", "width=418", 1).replace("burn_in=1000", "burn_in=50", 1)
    Path("my.cfg").write_text(text.replace("steps=4800,5400", "steps=400000,450000", 1))


@pytest.mark.usefixtures("bad_cfg")
def test_findings_on_the_page() -> None:
    found = run("pydarknet check my.cfg")
    expected = shown("preflight.md", "pydarknet check my.cfg --data")
    assert found[:-1] == expected[:-1]
    assert found[-1].startswith(expected[-1])


@pytest.mark.usefixtures("bad_cfg")
def test_fixes_on_the_page() -> None:
    expected = shown("preflight.md", "pydarknet check my.cfg --fix")
    assert run("pydarknet check my.cfg --fix")[: len(expected)] == expected


def test_python_on_the_preflight_page() -> None:
    example, new_rule = blocks("preflight.md", "python")
    exec(example, {})
    try:
        exec(new_rule, {})
        rule = CATALOGUE["L-99"]
        cfg = new("yolov4-tiny", 1, 416)
        assert list(rule.run(Inputs(cfg))) == []
        cfg.net.set("decay", 0)
        (finding,) = rule.run(Inputs(cfg))
        assert finding.hint == "Set decay=0.0005."
    finally:
        del CATALOGUE["L-99"]


def test_logs_page(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(shared / "fixtures/logs/alexeyab_bccd_train.merged.log", "train.log")
    shutil.copy(shared / "fixtures/map/bccd.cfg", "my.cfg")
    expected = shown("logs.md", "pydarknet log parse")
    assert run("pydarknet log parse train.log")[: len(expected)] == expected
    command = "pydarknet log advise train.log --cfg my.cfg"
    assert run(command) == shown("logs.md", command)
    for block in blocks("logs.md", "python"):
        exec(block, {})


def test_weights_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pydarknet.weights import Header

    monkeypatch.chdir(tmp_path)
    with Path("yolov4-tiny.weights").open("wb") as file:
        file.write(bytes(Header(3_203_200)))
        file.truncate(24_251_276)
    command = "pydarknet weights info yolov4-tiny.weights"
    assert run(command) == shown("weights.md", command)
    for block in blocks("weights.md", "python"):
        exec(block, {})
    assert "ends inside layer 125" in capsys.readouterr().out


def test_from_images_to_a_checked_training(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The output of `data new` and `cfg new` passes `check`, with a note that more images would help."""
    monkeypatch.chdir(tmp_path)
    run(f"pydarknet data new {shared / 'data' / 'bccd'} --out ds")
    run("pydarknet cfg new --model yolov4-tiny --data ds/obj.data --size 416 -o my.cfg")
    result = CliRunner().invoke(cli, ["check", "my.cfg", "--data", "ds/obj.data"], standalone_mode=False)
    assert result.return_value == 0
    assert result.output.splitlines()[0].startswith("note    L-27")
    assert result.output.splitlines()[-1].startswith("1 note.")


def test_every_command_has_an_example() -> None:
    """`--help` of each command and subcommand shows how it is used."""
    for line in ("check", "log parse", "log plot", "log advise", *(
        f"weights {name}" for name in ("info", "partial", "convert", "average", "diff", "prune", "pack")
    )):  # fmt: skip
        text = "\n".join(run(f"pydarknet {line} --help"))
        assert f"pydarknet {line} " in text.partition("Example")[2], line


def test_remedies_name_commands_that_exist() -> None:
    """Every `pydarknet word …` in a message, a remedy or a page is a command."""
    import click

    rules = (DOCS.parent / "pydarknet" / "check").glob("*.py")
    pages = (DOCS / name for name in ("preflight.md", "logs.md", "weights.md"))
    texts = [path.read_text("utf-8") for path in (*rules, *pages)]
    mentions = {match for text in texts for match in re.findall(r"pydarknet ([a-z]+)(?: ([a-z]+))?\b", text)}
    context = click.Context(cli)
    for name, sub in mentions - {("reads", ""), ("itself", "")}:
        found = cli.get_command(context, name)
        if found is None:
            pytest.fail(f"no command pydarknet {name}")
        if isinstance(found, click.Group) and sub:
            assert found.get_command(context, sub), f"pydarknet {name} {sub}"
    assert ("data", "split") in mentions
