# SPDX-License-Identifier: Apache-2.0
"""An evaluation as JSON values and as a table for a console."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from pydarknet.evaluation.average_precision import RECALLS
from pydarknet.evaluation.curves import CONFIDENCES
from pydarknet.evaluation.slices import Slice

if TYPE_CHECKING:
    from pydarknet.evaluation.curves import Curves
    from pydarknet.evaluation.evaluation import Evaluation

STEP = 10  # of the 1001 confidences 101 are written
WORST = 20  # images that are listed


def to_dict(evaluation: Evaluation) -> dict[str, Any]:
    """All of an evaluation as JSON values; undefined ones are None.

    The settings are ``protocol``, ``thresh``, ``iou_thresh``, ``points``; the counts ``images``, ``truths``,
    ``detections``.  ``map``, ``precision``, ``recall``, ``f1``, ``tp``, ``fp``, ``fn`` and ``average_iou``
    are Darknet's at ``iou_thresh``, ``map50`` at 0.5; ``coco`` has COCO's twelve numbers, ``voc07`` and
    ``voc12`` VOC's mAP.
    ``classes`` has a row for each class; the rest are the attributes of the evaluation of those names.
    """
    darknet = evaluation.darknet
    keys = ("truths", "detections", "map", "precision", "recall", "f1", "tp", "fp", "fn", "average_iou")
    table = {
        "protocol": f"Darknet mAP@{evaluation.iou_thresh:g}, {_ranking(evaluation.points)}",
        "thresh": evaluation.thresh,
        "iou_thresh": evaluation.iou_thresh,
        "points": evaluation.points,
        "images": len(evaluation.images),
        **{key: getattr(darknet, key) for key in keys},
        "map50": evaluation.map50,
        "map5095": evaluation.map5095,
        "fitness": evaluation.fitness,
        "coco": evaluation.coco.stats,
        "voc07": evaluation.voc(11).map,
        "voc12": evaluation.voc().map,
        "classes": _classes(evaluation),
        "slices": {kind: [_slice(one) for one in parts] for kind, parts in evaluation.slices.items()},
        "confusion": {
            "names": evaluation.confusion.names,
            "counts": evaluation.confusion.counts,
            "thresh": evaluation.confusion.thresh,
            "iou_thresh": evaluation.confusion.iou_thresh,
        },
        "curves": _curves(evaluation.curves),
        "calibration": {
            **vars(evaluation.calibration),
            "ece": evaluation.calibration.ece,
            "ece_above_thresh": evaluation.calibration.ece_from(evaluation.thresh),
        },
        "worst": [
            {
                "image": verdict.image,
                "path": verdict.judged.path,
                "tp": verdict.right.sum(),
                "fp": verdict.wrong.sum(),
                "fn": verdict.missed.sum(),
            }
            for verdict in evaluation.worst(WORST)
        ],
        "saturation": asdict(evaluation.saturation),
    }
    plain: dict[str, Any] = _plain(table)
    return plain


def _ranking(points: int) -> str:
    return f"{points} points of recall" if points else "area under the curve"


def _classes(evaluation: Evaluation) -> list[dict[str, Any]]:
    truths = evaluation.columns.positives(len(evaluation.names))
    coco = evaluation.coco
    return [
        {
            "name": row.name,
            "truths": count,
            "ap": row.ap,
            "tp": row.tp,
            "fp": row.fp,
            "fn": count - row.tp,
            "coco_ap50": ap50,
            "coco_ap": ap,
        }
        for row, count, ap50, ap in zip(
            evaluation.darknet.classes, truths, coco.precision[0, 0], coco.class_ap, strict=True
        )
    ]


def _slice(one: Slice) -> dict[str, Any]:
    return {**asdict(one), "fn": one.fn, "precision": one.precision, "recall": one.recall}


def _curves(curves: Curves) -> dict[str, Any]:
    best = curves.best_confidence
    over = {"precision": curves.precision, "recall": curves.recall, "f1": curves.f1}
    return {
        "confidence": CONFIDENCES[::STEP].round(3),
        **{name: curves.mean(values)[::STEP].round(4) for name, values in over.items()},
        "recall_points": RECALLS.round(2),
        "precision_at_recall": curves.mean(curves.precision_at_recall).round(4),
        "best_confidence": best,
        "best": dict(zip(over, curves.at(best), strict=True)),
        "classes": [
            {
                "name": name,
                **{key: values[i, ::STEP].round(4) for key, values in over.items()},
                "precision_at_recall": curves.precision_at_recall[i].round(4),
            }
            for i, name in enumerate(curves.names)
            if not np.isnan(curves.recall[i, 0])
        ],
    }


def _plain(value: Any) -> Any:
    """JSON values: NumPy numbers become Python numbers, non-finite ones None."""
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def text(evaluation: Evaluation) -> str:
    """A row for each class and one for all, then the slices, in percent."""
    darknet = evaluation.darknet
    rows: list[list[Any]] = [["class", "truths", "AP", "AP50-95", "TP", "FP", "FN"]]
    for row in _classes(evaluation):
        rows.append([row["name"], row["truths"], *map(percent, (row["ap"], row["coco_ap"]))])
        rows[-1] += [row["tp"], row["fp"], row["fn"]]
    means = [percent(darknet.map), percent(evaluation.map5095)]
    rows.append(["all", darknet.truths, *means, darknet.tp, darknet.fp, darknet.fn])
    blocks = [_table(rows)]
    for kind, parts in evaluation.slices.items():
        head = [kind, "images", "truths", "AP", "precision", "recall"]
        lines = [
            [s.name, s.images, s.truths, *map(percent, (s.ap, s.precision, s.recall))]
            for s in parts
            if s.images
        ]
        blocks.append(_table([head, *lines]))
    best = evaluation.curves.best_confidence
    precision, recall, f1 = evaluation.curves.at(best)
    blocks.append(
        f"AP: Darknet, IoU > {evaluation.iou_thresh:g}, {_ranking(evaluation.points)}; "
        "AP50-95: COCO\n"
        f"TP, FP, FN at confidence > {evaluation.thresh:g} as Darknet counts them: "
        "of several detections of one object, the first listed is true, not the most confident\n"
        f"best mean F1 {f1:.3f} at confidence {best:.3f} (precision {precision:.3f}, recall {recall:.3f})"
    )
    return "\n\n".join(blocks)


def percent(value: float) -> str:
    """A fraction in percent, without the sign; ``-`` if it is not finite."""
    return "-" if not math.isfinite(value) else f"{100 * value:.2f}"


def _table(rows: list[list[Any]]) -> str:
    """Columns as wide as needed, the first left-aligned, the others right-aligned."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        first, *others = (
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join([first, *others]))
    return "\n".join(lines)
