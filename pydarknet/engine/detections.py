# SPDX-License-Identifier: Apache-2.0
"""Detections of a network in one image: an immutable table of columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pydarknet.engine.darknet_json import format_record
from pydarknet.engine.draw import draw
from pydarknet.engine.images import ImageLike


@dataclass(frozen=True, eq=False, repr=False)
class Detections:
    """Objects of one image, one row each, in the order in which Darknet lists them.

    A box that passes the threshold for several classes has several rows with equal corners.

    Attributes:
        xyxy: corners x1, y1, x2, y2 in image pixels, float32 (n, 4); not clipped to the image.
        confidence: objectness times class probability, 0..1, float32 (n,).
        class_id: int (n,).
        names: of the classes, by class id; empty when unknown.
        image_size: (width, height) of the image, to which relative coordinates refer.
        tracker_id: number of the object across the frames of a video, int (n,), -1 if it has none yet;
            None without tracking. See :mod:`pydarknet.contrib.tracking`.

    Indexing with a mask, a slice, integers or one integer gives Detections of those rows::

        dets[dets.confidence > 0.5]
        dets[dets.class_id == dets.names.index("dog")]
    """

    xyxy: npt.NDArray[np.float32]
    confidence: npt.NDArray[np.float32]
    class_id: npt.NDArray[np.integer[Any]]
    names: tuple[str, ...] = ()
    image_size: tuple[int, int] = (0, 0)
    tracker_id: npt.NDArray[np.integer[Any]] | None = None

    def __post_init__(self) -> None:
        n = len(self.confidence)
        if self.xyxy.shape != (n, 4) or self.confidence.shape != (n,) or self.class_id.shape != (n,):
            raise ValueError(
                f"found columns of shapes {self.xyxy.shape}, {self.confidence.shape}, {self.class_id.shape}; "
                "expected (n, 4), (n,) and (n,)"
            )
        if self.tracker_id is not None and self.tracker_id.shape != (n,):
            raise ValueError(f"found tracker_id of shape {self.tracker_id.shape}, expected ({n},)")

    def __len__(self) -> int:
        return len(self.confidence)

    def __getitem__(self, rows: Any) -> Detections:
        if isinstance(rows, (int, np.integer)):
            rows = [rows]
        return replace(
            self,
            xyxy=self.xyxy[rows],
            confidence=self.confidence[rows],
            class_id=self.class_id[rows],
            tracker_id=None if self.tracker_id is None else self.tracker_id[rows],
        )

    def __iter__(self) -> Iterator[Detections]:
        """Each row as Detections of length one."""
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"Detections({self.count_text() or 'nothing'})"

    @property
    def labels(self) -> list[str]:
        """Class name of each row; the id as text if there is no name."""
        known = range(len(self.names))
        return [self.names[i] if i in known else str(i) for i in self.class_id.tolist()]

    def count_text(self) -> str:
        """Number of objects per class as text: ``"2 dog, 1 car"``; ``""`` for none.

        Without names: ``"2 class 0, 1 class 7"``.
        """
        names = (f"class {name}" if name.isdecimal() else name for name in self.labels)
        return ", ".join(f"{count} {name}" for name, count in Counter(names).items())

    def to_records(self) -> list[dict[str, Any]]:
        """One dict per row: ``xmin, ymin, xmax, ymax`` in pixels, ``confidence``, ``class``, ``name``;
        also ``track_id`` with tracking."""
        keys = ("xmin", "ymin", "xmax", "ymax")
        columns = (self.xyxy.tolist(), self.confidence.tolist(), self.class_id.tolist(), self.labels)
        records = [
            {**dict(zip(keys, box, strict=True)), "confidence": confidence, "class": class_id, "name": name}
            for box, confidence, class_id, name in zip(*columns, strict=True)
        ]
        if self.tracker_id is not None:
            records = [
                {**one, "track_id": i} for one, i in zip(records, self.tracker_id.tolist(), strict=True)
            ]
        return records

    def to_json(self, filename: str = "", frame_id: int = 1) -> str:
        """One record of Darknet's JSON: class, name, relative centre box and confidence of each row.

        The text is what ``darknet detector test -out`` writes for one image, except that names are escaped.
        See :mod:`pydarknet.engine.darknet_json` for files of many images and :meth:`to_records` for corners
        in pixels.

        Raises:
            ArgumentError: ``image_size`` is unknown.
        """
        return format_record(self, filename, frame_id)

    def plot(self, image: ImageLike) -> npt.NDArray[np.uint8]:
        """A copy of the image with boxes and labels drawn in, (h, w, 3) uint8, blue first."""
        return draw(image, self)
