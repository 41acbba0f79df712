# SPDX-License-Identifier: Apache-2.0
"""A trained network, its images, and what Darknet found in them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np


@dataclass(frozen=True)
class Model:
    """Yolo-Fastest 1.1-xl (COCO), and what ``darknet detector test -thresh 0.1`` found."""

    fixtures: Path
    data: Path

    @property
    def cfg(self) -> Path:
        return self.fixtures / "nets/yolo-fastest-1.1-xl.cfg"

    @property
    def weights(self) -> Path:
        return self.cfg.with_suffix(".weights")

    @property
    def names(self) -> list[str]:
        return (self.fixtures / "nets/coco.names").read_text().splitlines()

    def image(self, name: str) -> Path:
        return self.fixtures / "images" / f"{name}.jpg"

    def pixels(self, name: str) -> np.ndarray:
        return cv2.imread(str(self.image(name)))

    def planes(self, name: str) -> np.ndarray:
        """float32 (c, h, w), red first, as an ``image`` holds it."""
        return np.ascontiguousarray(
            self.pixels(name)[:, :, ::-1].transpose(2, 0, 1), np.float32
        ) / np.float32(255)

    def expected(self, name: str, thresh: float = 0.11) -> np.ndarray:
        """Rows of class, confidence, relative x, y, w, h; most confident first."""
        path = self.fixtures / f"nets/yolo-fastest-1.1-xl.{name}.json"
        rows = []
        for entry in json.loads(path.read_text())[0]["objects"]:
            box = entry["relative_coordinates"]
            place = [box[key] for key in ("center_x", "center_y", "width", "height")]
            rows.append([entry["class_id"], entry["confidence"], *place])
        return ordered([row for row in rows if row[1] > thresh])


def ordered(rows: list[list[float]]) -> np.ndarray:
    """Rows (class, confidence, ...) as an array, most confident first."""
    table = np.array(rows, float).reshape(len(rows), -1)
    return table[np.argsort(-table[:, 1], kind="stable")] if len(table) else table
