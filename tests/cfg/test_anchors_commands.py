# SPDX-License-Identifier: Apache-2.0
"""``pydarknet anchors`` and ``pydarknet detector calc_anchors``."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from pydarknet import cfg
from pydarknet.cfg import anchors
from pydarknet.cli.anchors import command
from pydarknet.cli.calc_anchors import calc_anchors
from pydarknet.cli.calc_anchors import command as calc_command
from pydarknet.errors import CfgError


def test_both_spellings_print_the_same_anchors(
    bccd24: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke
    ours = run(command, ["--data", str(bccd24), "--num", "6", "--size", "416"], catch_exceptions=False)
    theirs = run(
        calc_command,
        [str(bccd24), "-num_of_clusters", "6", "-width", "416", "-height", "416"],
        catch_exceptions=False,
    )
    line = next(line for line in ours.output.splitlines() if line.startswith("anchors ="))
    assert line in theirs.output.splitlines()


def test_calc_anchors_prints_and_writes_as_darknet(shared: Path, bccd24: Path, tmp_path: Path) -> None:
    pieces: list[str] = []
    found = calc_anchors(bccd24, 6, 416, 416, show=True, echo=pieces.append, folder=tmp_path)
    log = (shared / "fixtures/logs/alexeyab_calc_anchors_sample.log").read_bytes().decode()
    start = log.index("\n num_of_clusters")

    def shape(text: str) -> str:
        """The text with the numbers that depend on Darknet's random start taken out."""
        text = re.sub(r"(?<=iterations = )\d+|(?<=avg IoU = )[\d.]+", "N", text)
        text = re.sub(r"(\r loaded[^\r\n]*)+", "\r loaded", text)
        return re.sub(r"(?<=\nanchors = )[\d, ]+", "A", text)

    printed = "".join(pieces)
    assert shape(printed) == shape(log[start:])
    assert "\r loaded \t image: 24 \t box: 433" in printed
    assert float(re.search(r"avg IoU = ([\d.]+)", printed)[1]) >= 85.75
    assert (tmp_path / "anchors.txt").read_text() == printed.splitlines()[-1].removeprefix("anchors = ")
    assert (tmp_path / "counters_per_class.txt").read_text() == "counters_per_class = 382, 25, 26"
    assert anchors.read(tmp_path / "anchors.txt") == [(round(w), round(h)) for w, h in found.anchors]
    assert (tmp_path / "cloud.png").stat().st_size > 10_000


def test_numbers_are_printed_in_darknets_form() -> None:
    assert anchors.text([[26.4, 31.5], [135, 161]], 416) == " 26, 32, 135,161"
    assert anchors.text([[0.5, 12.25]], 13) == "0.5000,12.2500"


def test_calc_anchors_needs_width_and_height(bccd24: Path) -> None:
    result = CliRunner().invoke(calc_command, [str(bccd24), "-width", "416"])
    assert result.exit_code == 2
    assert "Missing option '-height'" in result.output


def test_the_cfg_is_compared_and_rewritten(bccd24: Path, tmp_path: Path) -> None:
    path = tmp_path / "net.cfg"
    cfg.yolov4_tiny(classes=3, size=416).save(path)
    before = path.read_text()
    arguments = ["--data", str(bccd24), "--cfg", str(path), "--plot", str(tmp_path / "a.png")]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert re.search(r"Change the anchors: mean IoU 7\d\.\d% → 8\d\.\d%", result.output)
    assert "mask = 3,4,5   at stride 32\nmask = 0,1,2   at stride 16" in result.output
    assert path.read_text() == before
    assert (tmp_path / "a.png").exists()

    CliRunner().invoke(
        command, [*arguments, "--write", "--out", str(tmp_path / "a.txt")], catch_exceptions=False
    )
    changed = cfg.parse(path)
    assert anchors.of_cfg(changed) == anchors.read(tmp_path / "a.txt")
    assert [head.integers("mask") for head in changed.heads] == [[3, 4, 5], [0, 1, 2]]


def test_json_holds_the_numbers(bccd24: Path) -> None:
    result = CliRunner().invoke(
        command, ["--data", str(bccd24), "--num", "3", "--json"], catch_exceptions=False
    )
    report = json.loads(result.stdout)
    assert (report["images"], report["boxes"], len(report["anchors"])) == (24, 433, 3)
    assert 0.7 < report["mean_iou"] < 0.9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--write"], "--write needs --cfg"),
        (["--size", "big"], "'big' is not a valid size; write 416 or 608x320"),
        (["--num", "0"], "0 is not in the range"),
    ],
)
def test_wrong_usage(bccd24: Path, arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(command, ["--data", str(bccd24), *arguments])
    assert result.exit_code == 2
    assert message in result.output


def test_a_size_that_no_network_takes_is_refused(bccd24: Path, tmp_path: Path) -> None:
    wrong = "418 is not a multiple of 32; take 416 or 448"
    result = CliRunner().invoke(command, ["--data", str(bccd24), "--size", "418"])
    assert wrong in str(result.exception)
    with pytest.raises(CfgError, match=wrong):
        calc_anchors(bccd24, 2, 416, 418, folder=tmp_path)


def test_calc_anchors_leaves_ignored_boxes_out(tmp_path: Path) -> None:
    """Regions of any class, as convert writes them for crowds, are neither counted nor a crash."""
    (tmp_path / "a.ppm").write_bytes(b"P6 160 160 255\n" + b"\0" * 76800)
    (tmp_path / "a.txt").write_text("0 0.5 0.5 0.2 0.4\n1 0.5 0.5 0.4 0.2\n")
    (tmp_path / "a.ignore.txt").write_text("-1 0.2 0.2 0.3 0.3\n0 0.7 0.7 0.1 0.1\n")
    (tmp_path / "obj.names").write_text("cat\ndog\n")
    (tmp_path / "train.txt").write_text("a.ppm\n")
    (tmp_path / "obj.data").write_text("classes=2\ntrain=train.txt\nnames=obj.names\n")
    pieces: list[str] = []
    found = calc_anchors(tmp_path / "obj.data", 2, 160, 160, echo=pieces.append, folder=tmp_path)
    assert found.anchors.round().tolist() == [[32, 64], [64, 32]]
    assert "image: 1 \t box: 2" in "".join(pieces)
    assert (tmp_path / "counters_per_class.txt").read_text() == "counters_per_class = 1, 1"
