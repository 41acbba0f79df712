# SPDX-License-Identifier: Apache-2.0
"""Where images and labels are: Darknet's and YOLOv5's rules for paths, in one place."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydarknet.data.issues import Report
from pydarknet.engine.image_header import IMAGE_SUFFIXES, is_image

#: Names under which a split goes in files and folders.
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}

#: Files of a conversion in its target folder: unfinished chunks, and the report.
JOURNAL_NAME, REPORT_NAME = CONVERSION_MARKS = (".convert", "convert_report.json")

_LAYOUT_FOLDERS = ("images", "jpegimages", "labels", "annotations", "obj_train_data")

# Most common spellings first: each is one stat call.
_PROBES = [spelling for suffix in (".jpg", ".png", ".jpeg") for spelling in (suffix, suffix.upper())]
_PROBES += [s for suffix in sorted(IMAGE_SUFFIXES) for s in (suffix, suffix.upper()) if s not in _PROBES]


def natural_key(text: str) -> tuple[tuple[int, int | str], ...]:
    """Sort key that puts ``img2`` before ``img10``."""
    return tuple((0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", text) if part)


def label_candidates(image: str | Path, labels: str | Path | None = None) -> list[Path]:
    """Where the label file of an image may be, first choice first.

    ``labels`` if given, then beside the image, then the last path component ``images`` replaced by
    ``labels``, then ``JPEGImages`` replaced by ``labels``. Only whole components are replaced:
    ``image1.jpg`` stays what it is.
    """
    path = Path(image)
    text = path.parent / f"{path.stem}.txt"  # with_suffix() refuses "/"
    found = [Path(labels) / text.name] if labels else []
    found.append(text)
    parts = text.parts
    for folder in ("images", "JPEGImages"):
        places = [i for i, part in enumerate(parts[:-1]) if part == folder]
        if places:
            found.append(Path(*parts[: places[-1]], "labels", *parts[places[-1] + 1 :]))
    return found


def find_label(
    image: str | Path, labels: str | Path | None = None, report: Report | None = None
) -> Path | None:
    """The label file of an image, or ``None``; two candidates with different contents are reported."""
    existing = [path for path in label_candidates(image, labels) if path.is_file()]
    if not existing:
        return None
    if len(existing) > 1 and report is not None and existing[0].read_bytes() != existing[1].read_bytes():
        report.add("two-labels", f"{existing[1]} has other content", existing[0], action="first used")
    return existing[0]


def find_image(folder: str, stem: str) -> str | None:
    """The image with this name in a folder, its extension in any case; without one, with any extension."""
    base = os.path.join(folder, stem)  # noqa: PTH118 - hot: once per annotation file
    candidates: list[str] = []
    if is_image(stem):
        start, dot, suffix = base.rpartition(".")
        candidates = [base, start + dot + suffix.lower(), start + dot + suffix.upper()]
    candidates += [base + suffix for suffix in _PROBES]  # a stem may end like an image: a.jpeg.jpg
    return next((path for path in candidates if os.path.isfile(path)), None)  # noqa: PTH113


def walk(root: str | Path, suffixes: Iterable[str]) -> Iterator[Path]:
    """Files below a folder with these (lower-case) endings, in natural order.

    Hidden folders are left out, and so are folders that a conversion has written: ``convert . --out ds``
    must not find its own output. One folder's names are held at a time, so a tree of a million files
    streams.
    """
    wanted = tuple(suffixes)
    folders, files = _entries(root, wanted)
    for name in sorted(files, key=natural_key):
        yield Path(root, name)
    for name in sorted(folders, key=natural_key):
        path = Path(root, name)
        loops = path.is_symlink() and Path(root).resolve().is_relative_to(path.resolve())
        if not loops and not any((path / mark).exists() for mark in CONVERSION_MARKS):
            yield from walk(path, wanted)


def _entries(root: str | Path, wanted: tuple[str, ...]) -> tuple[list[str], list[str]]:
    folders, files = [], []
    with os.scandir(root) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                folders.append(entry.name)
            elif entry.name.lower().endswith(wanted):
                files.append(entry.name)
    return folders, files


def images_below(root: str | Path) -> Iterator[Path]:
    """Image files below a folder, in natural order."""
    return walk(root, IMAGE_SUFFIXES)


def split_of(name: str) -> str:
    """The canonical split behind a folder, file or column name, ``""`` if it is none."""
    return SPLIT_NAMES.get(name.lower(), "")


def inner_name(relative: str | Path) -> str:
    """The name of an image inside its set: the relative path without the leading folders of layouts (images,
    labels, splits)."""
    parts = list(Path(relative).parts)
    while len(parts) > 1 and (parts[0].lower() in _LAYOUT_FOLDERS or split_of(parts[0])):
        del parts[0]
    return "/".join(parts)
