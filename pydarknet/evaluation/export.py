# SPDX-License-Identifier: Apache-2.0
"""Write an evaluation to files: JSON, CSV tables, plots and the worst images."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydarknet.engine.detections import Detections
from pydarknet.evaluation import plots, worst_images
from pydarknet.evaluation.average_precision import RECALLS
from pydarknet.evaluation.curves import CONFIDENCES
from pydarknet.evaluation.evaluation import Evaluation
from pydarknet.streaming.outputs.result_files import Found
from pydarknet.system.atomic import write_text


def save(
    evaluation: Evaluation,
    folder: str | Path,
    *,
    worst: int = 10,
    extra: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write all of an evaluation into a folder.

    ``evaluation.json``; ``confusion``, ``pr``, ``f1``, ``p``, ``r``, ``calibration`` and ``slices`` as
    ``.png``; ``confusion.csv``, ``pr.csv`` and ``curves.csv``; ``worst.jpg``.

    Args:
        evaluation: the numbers.
        folder: made if it is not there; files of these names are replaced.
        worst: images with most mistakes that are drawn; at most 16.
        extra: entries that come first in ``evaluation.json``, such as the conditions of the measurement.

    Returns:
        The files.

    Raises:
        FileError: one cannot be written.
        DataError: an image to draw cannot be read.
    """
    folder = Path(folder)
    texts = {
        "evaluation.json": json.dumps({**(extra or {}), **evaluation.to_dict()}, indent=1) + "\n",
        "confusion.csv": evaluation.confusion.csv(),
        "pr.csv": pr_csv(evaluation),
        "curves.csv": curves_csv(evaluation),
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    charts = {folder / f"{name}.png": draw for name, draw in plots.CHARTS.items()}
    for path, draw in charts.items():
        plots.save(draw(evaluation), path)
    written = [*(folder / name for name in texts), *charts]
    if worst and (chosen := evaluation.worst(min(worst, worst_images.MOST))):
        worst_images.save_sheet(chosen, evaluation.names, folder / "worst.jpg", thresh=evaluation.thresh)
        written.append(folder / "worst.jpg")
    else:
        (folder / "worst.jpg").unlink(missing_ok=True)  # left by an earlier evaluation
    return written


def pr_csv(evaluation: Evaluation) -> str:
    """Precision at 101 points of recall, a column for each class; empty where a class has no truths."""
    values = evaluation.curves.precision_at_recall
    rows = ([f"{x:.2f}", *map(_number, column)] for x, column in zip(RECALLS, values.T, strict=True))
    return _csv(["recall", *evaluation.names], rows)


def curves_csv(evaluation: Evaluation) -> str:
    """Precision, recall and F1 of each class at 1001 confidences."""
    curves = evaluation.curves
    kinds = {"precision": curves.precision, "recall": curves.recall, "f1": curves.f1}
    header = ["confidence", *(f"{kind} {name}" for kind in kinds for name in evaluation.names)]
    rows = (
        [f"{x:.3f}", *(_number(value) for values in kinds.values() for value in values[:, i])]
        for i, x in enumerate(CONFIDENCES)
    )
    return _csv(header, rows)


def found_in(evaluation: Evaluation) -> Found:
    """Paths and detections, as :mod:`pydarknet.streaming.outputs.result_files` writes them."""
    return [
        (
            Path(one.path),
            Detections(
                one.boxes.astype("f4"), one.scores.astype("f4"), one.classes, evaluation.names, one.size
            ),
        )
        for one in evaluation.images
    ]


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"


def _csv(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
