# SPDX-License-Identifier: Apache-2.0
"""Writes logs in the grammar of each Darknet, from the same numbers."""

# ruff: noqa: UP031  the formats are those of C

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

# iteration, loss, average, rate, seconds, images, hours left
Row = tuple[int, float, float, float, float, int, float]


def classic(row: Row) -> str:
    return "%d: %f, %f avg, %f rate, %f seconds, %d images\n" % row[:6]


def alexeyab_2018(row: Row) -> str:
    return "\n %d: %f, %f avg loss, %f rate, %f seconds, %d images\n" % row[:6]


def alexeyab_2020(row: Row) -> str:
    title = "\x1b[H\x1b[J%d/%d: loss=%0.1f hours left=%0.1f\x07" % (row[0], 200, row[1], row[6])
    main = "\n %d: %f, %f avg loss, %f rate, %f seconds, %d images, %f hours left\n" % row
    return f"\n (next mAP calculation at 100 iterations) {title}{main}"


def old_title(row: Row) -> str:
    title = "\x1b]2;%d/%d: loss=%0.1f hours left=%0.1f\x07" % (row[0], 200, row[1], row[6])
    return title + "\n %d: %f, %f avg loss, %f rate, %f seconds, %d images, %f hours left\n" % row


def darknet_v3(row: Row) -> str:
    text = "%d: loss=%f, avg loss=%f, rate=%f, %f milliseconds, %d images, time remaining=%f hours\n"
    return text % (*row[:4], row[4] * 1000, *row[5:])


def darknet_v5(row: Row) -> str:
    """With colours, and the mAP in the line."""
    text = (
        "\x1b[1;37m%d\x1b[0m: loss=%f, avg loss=\x1b[1;32m%f\x1b[0m, last=68.62%%, best=73.10%%, mAP=700, "
        "rate=%f, load 64=20.2 milliseconds, train=%f seconds, %d images, time remaining=%f hours\n"
    )
    return text % row


def classifier(row: Row) -> str:
    return "%d, 0.512: %f, %f avg, %f rate, %f seconds, %d images, %f hours left\n" % row


GRAMMARS: dict[str, Callable[[Row], str]] = {
    "classic": classic,
    "alexeyab_2018": alexeyab_2018,
    "alexeyab_2020": alexeyab_2020,
    "old_title": old_title,
    "darknet_v3": darknet_v3,
    "darknet_v5": darknet_v5,
    "classifier": classifier,
}

HEAD = (
    "v3 (iou loss, Normalizer: (iou: 0.07, obj: 1.00, cls: 1.00) Region 30 Avg (IOU: 0.512000), count: 12, "
    "class_loss = 3.250000, iou_loss = 1.500000, total_loss = 4.750000 \n"
)
BOXES = " total_bbox = 136, rewritten_bbox = 1.470588 % \n"


def evaluation(mean: float, names: Sequence[str] = ("cat", "dog")) -> str:
    """Darknet's output after an evaluation; both classes get the mean."""
    lines = ["\n calculation mAP (mean average precision)...\n"]
    for number, name in enumerate(names):
        back = "\r" if number == 0 else ""
        lines.append(
            f"{back}class_id = {number}, name = {name}, ap = {100 * mean:.2f}%   \t (TP = 7, FP = 3) \n"
        )
    lines.append("\n for conf_thresh = 0.25, precision = 0.70, recall = 0.50, F1-score = 0.58 \n")
    lines.append(" for conf_thresh = 0.25, TP = 14, FP = 6, FN = 14, average IoU = 55.50 % \n")
    lines.append("\n IoU threshold = 50 %, used Area-Under-Curve for each unique Recall \n")
    lines.append(f" mean average precision (mAP@0.50) = {mean:.6f}, or {100 * mean:.2f} % \n")
    lines.append(f"\n mean_average_precision (mAP@0.50) = {mean:.6f} \nNew best mAP!\n")
    return "".join(lines)


def rows(count: int, start: int = 1, loss: Callable[[int], float] | None = None) -> list[Row]:
    """A training whose loss falls like 1/n by default; batch 8, burn-in of 10 iterations."""
    average = math.nan
    result = []
    for n in range(start, start + count):
        value = loss(n) if loss else round(50 / n + 1, 6)
        average = value if math.isnan(average) else round(0.9 * average + 0.1 * value, 6)
        result.append((n, value, average, round(0.001 * min(1, n / 10) ** 4, 6), 0.5, 8 * n, 1.0))
    return result
