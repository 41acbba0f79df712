# SPDX-License-Identifier: Apache-2.0
"""Logs of every Darknet, whole and damaged."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest
from darknet_logs import BOXES, GRAMMARS, HEAD, alexeyab_2020, classic, evaluation, rows

from pydarknet.errors import DataError
from pydarknet.logs import ClassResult, Evaluation, HeadLine, load, parse
from pydarknet.logs.parse import number

TEN = rows(10)


@pytest.mark.parametrize("grammar", GRAMMARS)
def test_every_grammar_gives_the_same_numbers(grammar: str) -> None:
    log = parse("".join(map(GRAMMARS[grammar], TEN)))
    has_hours = grammar not in ("classic", "alexeyab_2018")
    assert len(log.iterations) == 10
    for row, (n, loss, average, rate, seconds, images, hours) in zip(log.iterations, TEN, strict=True):
        assert (row.iteration, row.loss, row.avg_loss, row.images) == (n, loss, average, images)
        assert row.rate == pytest.approx(rate)
        assert row.seconds == pytest.approx(seconds)
        assert row.hours_left == (hours if has_hours else None)
        assert row.session == 0
    assert log.sessions == 1
    assert log.damaged == 0


@pytest.mark.parametrize("ends", ["\r\n", "\r", "\n\n"])
def test_line_ends(ends: str) -> None:
    text = "".join(map(alexeyab_2020, TEN))
    assert parse(text.replace("\n", ends)).iterations == parse(text).iterations


def test_first_line_has_no_estimate() -> None:
    first = (1, 5.0, 5.0, 0.0, 1.0, 8, -1.0)
    assert parse(alexeyab_2020(first)).iterations[0].hours_left is None


def test_length_from_the_title() -> None:
    assert parse(alexeyab_2020(TEN[0])).max_batches == 200


@pytest.mark.parametrize("place", range(len(classic(TEN[4])) + 1))
def test_stderr_in_the_middle_of_a_line(place: int) -> None:
    """Unbuffered output may cut the line of an iteration anywhere."""
    line = classic(TEN[4])
    log = parse(
        classic(TEN[3]) + line[:place] + HEAD + BOXES + "Saving weights to b/x_100.weights\n" + line[place:]
    )
    assert log.iterations == parse(classic(TEN[3]) + line).iterations
    after = 5 if place == 0 else 6  # heads come before the line of their iteration
    assert log.heads == [HeadLine(after, 30, 0.512, 12, 3.25, 1.5, 4.75)]
    assert [path for _, path in log.saved] == ["b/x_100.weights"]


@pytest.mark.parametrize("noise", ["\x1b[H\x1b[J", "\x1b[2J", "\x07", "\r", "\x1b[0m", "\x1b[1;31m"])
def test_terminal_control_around_lines(noise: str) -> None:
    text = "".join(noise + classic(row).rstrip("\n") + noise + "\n" for row in TEN)
    assert parse(text).iterations == parse("".join(map(classic, TEN))).iterations


def test_cut_anywhere() -> None:
    """A truncated log gives the iterations that are whole, and says that one line is not."""
    text = "".join(map(classic, TEN[:3]))
    whole = parse(text).iterations
    for length in range(len(text) + 1):
        log = parse(text[:length])
        assert log.iterations == whole[: len(log.iterations)]
        lines = text[:length].count("images")
        assert len(log.iterations) == lines
    assert parse(text[: text.rindex("rate")]).damaged == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("nan", math.nan), ("-nan", math.nan), ("-nan(ind)", math.nan), ("nan(0x8000)", math.nan)),
        *(("1.#QNAN", math.nan), ("-1.#IND00", math.nan), ("inf", math.inf), ("-inf", -math.inf)),
        *(("1.#SNAN", math.nan), ("9" * 400, math.inf)),
        *(("1.#INF00", math.inf), ("1e-05", 1e-05), ("-1.500000", -1.5)),
    ],
)
def test_numbers_of_c(text: str, value: float) -> None:
    (row,) = parse(f" 7: {text}, {text} avg loss, 0.001 rate, 1.0 seconds, 56 images\n").iterations
    assert row.loss == pytest.approx(value, nan_ok=True)
    assert number(text) == pytest.approx(value, nan_ok=True)


def test_numbers_that_no_program_prints() -> None:
    """Digits without end are noise, and no reason to fail."""
    digits = "9" * 5000
    assert (
        parse(f"1: {digits}, {digits}, {digits} rate, avg loss= Region 1 Avg IOU: {digits}").iterations == []
    )
    text = f"{digits}: 1.0, 1.0 avg, 0.1 rate, 1.0 seconds, {digits} images\n" + classic(TEN[0])
    assert [row.iteration for row in parse(text).iterations] == [1]


def test_resumed() -> None:
    """Iterations 7 … 10 were done again; the log of the training that led to the end has each once."""
    again = rows(8, start=7, loss=lambda n: 100.0 + n)
    log = parse("".join(map(classic, TEN + again)))
    assert [row.session for row in log.iterations] == [0] * 10 + [1] * 8
    assert log.sessions == 2
    current = log.current().iterations
    assert [row.iteration for row in current] == list(range(1, 15))
    assert [row.loss >= 100 for row in current] == [False] * 6 + [True] * 8


def test_resumed_without_repetition() -> None:
    """The start-up lines reveal a restart that did nothing twice."""
    head = "Learning Rate: 0.001, Momentum: 0.9, Decay: 0.0005\n"
    text = head + "".join(map(classic, TEN[:5])) + head + "".join(map(classic, TEN[5:]))
    assert [row.session for row in parse(text).iterations] == [0] * 5 + [1] * 5


def test_evaluation_block() -> None:
    log = parse("".join(map(alexeyab_2020, TEN)) + evaluation(0.4321))
    assert log.evaluations == [
        Evaluation(
            10, 0.4321, 0.5, 0,
            (ClassResult(0, "cat", 0.4321, 7, 3), ClassResult(1, "dog", 0.4321, 7, 3)),
            0.7, 0.5, 0.58, 14, 6, 14, 0.555,
        )
    ]  # fmt: skip


def test_evaluation_by_its_last_line_only() -> None:
    """Old versions print `mAP@0.5`; if the report is missing, the repeated status line is used."""
    text = classic(TEN[0]) + " mean_average_precision (mAP@0.5) = 0.250000 \n" + classic(TEN[1])
    assert [(e.iteration, e.map) for e in parse(text).evaluations] == [(1, 0.25)]
    status = "\n Last accuracy mAP@0.50 = {:.2f} %, best = 50.00 % \n"
    text = "".join(classic(row) + status.format(20 + 10 * (row[0] // 4)) for row in TEN)
    found = parse(text).evaluations
    assert [(e.iteration, round(e.map, 6)) for e in found] == [(1, 0.2), (4, 0.3), (8, 0.4)]


def test_evaluation_in_the_line_of_darknet_v5() -> None:
    """`last=68.62%` in every line; a new value is a new evaluation, made before that iteration."""
    lines = [GRAMMARS["darknet_v5"](row) for row in TEN]
    text = "".join(lines[:4] + [line.replace("last=68.62", "last=70.50") for line in lines[4:]])
    assert [(e.iteration, e.map) for e in parse(text).evaluations] == [(0, 0.6862), (4, 0.705)]
    block = classic(TEN[0]) + "mean average precision (mAP@0.50)=68.62%\n"
    assert [(e.iteration, e.map) for e in parse(block).evaluations] == [(1, 0.6862)]


def test_lines_run_together() -> None:
    """Old Windows builds print `Loaded` behind the line of the iteration."""
    text = (
        "9002: 0.211667, 0.060730 avg, 0.001000 rate, 3.868000 seconds, 576128 images Loaded: 0.0 seconds\n"
    )
    (row,) = parse(text).iterations
    assert (row.iteration, row.avg_loss, row.images) == (9002, 0.06073, 576128)


def test_heads_of_old_versions() -> None:
    pjreddie = (
        "Region 82 Avg IOU: 0.798363, Class: 0.893232, Obj: 0.700808, No Obj: 0.004567, .5R: 1.000000, "
        ".75R: -nan,  count: 8\n"
    )
    (head,) = parse(pjreddie + classic(TEN[0])).heads
    assert head == HeadLine(1, 82, 0.798363, 8, None, None, None)
    giou = (
        "v3 (mse loss, Normalizer: (iou: 0.75, cls: 1.00) Region 94 Avg (IOU: -nan, GIOU: -nan), Class: 0.5, "
        "Obj: 0.5, No Obj: 0.5, .5R: 0.0, .75R: 0.0, count: 20, loss = 1324.2, class_loss = 1305.7, "
        "iou_loss = 18.5\n"
    )
    (head,) = parse(giou + classic(TEN[0])).heads
    assert (head.layer, head.count, head.class_loss, head.iou_loss, head.total_loss) == (
        94,
        20,
        1305.7,
        18.5,
        None,
    )
    assert math.isnan(head.iou)


def test_encodings(tmp_path: Path) -> None:
    """PowerShell writes UTF-16; a log may hold bytes that are no text at all."""
    text = "".join(map(classic, TEN))
    path = tmp_path / "train.log"
    path.write_bytes(text.replace("\n", "\r\n").encode("utf-16"))
    assert load(path).iterations == parse(text).iterations
    path.write_bytes(b"\xff\xfa\x80 noise \x00\n" + text.encode())
    assert load(path).iterations == parse(text).iterations


def test_csv_and_back(tmp_path: Path) -> None:
    text = "".join(map(alexeyab_2020, TEN)) + evaluation(0.5) + "".join(map(alexeyab_2020, rows(5, 6)))
    log = parse(text + " 11: nan, -nan avg loss, 0.001 rate, 1.0 seconds, 88 images\n")
    table = tmp_path / "t.csv"
    table.write_text(log.to_csv())
    again = load(table)
    assert again.iterations[:-1] == log.iterations[:-1]
    assert math.isnan(again.iterations[-1].loss)
    assert [(e.iteration, e.map) for e in again.evaluations] == [(10, 0.5)]


def test_json() -> None:
    log = parse("".join(map(classic, TEN[:2])) + "3: nan, inf avg, 0.1 rate, 1.0 seconds, 24 images\n")
    table = json.loads(log.to_json())
    assert [row["loss"] for row in table["iterations"]] == [51.0, 26.0, None]
    assert table["iterations"][2]["avg_loss"] is None
    assert table["sessions"] == 1


def test_table_of_yolov5(tmp_path: Path) -> None:
    """Padded names; the losses of the parts add up, the mean average precision is called mAP_0.5."""
    path = tmp_path / "results.csv"
    table = {
        "epoch": 0, "train/box_loss": 0.1, "train/obj_loss": 0.2, "train/cls_loss": 0.3,
        "metrics/precision": 0.5, "metrics/recall": 0.6, "metrics/mAP_0.5": 0.7, "x/lr0": 0.01,
    }  # fmt: skip
    path.write_text("\n".join(",".join(f"{cell:>20}" for cell in row) for row in (table, table.values())))
    log = load(tmp_path)
    assert log.iterations[0].loss == pytest.approx(0.6)
    assert log.iterations[0].rate == 0.01
    assert (log.evaluations[0].map, log.evaluations[0].precision, log.evaluations[0].recall) == (
        0.7,
        0.5,
        0.6,
    )


def test_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text(
        '{"iteration": 1, "loss": 2.5, "rate": 0.1}\n{"iteration": 2, "loss": null, "map": 0.5}\n{"iter'
    )
    log = load(path)
    assert [(row.iteration, row.loss, row.avg_loss) for row in log.iterations] == [(1, 2.5, 2.5)]
    assert [(e.iteration, e.map) for e in log.evaluations] == [(2, 0.5)]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("train.log", "hello\n", "holds no iteration"),
        ("", "", "no log in this folder"),
        ("no.log", None, "cannot read"),
    ],
)
def test_nothing_to_read(tmp_path: Path, name: str, content: str | None, words: str) -> None:
    if name and content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=words):
        load(tmp_path / name)


@pytest.fixture
def real(shared: Path) -> Path:
    return shared / "fixtures" / "logs"


def test_real_training(real: Path) -> None:
    """The mAP values are those that the log's description gives; iterations are counted in the text."""
    path = real / "alexeyab_bccd_train.merged.log"
    log = load(path)
    text = path.read_text("utf-8", "replace")
    assert len(log.iterations) == len(re.findall(r"avg loss,", text)) == 500
    assert len(log.heads) == len(re.findall(r"v3 \(", text)) == 1000
    assert [round(e.map, 3) for e in log.evaluations] == [0.0, 0.017, 0.577, 0.449, 0.856]
    assert [e.iteration for e in log.evaluations] == [100, 200, 300, 400, 500]
    assert log.evaluations[-1].classes[0].name == "RBC"
    assert (log.max_batches, log.batch, log.sessions, log.damaged) == (500, 16, 1, 0)
    assert {head.iteration for head in log.heads} == set(range(1, 501))


