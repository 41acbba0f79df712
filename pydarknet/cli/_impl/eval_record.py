# SPDX-License-Identifier: Apache-2.0
"""Comparison of the mAP that a training recorded beside ``NAME_best.weights`` with the current one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydarknet.data import Dataset
from pydarknet.data.fingerprint import fingerprint
from pydarknet.evaluation.evaluation import Evaluation


def recorded(weights: str, evaluation: Evaluation, dataset: Dataset, conditions: Mapping[str, Any]) -> str:
    """Report whether the mAP is that of the training, and if not, which conditions differ.

    Args:
        weights: path of the weights; the record has its name, ending in ``.json``.
        evaluation: the current evaluation.
        dataset: its data set.
        conditions: its settings.

    Returns:
        One line; "" if there is no record.
    """
    path = Path(weights).with_suffix(".json")
    try:
        record = json.loads(path.read_bytes())
        then, valid, value = dict(record["protocol"]), dict(record["valid"]), float(record["map50"])
        iteration = int(record["iteration"])
    except (OSError, ValueError, KeyError, TypeError):  # missing, or another kind of file
        return ""
    text = f"{path.name}: map50 was {100 * value:.2f} at iteration {iteration}"
    if value == evaluation.map50:
        return f"{text}, exactly as here"
    width, height = conditions["size"]
    now = {
        "width": width,
        "height": height,
        "letter_box": conditions["resize"] == "letterbox",
        **{key: conditions[key] for key in ("score", "nms", "backend", "precision", "pydarknet")},
    }
    other = [f"{key} {then.get(key)}" for key, value in now.items() if then.get(key) != value]
    if valid.get("sha256") != fingerprint(dataset.samples):
        other.insert(0, "other images or labels")
    if (evaluation.iou_thresh, evaluation.points) != (0.5, 0):
        other.append("the area under the curve at IoU 0.5")
    return f"{text}, measured with {', '.join(other) or 'the same images and settings; the weights changed'}"
