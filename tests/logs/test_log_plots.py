# SPDX-License-Identifier: Apache-2.0
"""The table of a run read while it grows, and the images made of it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from pydarknet.cli.log import command
from pydarknet.errors import DataError
from pydarknet.runs.plots import PANELS, draw_loss, draw_results
from pydarknet.runs.rows import POINTS, Rows, read_rows

YOLOV5 = """               epoch,      train/box_loss, train/obj_loss, metrics/mAP_0.5, val/box_loss,   x/lr0
                   0,                0.10,           0.05,            0.30,         0.20,    0.01
                   1,                0.08,           0.04,            0.40,         0.15,    0.02
"""


def line(iteration: int, **more: object) -> str:
    return json.dumps({"session": 0, "iteration": iteration, "loss": 100.0 / iteration, **more}) + "\n"


def test_rows_follow_a_growing_table(tmp_path: Path) -> None:
    """A line counts when it is complete; what came before is not read again."""
    path = tmp_path / "results.jsonl"
    rows = Rows(path)
    rows.update()
    assert len(rows) == 0
    path.write_text(line(1) + line(2)[:-5])
    rows.update()
    assert list(rows.columns["iteration"]) == [1]
    with path.open("a") as file:
        file.write(line(2)[-5:] + "damaged\n" + line(3, map=0.5, heads={}))
    rows.update()
    assert list(rows.columns["loss"]) == [100, 50, pytest.approx(100 / 3)]
    assert [e["map"] for e in rows.evaluations] == [0.5]
    path.write_text(line(1))
    rows.update()
    assert list(rows.columns["iteration"]) == [1], "another run took the place"


def test_iterations_done_again_count_once(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    first = [line(n, map=0.1 * n) for n in range(1, 6)]
    path.write_text("".join([*first, line(4, session=1, map=0.9), line(5, session=1)]))
    rows = read_rows(path)
    assert list(rows.columns["iteration"]) == [1, 2, 3, 4, 5]
    assert [e["map"] for e in rows.evaluations] == pytest.approx([0.1, 0.2, 0.3, 0.9])
    assert np.isnan(rows.columns["map"][4])


def test_curves_are_thinned_and_end_with_the_newest(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text("".join(line(n, late=n if n > 2000 else None) for n in range(1, 5001)))
    curves = read_rows(path).curves(["loss", "late", "absent"])
    assert POINTS / 2 <= len(curves["iteration"]) <= POINTS
    assert curves["iteration"][-1] == 5000
    assert curves["late"][0] is None
    assert curves["late"][-1] == 5000
    assert list(curves) == ["iteration", "loss", "late"]
    assert {len(column) for column in curves.values()} == {len(curves["iteration"])}


def test_yolov5_tables_are_read(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text(YOLOV5)
    columns = read_rows(tmp_path / "results.csv").columns
    assert list(columns["loss"]) == pytest.approx([0.15, 0.12])
    assert list(columns["val_loss"]) == [0.2, 0.15]
    assert list(columns["map"]) == [0.3, 0.4]
    assert list(columns["rate"]) == [0.01, 0.02]


@pytest.mark.parametrize("name", ["results.csv", "results.jsonl", "train.log"])
def test_nothing_to_draw(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("iteration,loss\n")
    with pytest.raises(DataError, match="holds no iteration"):
        read_rows(tmp_path / name)


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read"):
        read_rows(tmp_path / "results.csv")


def ink(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    """Pixels near a colour (blue, green, red)."""
    return int((np.abs(picture.astype(int) - colour).max(2) < 40).sum())


BLUE, ORANGE = (180, 119, 31), (14, 127, 255)


def test_results_of_one_row(tmp_path: Path) -> None:
    """S0.28: ten panels; what was measured is a point, the rest says that it was not."""
    (tmp_path / "results.csv").write_text("iteration,loss,avg_loss,rate,map\n1,5,5,0.1,0.25\n")
    draw_results(read_rows(tmp_path / "results.csv"), tmp_path / "results.png", "a $title$")
    picture = cv2.imread(str(tmp_path / "results.png"))
    height, width = picture.shape[:2]
    drawn = []
    for number in range(len(PANELS)):
        row, column = divmod(number, 5)
        top, left = row * height // 2, column * width // 5
        part = picture[top : top + height // 2, left : left + width // 5]
        drawn.append(ink(part, BLUE) > 3)
    measured = {"loss", "learning rate", "mAP@0.5"}
    assert drawn == [name in measured for name, _, _ in PANELS]


def test_loss_of_three_rows(tmp_path: Path) -> None:
    """S1.19: both curves are there; without a validation loss only one."""
    text = "iteration,avg_loss,val_loss\n1,5,6\n2,4,5\n3,3,4.5\n"
    (tmp_path / "results.csv").write_text(text)
    draw_loss(read_rows(tmp_path / "results.csv"), tmp_path / "both.png")
    (tmp_path / "results.csv").write_text("\n".join(row.rpartition(",")[0] for row in text.splitlines()))
    draw_loss(read_rows(tmp_path / "results.csv"), tmp_path / "one.png")
    both, one = (cv2.imread(str(tmp_path / name)) for name in ("both.png", "one.png"))
    assert ink(both, BLUE) > 100
    assert ink(both, ORANGE) > 100
    assert ink(one, BLUE) > 100
    assert ink(one, ORANGE) == 0


def test_losses_that_are_not_finite_do_not_hinder(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text("iteration,loss,avg_loss\n1,5,5\n2,nan,nan\n3,inf,inf\n")
    rows = read_rows(tmp_path / "results.csv")
    assert math.isinf(rows.columns["loss"][2])
    draw_results(rows, tmp_path / "results.png")
    assert cv2.imread(str(tmp_path / "results.png")) is not None


def test_plot_draws_what_the_place_asks_for(tmp_path: Path) -> None:
    """All three in a run, results beside a table; one image under another name."""
    (tmp_path / "results.jsonl").write_text("".join(line(n, avg_loss=9.0) for n in (1, 2, 3)))

    def plot(*arguments: object) -> list[str]:
        result = CliRunner().invoke(command, ["plot", *map(str, arguments)])
        assert result.exit_code == 0, result.output
        return [Path(found).name for found in result.output.split()]

    assert plot(tmp_path) == ["chart.png", "results.png", "loss.png"]
    assert plot(tmp_path / "results.jsonl") == ["results.png"]
    assert plot(tmp_path, "--kind", "loss", "--out", tmp_path / "x.png") == ["x.png"]
    assert all((tmp_path / f"{name}.png").is_file() for name in ("chart", "results", "loss", "x"))


def test_one_name_for_two_plots(tmp_path: Path) -> None:
    arguments = ["plot", str(tmp_path), "--kind", "loss", "--kind", "chart", "--out", "x.png"]
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 2
    assert "--out is one file; give one --kind" in result.output
