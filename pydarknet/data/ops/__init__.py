# SPDX-License-Identifier: Apache-2.0
"""Operations on data sets. Each takes a :class:`~pydarknet.data.Dataset` and returns a new one.

>>> thinned = ops.balance(ops.drop_images(dataset, "count(screwdriver) > 3"), max_ratio=1.2)
>>> divided = ops.split(thinned, (0.8, 0.2), stratify=True, seed=42)
"""

from __future__ import annotations

from pydarknet.data.ops.balance import balance, class_counts, oversample
from pydarknet.data.ops.classes import merge, remap
from pydarknet.data.ops.select import (
    drop_boxes,
    drop_duplicates,
    drop_images,
    drop_small,
    only_class,
    shuffled,
)
from pydarknet.data.ops.split import folds, split, split_sizes
from pydarknet.data.ops.table import BoxRow, table

__all__ = [
    "BoxRow",
    "balance",
    "class_counts",
    "drop_boxes",
    "drop_duplicates",
    "drop_images",
    "drop_small",
    "folds",
    "merge",
    "only_class",
    "oversample",
    "remap",
    "shuffled",
    "split",
    "split_sizes",
    "table",
]
