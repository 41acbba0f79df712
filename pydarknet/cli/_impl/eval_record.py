# SPDX-License-Identifier: Apache-2.0
"""What a training wrote beside ``NAME_best.weights`` about their mAP, held against the one measured now."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydarknet.data import Dataset
from pydarknet.data.fingerprint import fingerprint
from pydarknet.evaluation.evaluation import Evaluation


def recorded(weights: str, evaluation: Evaluation, dataset: Dataset, conditions: Mapping[str, Any]) -> str:
    """A line that says whether the number is that of the training, and if not, what was otherwise.

    Args:
        weights: path of the weights; the record has its name, ending in ``.json``.
        evaluation: measured now.
        dataset: that it was measured on.
        conditions: under which.

    Returns:
        The line; "" where there is no such record.
    """
    path = Path(weights).with_suffix(".json")
    try:
        told = json.loads(path.read_bytes())
        then, valid, value = dict(told["protocol"]), dict(told["valid"]), float(told["map50"])
        iteration = int(told["iteration"])
    except (OSError, ValueError, KeyError, TypeError):  # not there, or somebody else's
        return ""
    said = f"{path.name}: map50 was {100 * value:.2f} at iteration {iteration}"
    if value == evaluation.map50:
        return f"{said}, exactly as here"
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
    return f"{said}, measured with {', '.join(other) or 'the same images and settings; the weights changed'}"
