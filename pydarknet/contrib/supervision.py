# SPDX-License-Identifier: Apache-2.0
"""Conversion to and from supervision (https://supervision.roboflow.com).

supervision stores images, classes and boxes. Everything else is kept in ``Detections.data`` and
``metadata`` under the keys below, so that a round trip preserves it; exporters of supervision ignore it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from pydarknet.data.dataset import Dataset, Sample, Status
from pydarknet.data.issues import Report
from pydarknet.engine.detections import Detections
from pydarknet.engine.image_header import image_size
from pydarknet.system.extras import require

if TYPE_CHECKING:
    from supervision import DetectionDataset
    from supervision import Detections as SvDetections

#: Key of ``Detections.data``: (n,) uint8, bits of :class:`~pydarknet.data.Flag`.
FLAGS = "pydarknet_flags"
#: Key of ``Detections.metadata``: split, name and status of the image.
SAMPLE = "pydarknet_sample"
#: Keys of ``Detections.metadata``: all class names, and the image's (width, height).
NAMES, SIZE = "pydarknet_names", "pydarknet_image_size"


@overload
def to_supervision(found: Dataset) -> DetectionDataset: ...
@overload
def to_supervision(found: Detections) -> SvDetections: ...
def to_supervision(found: Dataset | Detections) -> DetectionDataset | SvDetections:
    """Convert a data set to a lazily loading ``DetectionDataset``, or detections to ``Detections``.

    Class names of detections go to ``data["class_name"]``, where supervision reads them.

    Boxes of any class (``ANY_CLASS``) and unlabelled images have no counterpart and are left out. supervision
    keeps one entry per image path, so an image listed twice appears once.

    Raises:
        MissingExtra: supervision is not installed.
    """
    if isinstance(found, Detections):
        return _to_detections(found)
    return _to_dataset(found)


def _to_detections(found: Detections) -> SvDetections:
    made: SvDetections = require("supervision", "supervision").Detections(
        xyxy=found.xyxy.copy(),
        confidence=found.confidence.copy(),
        class_id=np.array(found.class_id, int),
        tracker_id=None if found.tracker_id is None else np.array(found.tracker_id, int),
        data={"class_name": np.array(found.labels, str)},
        metadata={NAMES: found.names, SIZE: found.image_size},
    )
    return made


def _to_dataset(dataset: Dataset) -> DetectionDataset:
    sv = require("supervision", "supervision")
    annotations = {}
    for sample in dataset:
        if sample.status is Status.UNLABELLED:
            continue
        known = sample.select(sample.classes >= 0)
        annotations[str(sample.image)] = sv.Detections(
            xyxy=known.boxes.copy(),
            class_id=known.classes.copy(),
            confidence=None if known.scores is None else known.scores.copy(),
            data={FLAGS: known.flags.copy()},
            metadata={SAMPLE: {"split": sample.split, "name": sample.name, "status": sample.status.value}},
        )
    made: DetectionDataset = sv.DetectionDataset(list(dataset.names), list(annotations), annotations)
    return made


@overload
def from_supervision(found: DetectionDataset) -> Dataset: ...
@overload
def from_supervision(found: SvDetections) -> Detections: ...
def from_supervision(found: DetectionDataset | SvDetections) -> Dataset | Detections:
    """Convert a ``DetectionDataset`` to a data set; masks and oriented boxes become their enclosing boxes.

    ``Detections`` become :class:`pydarknet.Detections`; a missing confidence becomes 1, a missing class 0.

    Boxes are clipped to the image, and those outside are dropped; the report says which. Images without
    boxes are background: supervision does not distinguish them from unlabelled ones.

    Raises:
        MissingExtra: supervision is not installed.
        DataError: an image's size cannot be read, or a class index has no name.
    """
    if isinstance(found, require("supervision", "supervision").Detections):
        return _from_detections(found)
    return _from_dataset(found)


def _from_detections(found: Any) -> Detections:
    n = len(found)
    names = tuple(found.metadata.get(NAMES, ()))
    class_id = np.zeros(n, np.int32) if found.class_id is None else np.array(found.class_id, np.int32)
    if not names and "class_name" in found.data:
        known = dict(zip(class_id.tolist(), map(str, found.data["class_name"]), strict=True))
        names = tuple(known.get(i, str(i)) for i in range(max(known, default=-1) + 1))
    return Detections(
        np.array(found.xyxy, np.float32).reshape(n, 4),
        np.ones(n, np.float32) if found.confidence is None else np.array(found.confidence, np.float32),
        class_id,
        names,
        tuple(found.metadata.get(SIZE, (0, 0))),
        None if found.tracker_id is None else np.array(found.tracker_id, int),
    )


def _from_dataset(dataset: Any) -> Dataset:
    report = Report()
    samples = [_sample(path, found, report) for path, found in dataset.annotations.items()]
    return Dataset(samples, dataset.classes, report)


def _sample(path: str, found: Any, report: Report) -> Sample:
    n = len(found)
    width, height = size = image_size(path)
    corners = np.asarray(found.xyxy, np.float64).reshape(n, 4)
    boxes = np.clip(corners, 0, (width, height, width, height))
    keep = np.asarray(((boxes[:, 2:] - boxes[:, :2]) > 0).all(axis=1))
    for number in np.flatnonzero((boxes != corners).any(axis=1) | ~keep).tolist():
        code, action = ("clipped", "clipped") if keep[number] else ("outside", "dropped")
        text = f"box {number} leaves the {width}x{height} image"
        report.add(code, text, path, number + 1, action=action)
    known = found.metadata.get(SAMPLE, {})
    status = Status(known["status"]) if n == 0 and "status" in known else None
    return Sample(
        image=Path(path),
        boxes=boxes[keep],
        classes=(np.zeros(n, np.int64) if found.class_id is None else np.asarray(found.class_id))[keep],
        flags=np.asarray(found.data.get(FLAGS, np.zeros(n, np.uint8)))[keep],
        scores=None if found.confidence is None else np.asarray(found.confidence)[keep],
        size=size,
        status=status or (Status.ANNOTATED if n else Status.BACKGROUND),
        split=known.get("split", ""),
        name=known.get("name", ""),
    )
