# SPDX-License-Identifier: Apache-2.0
"""Images that are the same file, or that look the same.

Equal files are found by content hash. Look-alikes are found by a perceptual hash (64 signs of the lowest
cosine frequencies of a 32x32 grey thumbnail; Zauner, "Implementation and Benchmarking of Perceptual Image
Hash Functions", 2010) and confirmed by the correlation of the thumbnails, because by the hash alone any
two photographs of one scene count as copies.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from pydarknet.data.issues import Report
from pydarknet.engine.images import glance
from pydarknet.system.notify import Progress, counted, no_progress

#: At most this many of 64 hash bits differ between copies…
MAX_DISTANCE = 8
#: …and the thumbnails correlate at least this much.
MIN_CORRELATION = 0.95

_SIDE, _BITS = 32, 64
_THREADS = 4
T = TypeVar("T")


def content_groups(
    images: Sequence[Path], *, report: Report | None = None, progress: Progress = no_progress
) -> list[list[int]]:
    """Indices of images with equal file contents, each group in ascending order.

    Args:
        images: image files.
        report: receives the images that cannot be read; they belong to no group.
        progress: called with ("compare", images done, images in total).
    """
    # Equal files have equal sizes, so only those of a shared size need to be read.
    sizes = [path.stat().st_size if path.is_file() else None for path in images]
    shared = [members for members in _grouped(sizes) if len(members) > 1]
    chosen = sorted(number for members in shared for number in members)
    digests = _each(_digest, [images[number] for number in chosen], progress)
    for number, size in enumerate(sizes):
        if size is None and report is not None:
            report.add("missing-image", "no such image", images[number], action="not compared")
    return [[chosen[i] for i in members] for members in _grouped(list(digests)) if len(members) > 1]


def near_clusters(
    images: Sequence[Path], *, report: Report | None = None, progress: Progress = no_progress
) -> list[list[int]]:
    """Indices of images that look alike, copies included, each cluster in ascending order.

    Args:
        images: image files.
        report: receives the images that cannot be read; they belong to no cluster.
        progress: called with ("compare", images done, images in total).
    """
    thumbnails = list(_each(thumbnail, images, progress))
    known = [number for number, small in enumerate(thumbnails) if small is not None]
    for number, small in enumerate(thumbnails):
        if small is None and report is not None:
            report.add("unreadable-image", "cannot be decoded", images[number], action="not compared")
    if not known:
        return []
    stack = np.stack([small for small in thumbnails if small is not None])
    clusters = _clusters(len(known), _pairs(perceptual_hashes(stack), stack))
    return [[known[i] for i in members] for members in clusters]


def repeated(first: Sequence[Path], second: Sequence[Path], *, near: bool) -> list[tuple[Path, Path]]:
    """Images of one list that repeat images of another; a file that is in both lists is not a repetition.

    Args:
        first: image files.
        second: image files.
        near: decode all images and find look-alikes; otherwise find files of equal content only.

    Returns:
        Pairs (image of ``first``, its repetition in ``second``), at most one for each image of ``second``.
    """
    images = [*first, *second]
    pairs = []
    for group in near_clusters(images) if near else content_groups(images):
        originals = [images[number] for number in group if number < len(first)]
        for number in group:
            path = images[number]
            if number >= len(first) and originals and not any(map(path.samefile, originals)):
                pairs.append((originals[0], path))
    return pairs


def thumbnail(path: Path) -> NDArray[np.uint8] | None:
    """The image as (32, 32) uint8 grey, or ``None`` if it cannot be decoded."""
    image = glance(path, cv2.IMREAD_GRAYSCALE)
    if image is None:
        return None
    return np.asarray(cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def perceptual_hashes(thumbnails: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """One 64-bit hash for each of (n, 32, 32) thumbnails; few bits differ between look-alikes."""
    frequencies = _cosines() @ thumbnails.astype(np.float64) @ _cosines().T  # (n, 8, 8)
    flat = frequencies.reshape(len(thumbnails), _BITS)
    bits = flat > np.median(flat, axis=1, keepdims=True)
    return np.packbits(bits, axis=1).view(">u8").astype(np.uint64).reshape(-1)


@functools.cache
def _cosines() -> NDArray[np.float64]:
    """The 8 lowest non-constant basis vectors of the cosine transform, (8, 32)."""
    k = np.arange(1, 9)[:, None]
    return np.cos(np.pi * k * (2 * np.arange(_SIDE) + 1) / (2 * _SIDE))


def _pairs(hashes: NDArray[np.uint64], thumbnails: NDArray[np.uint8]) -> Iterator[tuple[int, int]]:
    """Pairs that look alike. Two hashes that differ in d bits agree in one of d + 1 bands, so that only
    images with an equal band have to be compared."""
    flat = thumbnails.reshape(len(thumbnails), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    edges = np.linspace(0, _BITS, MAX_DISTANCE + 2).astype(int)
    for low, high in itertools.pairwise(edges):
        band = (hashes >> np.uint64(low)) & np.uint64((1 << int(high - low)) - 1)
        order = np.argsort(band, kind="stable")
        starts = np.flatnonzero(np.diff(band[order], prepend=band[order[0]] + np.uint64(1)))
        for members in np.split(order, starts[1:]):
            for place, first in enumerate(members[:-1]):
                others = members[place + 1 :]
                others = others[_bit_counts(hashes[others] ^ hashes[first]) <= MAX_DISTANCE]
                alike = others[flat[others] @ flat[first] >= MIN_CORRELATION]
                yield from ((int(first), int(other)) for other in alike)


def _bit_counts(values: NDArray[np.uint64]) -> NDArray[np.int64]:
    halves = values.view(np.uint16).reshape(-1, 4)
    return np.asarray(_ones_in_16_bits()[halves].sum(axis=1), np.int64)


@functools.cache
def _ones_in_16_bits() -> NDArray[np.uint8]:
    every = np.arange(1 << 16, dtype=np.uint16).view(np.uint8).reshape(-1, 2)
    return np.asarray(np.unpackbits(every, axis=1).sum(axis=1), np.uint8)


def _clusters(n: int, pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Connected components of more than one member."""
    parent = list(range(n))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = i = parent[parent[i]]
        return i

    for a, b in pairs:
        low, high = sorted((root(a), root(b)))
        parent[high] = low
    return [members for members in _grouped([root(i) for i in range(n)]) if len(members) > 1]


def _grouped(keys: Sequence[Hashable]) -> list[list[int]]:
    """Positions of equal keys, ``None`` left out, in order of first appearance."""
    groups: defaultdict[Hashable, list[int]] = defaultdict(list)
    for number, key in enumerate(keys):
        if key is not None:
            groups[key].append(number)
    return list(groups.values())


def _digest(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            digest = hashlib.blake2b(digest_size=16)
            while block := file.read(1 << 20):
                digest.update(block)
            return digest.digest()
    except OSError:
        return None


def _each(work: Callable[[Path], T], paths: Sequence[Path], progress: Progress) -> Iterator[T]:
    """``work`` on every path in order, in threads: decoding and hashing release the interpreter lock."""
    with ThreadPoolExecutor(_THREADS) as pool:
        yield from counted(pool.map(work, paths), progress, "compare", len(paths))
