# SPDX-License-Identifier: Apache-2.0
"""Verdicts on made and real trainings, charts, and the commands."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from darknet_logs import alexeyab_2020, classic, evaluation, rows

from pydarknet.cfg import new
from pydarknet.cli.log import command
from pydarknet.logs import Log, advise, load, parse
from pydarknet.logs.plots import chart

RNG = np.random.default_rng(3)
NOISE = RNG.normal(1, 0.15, 2000)


def made(loss: Callable[[int], float], maps: list[float] | None = None, count: int = 1000) -> Log:
    """A log with 15 % noise on the loss, and evaluations at equal distances."""
    text = []
    places = {count * (i + 1) // len(maps): value for i, value in enumerate(maps)} if maps else {}
    for row in rows(count, loss=lambda n: round(loss(n) * NOISE[n], 6)):
        text.append(alexeyab_2020(row))
        if row[0] in places:
            text.append(evaluation(places[row[0]]))
    return parse("".join(text), "made.log")


def falling(n: int) -> float:
    return 20 * math.exp(-n / 400)


def flat(n: int) -> float:
    return 2 + 20 * math.exp(-n / 60)


def test_falling() -> None:
    """The loss falls by 1 − e^(−250/400) = 46 % in the last quarter."""
    advice = advise(made(falling))
    assert advice.verdict == "falling"
    assert advice.window == (751, 1000)
    assert advice.change == pytest.approx(math.expm1(-249 / 400), abs=0.06)
    assert advice.slope == pytest.approx(math.expm1(-2.5), abs=0.05)


def test_plateau() -> None:
    advice = advise(made(flat, [0.3, 0.5, 0.55, 0.56, 0.56, 0.56]))
    assert advice.verdict == "plateau"
    assert abs(advice.change) < 0.1
    assert "mAP goes from 56.0% to 56.0%" in advice.reason


def test_flat_loss_with_rising_map_is_not_done() -> None:
    assert advise(made(flat, [0.3, 0.4, 0.45, 0.5, 0.55, 0.6])).verdict == "falling"


def test_overfit() -> None:
    advice = advise(made(falling, [0.3, 0.5, 0.62, 0.58, 0.54, 0.5]))
    assert advice.verdict == "overfit"
    assert (advice.best_map, advice.best_iteration, advice.last_map) == (0.62, 500, 0.5)
    assert "weights of iteration 500" in advice.next_step


def test_one_worse_evaluation_is_no_overfitting() -> None:
    assert advise(made(falling, [0.3, 0.5, 0.55, 0.6, 0.62, 0.5])).verdict == "falling"


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_not_finite(value: float) -> None:
    advice = advise(made(lambda n: falling(n) if n < 700 else value))
    assert advice.verdict == "diverged"
    assert "at iteration 700" in advice.reason


@pytest.mark.parametrize("start", [200, 900])
def test_exploded(start: int) -> None:
    """Also if it stayed high for long afterwards."""
    advice = advise(made(lambda n: falling(n) if n < start else 60.0))
    assert advice.verdict == "diverged"
    assert "(D-04)" in advice.reason


def test_too_short() -> None:
    assert advise(made(falling, count=20)).verdict == "unclear"


def test_burn_in_is_not_falling() -> None:
    """A high loss while the rate still rises must not count as a fall afterwards."""
    assert advise(made(lambda n: 1000.0 if n < 10 else 2.0)).verdict == "plateau"


def test_remarks() -> None:
    log = made(lambda n: math.nan if n == 300 else flat(n), [0.0, 0.0, 0.1])
    remarks = "\n".join(advise(log).remarks)
    assert "1000 iterations of 200, 8000 images" in remarks
    assert "D-03: 1 iterations without a finite loss, the first is 300" in remarks
    assert "D-05: mAP is 0 in two evaluations in a row" in remarks


@pytest.mark.parametrize(
    ("start", "kind"), [(1934.0, "new heads"), (2125.0, "new heads"), (14.2, "trained heads")]
)
def test_first_loss(start: float, kind: str) -> None:
    """First losses of real trainings of YOLOv4 at 416; the one of 14.2 continued from trained heads."""
    text = f"1: {start}, {start} avg, 0.0 rate, 1.0 seconds, 64 images\n"
    remarks = advise(parse(text), new("yolov4", classes=1000, size=416)).remarks
    assert any(remark.startswith("D-02") and remark.endswith(f": {kind}") for remark in remarks)


def test_real_training(shared: Path) -> None:
    """It gained 40 points in its last hundred iterations: it should have gone on."""
    advice = advise(load(shared / "fixtures/logs/alexeyab_bccd_train.merged.log"))
    assert advice.verdict == "falling"
    assert advice.best_map == 0.855884


@pytest.mark.parametrize(
    "log",
    [
        made(falling, [0.3, 0.5, 0.6]),
        made(lambda n: falling(n) if n < 700 else math.nan),
        made(flat, count=1),
        parse(evaluation(0.5)),
        parse("".join(map(classic, rows(50) + rows(30, start=40)))),
    ],
    ids=["usual", "nan", "one row", "evaluation only", "resumed"],
)
def test_chart(log: Log, tmp_path: Path) -> None:
    path = tmp_path / "chart.png"
    chart(log, path)
    picture = cv2.imread(str(path))
    assert picture is not None
    assert picture.shape == (770, 1210, 3)
    assert sorted(tmp_path.iterdir()) == [path]


def test_chart_shows_loss_and_map(tmp_path: Path) -> None:
    """Blue for the loss, red for mAP: without evaluations there is no red."""
    red = []
    for name, log in (("with", made(falling, [0.3, 0.5, 0.6])), ("without", made(falling))):
        chart(log, tmp_path / f"{name}.png")
        blue, green, red_ = (cv2.imread(str(tmp_path / f"{name}.png")).astype(int)[..., i] for i in range(3))
        assert int(((blue - red_) > 80).sum()) > 1000
        red.append(int(((red_ - green) > 120).sum()))
    assert red[0] > 1000 > red[1]


def test_a_saturated_evaluation_is_marked_and_no_best(tmp_path: Path) -> None:
    """A black cross, where there is nothing as black in a chart without."""
    text = "".join(map(alexeyab_2020, rows(50)))
    said = "D-01: the detections are saturated: why. What to do\n"
    black = []
    for finding in ("", said):
        more = "".join(map(alexeyab_2020, rows(50, start=51)))
        log = parse(text + evaluation(0.3) + more + finding + evaluation(0.9))
        assert [e.saturated for e in log.evaluations] == [False, bool(finding)]
        assert advise(log).best_map == (0.3 if finding else 0.9)
        chart(log, tmp_path / "chart.png")
        picture = cv2.imread(str(tmp_path / "chart.png"))
        black.append(int((picture[80:560, 260:1000].max(2) < 20).sum()))
    assert black[1] > black[0] + 50


def test_chart_ends_where_darknets_does(tmp_path: Path) -> None:
    """``max_chart_loss``: a loss above it is not seen."""
    log = made(lambda n: 100.0)
    for top in (50, 200):
        chart(log, tmp_path / f"{top}.png", max_loss=top)
    blue = [cv2.imread(str(tmp_path / f"{top}.png")).astype(int) for top in (50, 200)]
    # Below the legend, where the curve would be.
    seen = [int(((p[..., 0] - p[..., 2]) > 80)[150:600, 100:].sum()) for p in blue]
    assert seen[0] == 0
    assert seen[1] > 1000


def run(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture
def log_file(tmp_path: Path) -> Path:
    path = tmp_path / "train.log"
    path.write_text("".join(map(alexeyab_2020, rows(60))) + evaluation(0.25))
    return path


def test_parse_command(log_file: Path, tmp_path: Path) -> None:
    lines = run("parse", log_file).output.splitlines()
    assert lines[0] == "session,iteration,loss,avg_loss,rate,seconds,images,hours_left,map"
    assert lines[1] == "0,1,51.0,51.0,0.0,0.5,8,1.0,"
    assert lines[-1].endswith(",480,1.0,0.25")
    assert len(json.loads(run("parse", log_file, "--json").output)["iterations"]) == 60
    out = tmp_path / "t.json"
    run("parse", log_file, "--out", out)
    assert json.loads(out.read_text())["evaluations"][0]["map"] == 0.25


def test_parse_command_reports_damage(log_file: Path) -> None:
    with log_file.open("a") as file:
        file.write("\n 61: 1.5, 1.6 avg lo")
    result = run("parse", log_file)
    assert "1 incomplete lines were skipped" in result.stderr


def test_plot_command(log_file: Path, tmp_path: Path) -> None:
    assert run("plot", log_file).output.strip() == str(log_file.with_suffix(".png"))
    assert log_file.with_suffix(".png").stat().st_size > 10_000
    run("plot", tmp_path, "--with", log_file)
    assert (tmp_path / "chart.png").exists()


def test_advise_command(log_file: Path, tmp_path: Path) -> None:
    assert run("advise", log_file).output.startswith("falling: between iterations")
    new("yolov4-tiny", 2, 416).save(tmp_path / "net.cfg")
    table = json.loads(run("advise", log_file, "--cfg", tmp_path / "net.cfg", "--json").output)
    assert table["verdict"] == "falling"
    assert table["best_map"] == 0.25
    assert table["remarks"][-1].startswith("D-02")


def test_without_any_map_it_is_no_plateau() -> None:
    """A young training has found nothing yet; its trend over a few iterations is not carried to 1000."""
    young = advise(made(lambda _: 2.0, [0.0, 0.0], count=70))
    assert young.verdict == "unclear"
    assert "mAP is 0 so far" in young.reason
    assert "in 1000 iterations" not in young.reason
    assert "in 1000 iterations" in advise(made(flat, [0.3, 0.5])).reason
