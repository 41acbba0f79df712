# SPDX-License-Identifier: Apache-2.0
"""Find images of one list again in another: by content, and by what they look like.

Looks are compared by difference hashes (N. Krawetz, "Kind of Like That", 2013): 64 bits that say whether
brightness rises from one cell of an 8×9 grid to the next.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ALIKE = 2  # bits that may differ


def near_duplicates(first: Sequence[Path], second: Sequence[Path], *, looks: bool) -> list[tuple[Path, Path]]:
    """Pairs (of the first list, of the second) that are equal or nearly so; the same file is no pair.

    Args:
        first: image files.
        second: image files.
        looks: decode all images and compare what they look like; otherwise only bytes count.
    """
    return _alike(first, second) if looks else _equal(first, second)


def _equal(first: Sequence[Path], second: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Files of equal bytes; only files of equal length are read."""
    by_length: dict[int, list[Path]] = defaultdict(list)
    for path in first:
        with suppress(OSError):
            by_length[path.stat().st_size].append(path)
    pairs, digests = [], {}

    def digest(path: Path) -> bytes:
        if path not in digests:
            digests[path] = hashlib.blake2b(path.read_bytes()).digest()
        return digests[path]

    for path in second:
        with suppress(OSError):
            for other in by_length.get(path.stat().st_size, ()):
                if not path.samefile(other) and digest(path) == digest(other):
                    pairs.append((other, path))
                    break
    return pairs


def difference_hash(path: Path) -> int | None:
    """64 bits of what an image looks like; None if it cannot be decoded or shows nothing."""
    import cv2

    from pydarknet.engine.images import glance

    image = glance(path, cv2.IMREAD_GRAYSCALE)
    if image is None:
        return None
    grid: NDArray[np.uint8] = np.asarray(cv2.resize(image, (9, 8), interpolation=cv2.INTER_AREA))
    if int(grid.max()) - int(grid.min()) < 8:
        return None  # one flat colour resembles every other
    bits = (grid[:, 1:] > grid[:, :-1]).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _alike(first: Sequence[Path], second: Sequence[Path]) -> list[tuple[Path, Path]]:
    known = [(value, path) for path in first if (value := difference_hash(path)) is not None]
    codes = np.array([value for value, _ in known], np.uint64)
    pairs = []
    for path in second:
        value = difference_hash(path)
        if value is None or not len(codes):
            continue
        different = np.unpackbits((codes ^ np.uint64(value)).view(np.uint8).reshape(-1, 8), axis=1).sum(1)
        nearest = int(different.argmin())
        if different[nearest] <= ALIKE and not path.samefile(known[nearest][1]):
            pairs.append((known[nearest][1], path))
    return pairs
