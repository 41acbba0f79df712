# SPDX-License-Identifier: Apache-2.0
"""At most N images per class, chosen by seed, with rare classes served first."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable

from pydarknet.system.text import encode


def limited(images: Iterable[tuple[str, str, frozenset[int]]], limit: int, seed: int) -> bytearray:
    """Choose images so that no class is in more than ``limit`` images of a split.

    An image is taken if each of its classes still has room; images of rare classes come first, so that a
    class that always stands beside a frequent one is not crowded out. Images without classes are all taken.

    Args:
        images: (split, name, class indices) of every image.
        limit: images per class and split.
        seed: chooses among equals; the choice depends on the names only, not on the order.

    Returns:
        1 for each image taken, 0 for each left out, in the order given.
    """
    table = list(images)
    frequency = Counter((split, label) for split, _, labels in table for label in labels)

    def rank(number: int) -> tuple[int, bytes]:
        split, name, labels = table[number]
        rarest = min((frequency[split, label] for label in labels), default=0)
        return rarest, hashlib.sha256(encode(f"{seed}|{split}|{name}")).digest()

    taken = bytearray(len(table))
    used: Counter[tuple[str, int]] = Counter()
    for number in sorted(range(len(table)), key=rank):
        split, _, labels = table[number]
        if all(used[split, label] < limit for label in labels):
            taken[number] = 1
            used.update((split, label) for label in labels)
    return taken
