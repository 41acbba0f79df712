# SPDX-License-Identifier: Apache-2.0
"""``pydarknet check``: text, JSON, exit codes, fixed copies; and the documentation of the rules."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from datasets_on_disk import Images

from pydarknet.cfg import CfgFile, new
from pydarknet.check import CATALOGUE, GROUPS, rule
from pydarknet.check.catalogue import NOTE
from pydarknet.cli.check import command

ROOT = Path(__file__).parents[2]


def check(*arguments: object) -> Result:
    """Run the command as the command line does, with its exit code."""
    runner = CliRunner()
    result = runner.invoke(command, [str(argument) for argument in arguments], standalone_mode=False)
    if result.exception is None:
        result.exit_code = int(result.return_value or 0)
    return result


@pytest.fixture
def good(tmp_path: Path, cfg: CfgFile) -> Path:
    path = tmp_path / "net.cfg"
    cfg.save(path)
    return path


def broken(path: Path, old: str, new_text: str) -> Path:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new_text, 1))
    return path


def test_clean(good: Path, images: Images, weights_file: Callable[..., Path]) -> None:
    result = check(good, "--data", images.root / "obj.data", "--weights", weights_file(4_947_424))
    assert result.exit_code == 0
    assert "1 note." in result.output
    result = check(good)
    assert result.exit_code == 0
    assert "checks passed" in result.output
    assert "need --data and --weights" in result.output


def test_warning(good: Path) -> None:
    result = check(broken(good, "burn_in=1000", "burn_in=50"))
    assert result.exit_code == 1
    line = next(i for i, text in enumerate(good.read_text().splitlines(), 1) if text == "burn_in=50")
    assert f"warning L-06  {good}:{line}: [net] burn_in is 50" in result.output
    assert "1 warning." in result.output


def test_warning_when_only_errors_are_asked_for(good: Path) -> None:
    assert check(broken(good, "burn_in=1000", "burn_in=50"), "--errors-only").exit_code == 0


def test_error(good: Path) -> None:
    result = check(broken(good, "width=416", "width=418"))
    assert result.exit_code == 2
    assert "error   L-03" in result.output
    assert "→ Use the nearest multiple." in result.output


def test_ignore(good: Path) -> None:
    assert check(broken(good, "width=416", "width=418"), "--ignore", "L-03").exit_code == 0
    result = check(good, "--ignore", "L-99")
    assert "'L-99' is not a rule" in str(result.exception)


def test_json(good: Path) -> None:
    result = check(broken(good, "width=416", "width=418"), "--json")
    table = json.loads(result.output)
    assert table["exit_code"] == result.exit_code == 2
    assert table["counts"] == {"error": 1}
    (finding,) = table["findings"]
    assert finding == {
        "rule": "L-03",
        "severity": "error",
        "message": "[net] width 418 is not a multiple of 32",
        "file": str(good),
        "line": 6,
        "value": "418",
        "expected": "416",
        "hint": "Use the nearest multiple.",
    }
    assert "L-20" in table["skipped"]


@pytest.mark.parametrize(
    ("old", "bad", "rule_id", "fixed"),
    [
        ("subdivisions=1", "subdivisons=8", "L-01", "subdivisions=8"),
        ("height=416", "Height=416", "L-01", "height=416"),
        ("subdivisions=1", "subdivisions=7", "L-02", "subdivisions=8"),
        ("width=416", "width=418", "L-03", "width=416"),
        ("filters=21", "filters=255", "L-04", "filters=21"),
        ("steps=4800,5400", "steps=400000,450000", "L-07", "steps=4800,5400"),
        ("burn_in=1000", "burn_in=10", "L-06", "burn_in=1000"),
        ("steps=4800,5400", "steps=4800.0,5400.0", "L-37", "steps=4800,5400"),
        ("activation=leaky", "activation=silu", "L-01", "activation=swish"),
        ("num=6", "num=3", "L-38", "num=6"),
    ],
)
def test_fix(good: Path, old: str, bad: str, rule_id: str, fixed: str) -> None:
    """The copy is fixed and passes; the original is not touched."""
    original = broken(good, old, bad).read_bytes()
    result = check(good, "--fix")
    assert good.read_bytes() == original
    copy = good.with_name("net.fixed.cfg")
    assert fixed in copy.read_text().splitlines()
    assert f"written: {copy} ({rule_id})" in result.output
    assert result.exit_code == 0


def test_fix_of_random_sizes(tmp_path: Path) -> None:
    """A network of stride 64 with the grid that Darknet uses by default."""
    path = tmp_path / "p6.cfg"
    cfg = new("yolov4-p6", classes=2, size=640, augment="high")
    assert cfg.net.get("resize_step") == "64", "cfg new writes it"
    cfg.net.remove("resize_step")
    cfg.save(path)
    assert "L-39" in check(path, "--memory", "1000G").output
    result = check(path, "--fix", "--memory", "1000G")
    assert "resize_step=64" in path.with_name("p6.fixed.cfg").read_text().splitlines()
    assert "error" not in result.output


def test_fix_needs_decisions(good: Path) -> None:
    result = check(broken(good, "max_batches=6000", "max_batches=5900"), "--fix")
    assert "Nothing can be fixed automatically" in result.output
    assert not good.with_name("net.fixed.cfg").exists()
    assert result.exit_code == 1


def test_fix_of_flip(good: Path, images: Images) -> None:
    images.names[1] = "left hand"
    result = check(good, "--data", images.write(), "--fix")
    assert "flip=0" in good.with_name("net.fixed.cfg").read_text()
    assert result.exit_code == 0


def test_plan(good: Path, tmp_path: Path) -> None:
    result = check(good, "--sec-per-iter", 10, "--max-hours", 1, "--out", tmp_path / "run")
    assert "6000 iterations of 10 s take 16.7 hours, more than the allowed 1" in result.output
    assert result.exit_code == 2
    result = check(broken(good, "random=0", "random=1"), "--memory", "1G")
    assert "L-14" in result.output


def test_nothing_to_check(good: Path, tmp_path: Path) -> None:
    """A script must not take an unreadable file for a mere warning."""
    result = check(tmp_path / "no.cfg")
    assert "cannot read the cfg file" in result.stderr
    assert result.exit_code == 2
    path = tmp_path / "names.cfg"
    path.write_text("cat\ndog\n")
    result = check(path)
    assert "the first section must be [net]" in result.stderr
    assert result.exit_code == 2
    result = check(good, "--data", tmp_path / "no.data")
    assert "no.data: no such file or folder" in result.stderr
    assert result.exit_code == 2
    assert "Missing argument 'CFG'" in str(check().exception)


def test_rules_are_listed() -> None:
    result = check("--rules")
    assert "L-02  error    batch is not divisible by subdivisions" in result.output
    assert len(result.output.splitlines()) == len(CATALOGUE)


def test_two_rules_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="duplicate rule L-02"):
        rule("L-02", NOTE, "again", "Nothing.")(lambda _: iter(()))


def test_every_rule_is_in_a_group() -> None:
    modules = {entry.check.__module__ for entry in CATALOGUE.values()}
    assert modules == {module.__name__ for module in GROUPS.values()}


def test_docs_list_every_rule() -> None:
    page = (ROOT / "docs" / "preflight-rules.md").read_text("utf-8")
    for entry in CATALOGUE.values():
        assert f"| {entry.id} | {entry.severity.value} | {entry.title} |" in page


def test_families_with_other_sizes(tmp_path: Path) -> None:
    path = tmp_path / "large.cfg"
    new("yolov4-tiny", classes=2, size=1024).save(path)
    result = check(path)
    assert "width 1024 is far from the 416 of the published yolov4-tiny" in result.output
    assert result.exit_code == 0