def test_real_streams_apart_and_merged(real: Path) -> None:
    merged, out, err = (
        load(real / f"alexeyab_train_sample{name}.log") for name in (".merged", "", ".stderr")
    )
    assert [row.iteration for row in out.iterations] == [row.iteration for row in merged.iterations]
    assert len(err.heads) == len(merged.heads) == 60
    assert out.evaluations[0].map == 0.024373
    assert math.isnan(out.evaluations[0].f1 or 0.0)


def test_real_excerpts(real: Path) -> None:
    log = load(real / "alexeyab_train_map_excerpt.merged.log")
    assert [(e.iteration, e.map) for e in log.evaluations] == [(100, 0.161592), (108, 0.204534)]
    assert log.saved[:3] == [(100, f"backup/mini0_{name}.weights") for name in ("best", "100", "last")]
    log = load(real / "alexeyab_train_random_excerpt.merged.log")
    assert log.iterations[-1].iteration == 101
    assert math.isnan(log.heads[-1].total_loss or 0.0)


def test_real_evaluation(real: Path) -> None:
    (found,) = load(real / "alexeyab_map_sample.log").evaluations
    assert (found.map, found.tp, found.fp, found.fn, found.average_iou) == (0.204534, 127, 227, 139, 0.2306)
    assert [c.name for c in found.classes] == ["RBC", "WBC", "Platelets"]
