# SPDX-License-Identifier: Apache-2.0
"""Detections as text: Darknet's JSON, JSON lines, CSV, YOLO labels, COCO results, Kaggle's localisation CSV.

Every format is written result by result, so that memory does not grow with the length of a video.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import IO

import numpy as np
import numpy.typing as npt

from pydarknet.data.coords import convention, from_edges
from pydarknet.engine.boxes import clip
from pydarknet.engine.detections import Detections
from pydarknet.errors import ArgumentError
from pydarknet.streaming.file_sources import Frame
from pydarknet.streaming.outputs import Drawn
from pydarknet.streaming.result import Result
from pydarknet.system.atomic import abandon, replacing, write_text
from pydarknet.system.text import open_text

# COCO's annotations have 80 of 91 categories: https://cocodataset.org/#format-data
_UNUSED_COCO_IDS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91)
_COCO_IDS = tuple(i for i in range(1, 92) if i not in _UNUSED_COCO_IDS)
KAGGLE_HEAD = "ImageId,PredictionString\n"


class TextFile:
    """A text output: ``head``, one piece per result with ``between`` them, ``tail``.

    Args:
        path: the file, or ``-`` (or ``/dev/stdout``) for stdout.
        piece: text of a result, from the result and its number (from 1); ``""`` skips it.
        head: beginning of the file.
        between: text between two pieces.
        tail: end of the file.

    Raises:
        FileError: the file cannot be written.
    """

    def __init__(
        self,
        path: str,
        piece: Callable[[Result, int], str],
        head: str = "",
        between: str = "",
        tail: str = "",
    ) -> None:
        self._path = "-" if path == "/dev/stdout" else path
        self._piece, self._between, self._tail = piece, between, tail
        self._stack = contextlib.ExitStack()
        self._file: IO[str] = sys.stdout
        if self._path != "-":
            # Opened now, so that an unwritable folder is reported before the work is done.
            temporary = self._stack.enter_context(replacing(path))
            self._file = self._stack.enter_context(open_text(temporary))
        self._count = self._written = 0
        self._file.write(head)

    def write(self, result: Result, drawn: Drawn) -> None:  # noqa: ARG002
        """Write the result's piece."""
        text = self._piece(result, self._count + 1)
        self._count += 1
        if text:
            self._file.write((self._between if self._written else "") + text)
            self._written += 1
        if self._path == "-":
            self._file.flush()

    def close(self) -> str:
        """Write the tail and move the file into place; without any result there is no file."""
        if not self._count and self._path != "-":
            abandon(self._stack)
            return ""
        self._file.write(self._tail)
        self._file.flush()
        self._stack.close()
        return "" if self._path == "-" else f"detections in {self._path}"


def darknet_json(path: str) -> TextFile:
    """Darknet's ``detector test -out``: see :mod:`pydarknet.engine.darknet_json`."""
    return TextFile(
        path, lambda result, n: result.detections.to_json(result.frame.name, n), "[\n", ", \n", "\n]"
    )


def json_lines(path: str) -> TextFile:
    """One JSON object per frame: ``source``, ``frame`` (from 0), ``time`` in seconds, ``width``, ``height``,
    ``objects``."""
    return TextFile(path, lambda result, _: json.dumps(event(result), ensure_ascii=False) + "\n")


def event(result: Result) -> dict[str, object]:
    """A result as plain values; boxes are corners in pixels."""
    height, width = result.frame.image.shape[:2]
    return {
        "source": result.frame.name,
        "frame": result.frame.index,
        "time": round(result.frame.time, 6),
        "width": width,
        "height": height,
        "objects": result.detections.to_records(),
    }


_COLUMNS = [
    "source",
    "frame",
    "time",
    "class",
    "name",
    "confidence",
    "xmin",
    "ymin",
    "xmax",
    "ymax",
    "track_id",
]


def csv_table(path: str) -> TextFile:
    """One line per object, with a header; ``track_id`` is empty without tracking."""
    return TextFile(path, _csv_lines, ",".join(_COLUMNS) + "\n")


def _csv_lines(result: Result, _: int) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, restval="", lineterminator="\n")
    for record in result.detections.to_records():
        numbers = {key: f"{record[key]:.2f}" for key in ("xmin", "ymin", "xmax", "ymax")}
        where = {
            "source": result.frame.name,
            "frame": result.frame.index,
            "time": f"{result.frame.time:.3f}",
        }
        writer.writerow({**record, **numbers, **where, "confidence": f"{record['confidence']:.6f}"})
    return text.getvalue()


def coco_results(path: str) -> TextFile:
    """COCO's results format: a list of ``image_id``, ``category_id``, ``bbox`` (left, top, width, height),
    ``score``.

    The image id is the number with which the file name begins or ends (``COCO_val2014_000000000042.jpg``:
    42), else the number of the image in this run. Categories are numbered from 1; for a network of COCO's 80
    classes they are COCO's.
    """
    return TextFile(
        path,
        lambda result, n: coco_entries(result.detections, image_number(result.frame.name, n)),
        "[\n",
        ",\n",
        "\n]\n",
    )


