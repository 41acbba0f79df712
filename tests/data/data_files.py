# SPDX-License-Identifier: Apache-2.0
"""Small real image files and texts for the data set tests."""

from __future__ import annotations

import functools
from pathlib import Path

import cv2
import numpy as np

from pydarknet.data import Dataset, Issue


@functools.cache
def _encoded(suffix: str, width: int, height: int) -> bytes:
    done, data = cv2.imencode(suffix, np.zeros((height, width, 3), np.uint8))
    assert done
    return bytes(data)


def make_image(path: Path, width: int, height: int) -> Path:
    """A black image file of this size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = {".jpeg": ".jpg"}.get(path.suffix.lower(), path.suffix.lower())
    path.write_bytes(_encoded(suffix, width, height))
    return path


def make_text(path: Path, text: str) -> Path:
    """A text file, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def only(dataset: Dataset, code: str) -> Issue:
    """The single issue of this code."""
    found = [issue for issue in dataset.report.issues if issue.code == code]
    assert len(found) == 1, str(dataset.report)
    return found[0]
