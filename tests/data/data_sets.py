# SPDX-License-Identifier: Apache-2.0
"""Data sets made in memory, and the generator of shapes, for the tests of operations."""

from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path
from types import ModuleType

from pydarknet.data import Dataset, Sample


def sample(name: str, *classes: int, split: str = "", size: tuple[int, int] = (100, 100)) -> Sample:
    """An image that need not exist, with one 10x10 box per class index, side by side."""
    boxes = [(10 * i, 0, 10 * i + 10, 10) for i in range(len(classes))]
    return Sample(Path("/images") / name, boxes=boxes, classes=classes, size=size, split=split, name=name)


def dataset(*samples: Sample, names: str = "abcde") -> Dataset:
    return Dataset(samples, names)


def split_sizes(data: Dataset) -> dict[str, int]:
    return dict(Counter(s.split for s in data))


def names_of(data: Dataset) -> list[str]:
    return [s.name for s in data]


def shapes() -> ModuleType:
    """The module ``tools/shapes.py``."""
    path = Path(__file__).parents[2] / "tools" / "shapes.py"
    spec = importlib.util.spec_from_file_location("shapes", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
