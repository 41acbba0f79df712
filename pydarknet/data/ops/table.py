# SPDX-License-Identifier: Apache-2.0
"""A data set as rows, for data frames and spreadsheets: ``pandas.DataFrame(table(dataset))``."""

from __future__ import annotations

from typing import TypedDict

from pydarknet.data.dataset import Dataset, Flag


class BoxRow(TypedDict):
    """One box; sizes and corners in pixels on edges."""

    image: str
    split: str
    width: int
    height: int
    label: str
    x1: float
    y1: float
    x2: float
    y2: float
    flags: str


def table(dataset: Dataset) -> list[BoxRow]:
    """One row per box; images without boxes have none. The label of a box of any class is ``""``."""
    return [
        BoxRow(
            image=str(sample.image),
            split=sample.split,
            width=sample.width,
            height=sample.height,
            label=dataset.names[class_id] if class_id >= 0 else "",
            x1=x1,
            y1=y1,
            x2=x2,
            y2=y2,
            flags="|".join(flag.name.lower() for flag in Flag if flag.name and flag & flags),
        )
        for sample in dataset
        for class_id, (x1, y1, x2, y2), flags in zip(
            sample.classes.tolist(), sample.boxes.tolist(), sample.flags.tolist(), strict=True
        )
    ]
