# SPDX-License-Identifier: Apache-2.0
"""A small data set without a fault, into which tests put one."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np


class Images:
    """A Darknet data set on the disk: 12 images to train on and 4 to validate on, without a fault."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.names = ["cat", "dog"]
        self.rng = np.random.default_rng(7)
        for split, count in (("train", 12), ("valid", 4)):
            for number in range(count):
                self.add(split, f"{split}{number}", f"{number % 2} 0.5 0.5 0.3 0.4\n")
        self.write()

    def image(self, split: str, name: str) -> Path:
        return self.root / split / f"{name}.png"

    def label(self, split: str, name: str) -> Path:
        return self.image(split, name).with_suffix(".txt")

    def add(self, split: str, name: str, label: str | None) -> Path:
        path = self.image(split, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = self.rng.integers(0, 255, (6, 8, 3), np.uint8)
        cv2.imwrite(str(path), cv2.resize(coarse, (160, 120), interpolation=cv2.INTER_CUBIC))
        if label is not None:
            self.label(split, name).write_text(label)
        return path

    def write(self, **data: str | None) -> Path:
        """Write lists, names and the ``.data`` file again."""
        for split in ("train", "valid"):
            paths = sorted((self.root / split).rglob("*.png"))
            (self.root / f"{split}.txt").write_text("".join(f"{path}\n" for path in paths))
        (self.root / "obj.names").write_text("".join(f"{name}\n" for name in self.names))
        (self.root / "backup").mkdir(exist_ok=True)
        rows: dict[str, str | None] = {
            "classes": str(len(self.names)),
            "train": str(self.root / "train.txt"),
            "valid": str(self.root / "valid.txt"),
            "names": str(self.root / "obj.names"),
            "backup": str(self.root / "backup"),
            **data,
        }
        file = self.root / "obj.data"
        file.write_text("".join(f"{key} = {value}\n" for key, value in rows.items() if value is not None))
        return file
