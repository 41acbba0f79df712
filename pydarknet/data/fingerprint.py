# SPDX-License-Identifier: Apache-2.0
"""Fingerprints of a set of labelled images."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from pydarknet.data.dataset import Sample


def fingerprint(samples: Sequence[Sample]) -> str:
    """SHA-256 (hex) of the image names and their labels; does not depend on where the folder is stored."""
    folders = {str(sample.image.parent) for sample in samples}
    root = os.path.commonpath(folders) if folders else ""
    digest = hashlib.sha256()
    for sample in samples:
        name = os.path.relpath(sample.image, root)
        digest.update(f"{name.replace(os.sep, '/')}\n".encode("utf-8", "surrogateescape"))
        scale = np.array([sample.width, sample.height] * 2, float)
        rows = zip(sample.classes[sample.target], sample.boxes[sample.target] / scale, strict=True)
        digest.update("".join(f"{c} {x:.5f} {y:.5f} {r:.5f} {b:.5f}\n" for c, (x, y, r, b) in rows).encode())
    return digest.hexdigest()


def identity(samples: Sequence[Sample]) -> dict[str, Any]:
    """Identity of training images and their labels; does not depend on where the folder is stored.

    Pixels are not read: that would take as long as an epoch of a large data set.

    Returns:
        ``count`` and ``boxes``, and as SHA-256 (hex): ``order``, of the list of names; ``set``, of the sorted
        names; ``labels``, of the labels in the order of sorted names, in 1/16 pixel.
    """
    names = _names(samples)
    ordered = sorted(range(len(samples)), key=names.__getitem__)
    labels = hashlib.sha256()
    chosen = [samples[index] for index in ordered]
    labels.update(np.array([len(sample) for sample in chosen], np.int64).tobytes())
    if chosen:
        boxes = np.concatenate([sample.boxes for sample in chosen])
        labels.update(np.rint(boxes * 16).astype(np.int64).tobytes())
        labels.update(np.concatenate([sample.classes for sample in chosen]).tobytes())
        labels.update(np.concatenate([sample.flags for sample in chosen]).tobytes())
    return {
        "count": len(samples),
        "boxes": sum(map(len, samples)),
        "order": _digest(names),
        "set": _digest([names[index] for index in ordered]),
        "labels": labels.hexdigest(),
    }


def _names(samples: Sequence[Sample]) -> list[str]:
    """Names of the images below the folder that all are in."""
    paths = [str(sample.image) for sample in samples]
    folders = {os.path.dirname(path) for path in paths}  # noqa: PTH120  100 000 paths
    root = len(os.path.commonpath(folders)) if folders else 0
    return [path[root:].lstrip(os.sep) for path in paths]


def _digest(names: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(names).encode("utf-8", "surrogateescape")).hexdigest()
