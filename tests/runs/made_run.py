# SPDX-License-Identifier: Apache-2.0
"""The folder of a run as a training leaves it, made without training."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np

EVIL = "<script>window.stolen = 1</script>"
NAMES = ("cat", EVIL, "$dog$")


def row(iteration: int, **more: Any) -> dict[str, Any]:
    """A line of ``results.jsonl``; mAP is measured at every tenth iteration."""
    loss = 900 * math.exp(-iteration / 12) + 3
    found = {
        "session": 0,
        "iteration": iteration,
        "loss": loss,
        "avg_loss": loss * 1.1,
        "class_loss": loss / 2,
        "iou_loss": loss / 4,
        "rate": 0.001,
        "iou": 0.5,
        "images": 16 * iteration,
        "images_per_second": 20.0,
        "seconds": 0.8,
        "load": 0.08,
        "rss_mb": 512.0,
        "hours_left": 1.5,
        "map": None,
    }
    if iteration % 10 == 0:
        share = 1 - math.exp(-iteration / 30)
        found |= {"map": 0.8 * share, "map5095": 0.5 * share, "precision": 0.7, "recall": 0.6}
        found |= {"f1": 0.646, "val_loss": loss * 1.5}
    return {**found, **more}


def append(folder: Path, *rows: dict[str, Any]) -> None:
    with (folder / "results.jsonl").open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def evaluation() -> dict[str, Any]:
    classes = [
        {"name": name, "truths": 10 * (i + 1), "ap": 0.9 - 0.2 * i, "tp": 8, "fp": 3, "coco_ap": 0.4}
        for i, name in enumerate(NAMES)
    ]
    return {
        "protocol": "darknet",
        "thresh": 0.25,
        "images": 30,
        "truths": 60,
        "detections": 200,
        "map50": 0.7,
        "map5095": 0.4,
        "tp": 24,
        "fp": 9,
        "classes": classes,
    }


def make(folder: Path, rows: int = 40, *, ended: str = "", evil: str = EVIL) -> Path:
    """Write the folder.

    Args:
        folder: to make.
        rows: iterations done, of 100.
        ended: stop reason; "" for a run that was killed.
        evil: text in every place where text of others is shown.
    """
    folder.mkdir(parents=True)
    session = {"command": ["pydarknet", "train", evil], "host": "host", "started": "2026-01-02T03:04:05+0000"}
    if ended:
        session |= {"ended": "2026-01-02T04:04:05+0000", "reason": ended}
    config = {"cfg": "/x/pets.cfg", "data": evil, "out": f"/x/{folder.name}", "weights": None, "seed": 7}
    table = {"sessions": [session], "config": config, "versions": {"pydarknet": "0.1.0"}}
    (folder / "run.json").write_text(json.dumps(table))
    (folder / "pets.cfg").write_text("[net]\nbatch=16\nmax_batches=100\n[convolutional]\nfilters=8\n")
    append(folder, *(row(i + 1) for i in range(rows)))
    (folder / "evaluation.json").write_text(json.dumps(evaluation()))
    found = {"rule": "D-01", "severity": "warning", "message": f"loss {evil} rises", "iteration": 20}
    (folder / "findings.jsonl").write_text(json.dumps(found) + "\n")
    checks = [{"rule": "L-06", "severity": "note", "message": "burn_in is short", "hint": evil}]
    (folder / "preflight.json").write_text(json.dumps({"findings": checks}))
    (folder / "train.log").write_text(f"1: 2.0, 2.0 avg loss\n{evil}\nthe last line of the log\n")
    for name in ("val_0.jpg", "train_batch0.jpg", "labels.png"):
        cv2.imwrite(str(folder / name), np.full((60, 90, 3), 120, np.uint8))
    return folder
