# SPDX-License-Identifier: Apache-2.0
"""Results of a data set for evaluation servers: COCO, VOC, ImageNet, BDD, KITTI, Kaggle.

Each writer takes pairs of an image's path and its detections; boxes are clipped to the image. Every file
appears complete or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydarknet.engine.detections import Detections
from pydarknet.errors import FileError
from pydarknet.streaming.outputs.text import (
    KAGGLE_HEAD,
    clipped,
    coco_entries,
    image_number,
    kaggle_line,
    synset_order,
)
from pydarknet.system.atomic import write_text

Found = Sequence[tuple[Path, Detections]]

#: Classes in the order of their ids, as these two benchmarks spell them.
BDD_NAMES = (
    "bike",
    "bus",
    "car",
    "motor",
    "person",
    "rider",
    "traffic light",
    "traffic sign",
    "train",
    "truck",
)
KITTI_NAMES = ("car", "pedestrian", "cyclist")


def coco(
    found: Found,
    path: Path,
    ids: Mapping[str, int] | None = None,
    categories: Mapping[str, int] | None = None,
) -> list[Path]:
    """One JSON list of ``image_id``, ``category_id``, ``bbox`` (left, top, width, height) and ``score``.

    Args:
        found: paths and detections.
        path: the file.
        ids: image id by file name; by default the number in the file's name, else the position in the list.
        categories: number of each class by name; by default COCO's own, else counted from 1.
    """
    ids = ids or {}
    entries = (
        coco_entries(dets, ids.get(image.name, image_number(image.name, number)), categories)
        for number, (image, dets) in enumerate(found, 1)
    )
    write_text(path, "[\n" + ",\n".join(filter(None, entries)) + "\n]\n")
    return [path]


def voc(found: Found, folder: Path, names: Sequence[str], prefix: str = "comp4_det_test_") -> list[Path]:
    """One file per class, a line ``image score xmin ymin xmax ymax`` per box; pixels count from 1.

    The file has the name of the class, ``/`` as ``_``; of two that would be the same, the later is numbered.
    """
    lines: dict[int, list[str]] = {label: [] for label in range(len(names))}
    for image, dets in found:
        width, height = dets.image_size
        for row, label in enumerate(dets.class_id.tolist()):
            x1, y1, x2, y2 = (float(value) + 1 for value in clipped(dets, row))
            place = f"{x1:f} {y1:f} {min(x2, width):f} {min(y2, height):f}"
            lines[label].append(f"{image.stem} {dets.confidence[row]:f} {place}\n")
    paths: dict[Path, int] = {}
    for label, name in enumerate(names):
        stem, number = f"{prefix}{name.replace('/', '_')}", 1
        path = folder / f"{stem}.txt"
        while path in paths:
            number += 1
            path = folder / f"{stem}_{number}.txt"
        paths[path] = label
    for path, label in paths.items():
        write_text(path, "".join(lines[label]))
    return list(paths)


def imagenet(found: Found, path: Path) -> list[Path]:
    """A line ``image class score xmin ymin xmax ymax`` per box; images and classes count from 1."""
    lines = [
        f"{number} {label + 1} {dets.confidence[row]:f} {_corners(dets, row)}\n"
        for number, (_, dets) in enumerate(found, 1)
        for row, label in enumerate(dets.class_id.tolist())
    ]
    write_text(path, "".join(lines))
    return [path]


def bdd(found: Found, path: Path, names: Sequence[str]) -> list[Path]:
    """One JSON list of ``name``, ``category``, ``bbox`` (two corners) and ``score``; a network of ten classes
    has BDD's names."""
    names = BDD_NAMES if len(names) == len(BDD_NAMES) else names
    entries = [
        {
            "name": image.name,
            "category": names[label],
            "bbox": [round(float(value), 3) for value in clipped(dets, row)],
            "score": round(float(dets.confidence[row]), 6),
        }
        for image, dets in found
        for row, label in enumerate(dets.class_id.tolist())
    ]
    write_text(path, "[\n" + ",\n".join(map(json.dumps, entries)) + "\n]\n")
    return [path]


def kitti(found: Found, folder: Path, names: Sequence[str]) -> list[Path]:
    """One file per image, also without detections; a network of three classes has KITTI's names.

    Raises:
        FileError: two images would have the same file.
    """
    names = KITTI_NAMES if len(names) == len(KITTI_NAMES) else names
    images: dict[str, Path] = {}
    for image, _ in found:
        if (other := images.setdefault(image.stem, image)) is not image:
            raise FileError(
                f"{folder / image.stem}.txt: would be the file of two images, {other} and {image}; expected "
                "images of different names, as those of KITTI"
            )
    paths = []
    for image, dets in found:
        lines = [
            f"{names[label]} -1 -1 -10 {_corners(dets, row)} -1 -1 -1 -1000 -1000 -1000 -10 "
            f"{dets.confidence[row]:f}\n"
            for row, label in enumerate(dets.class_id.tolist())
        ]
        paths.append(folder / f"{image.stem}.txt")
        write_text(paths[-1], "".join(lines))
    return paths


def kaggle(found: Found, path: Path, mapping: str | None = None) -> list[Path]:
    """A submission to Kaggle's ImageNet localisation; see :mod:`pydarknet.streaming.outputs.text`."""
    order = synset_order(mapping) if mapping else {}
    write_text(path, KAGGLE_HEAD + "".join(kaggle_line(str(image), dets, order) for image, dets in found))
    return [path]


def _corners(dets: Detections, row: int) -> str:
    return " ".join(f"{value:f}" for value in clipped(dets, row))