def coco_entries(dets: Detections, image_id: int, categories: Mapping[str, int] | None = None) -> str:
    """Entries of one image in COCO's results, separated by commas.

    Args:
        dets: detections of the image.
        image_id: of the image.
        categories: numbers of the classes by name; by default those of :func:`category_id`.
    """
    known, labels = categories or {}, dets.labels
    entries = []
    for row in range(len(dets)):
        x1, y1, x2, y2 = map(float, clipped(dets, row))
        entry = {
            "image_id": image_id,
            "category_id": known.get(labels[row], category_id(int(dets.class_id[row]), dets.names)),
            "bbox": [round(v, 3) for v in (x1, y1, x2 - x1, y2 - y1)],
            "score": round(float(dets.confidence[row]), 6),
        }
        if dets.tracker_id is not None:
            entry["track_id"] = int(dets.tracker_id[row])
        entries.append(json.dumps(entry))
    return ",\n".join(entries)


def image_number(name: str, default: int) -> int:
    """The number at the end or beginning of a file's name; the default if there is none."""
    found = re.search(r"(\d+)$", PurePath(name).stem) or re.match(r"(\d+)", PurePath(name).stem)
    return int(found[1]) if found else default


def category_id(class_id: int, names: Sequence[str]) -> int:
    """COCO's number of a class."""
    is_coco = len(names) == len(_COCO_IDS) and names[0] == "person" and names[-1] == "toothbrush"
    return _COCO_IDS[class_id] if is_coco else class_id + 1


def clipped(dets: Detections, row: int) -> npt.NDArray[np.float32]:
    """Corners of a box, cut at the image's border."""
    return clip(dets.xyxy[row], dets.image_size)


def kaggle_loc(path: str, mapping: str | None = None) -> TextFile:
    """A submission to Kaggle's ImageNet localisation: the five best boxes of each image, classes from 1.

    Args:
        path: the CSV.
        mapping: ``LOC_synset_mapping.txt``, if the classes of the network are named, but in another order.

    Raises:
        DataError: the mapping cannot be read.
    """
    order = synset_order(mapping) if mapping else {}
    return TextFile(
        path, lambda result, _: kaggle_line(result.frame.name, result.detections, order), KAGGLE_HEAD
    )


def synset_order(mapping: str) -> dict[str, int]:
    """Number of each class, by synset id and by each of its names."""
    from pydarknet.system.text import lines_of

    order: dict[str, int] = {}
    for number, line in enumerate(filter(None, lines_of(mapping)), 1):
        wnid, _, words = line.partition(" ")
        for name in (wnid, *(word.strip() for word in words.split(","))):
            order.setdefault(name, number)
    return order


def kaggle_line(name: str, dets: Detections, order: dict[str, int]) -> str:
    """The line of one image in a submission.

    Args:
        name: path of the image.
        dets: detections of the image.
        order: number of each class by name; empty if the classes of the network are in that order.

    Raises:
        ArgumentError: a class is not in the order.
    """
    labels = dets.labels
    words = []
    for row in np.argsort(-dets.confidence, kind="stable")[:5].tolist():
        if order and labels[row] not in order:
            raise ArgumentError(f"class {labels[row]!r} is not in the mapping of synsets")
        number = order[labels[row]] if order else int(dets.class_id[row]) + 1
        corners = from_edges(convention("ilsvrc"), *map(float, clipped(dets, row)))
        right, lower = dets.image_size[0] - 1, dets.image_size[1] - 1
        inside = (min(max(v, 0), limit) for v, limit in zip(corners, (right, lower) * 2, strict=True))
        words.append(" ".join(map(str, (number, *inside))))
    return f"{PurePath(name).stem},{' '.join(words)}\n"


class Labels:
    """YOLO label files: ``class x y width height`` relative to the image, one file per image.

    Args:
        folder: for the files; those of video frames are ``<video>_<number>.txt``, counted from 1.
        confidence: write it as the sixth number, and the tracker id as the seventh.
    """

    def __init__(self, folder: str, confidence: bool = False) -> None:
        self._folder, self._confidence = Path(folder), confidence
        self._stems = Stems()
        self._count = 0

    def write(self, result: Result, drawn: Drawn) -> None:  # noqa: ARG002
        """Write the file of one image; it is empty without detections."""
        dets = result.detections
        lines = []
        size = np.array(dets.image_size * 2, np.float32)
        for row in range(len(dets)):
            x1, y1, x2, y2 = clipped(dets, row) / size
            numbers = [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1]
            if self._confidence:
                numbers.append(dets.confidence[row])
            text = " ".join(f"{number:.6f}" for number in numbers)
            if self._confidence and dets.tracker_id is not None:
                text += f" {dets.tracker_id[row]}"
            lines.append(f"{dets.class_id[row]} {text}\n")
        write_text(self._folder / f"{self._stems.of_frame(result.frame)}.txt", "".join(lines))
        self._count += 1

    def close(self) -> str:
        """Report the number of files."""
        return f"{self._count} label files in {self._folder}"


class Stems:
    """File names of outputs: that of the source, numbered if two sources have the same."""

    def __init__(self) -> None:
        self._stems: dict[str, str] = {}

    def of_source(self, name: str) -> str:
        """The stem for all outputs of a source."""
        if name not in self._stems:
            plain = re.sub(r"[^\w.-]+", "_", PurePath(name).stem if "://" not in name else name).strip("_.")
            stem, number = plain or "source", 1
            taken = set(self._stems.values())
            while stem in taken:
                number += 1
                stem = f"{plain or 'source'}_{number}"
            self._stems[name] = stem
        return self._stems[name]

    def of_frame(self, frame: Frame) -> str:
        """The stem for one image or frame."""
        stem = self.of_source(frame.name)
        return stem if frame.still else f"{stem}_{frame.index + 1}"
