# SPDX-License-Identifier: Apache-2.0
"""Fingerprint of a set of labelled images."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence

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
