# SPDX-License-Identifier: Apache-2.0
"""Detections of a network in one image: an immutable table of columns."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import numpy.typing as npt

from pydarknet.engine import boxes, opencv
from pydarknet.engine.darknet_json import format_record
from pydarknet.engine.draw import draw
from pydarknet.engine.hinted import Hinting
from pydarknet.engine.images import ImageLike, blue_first, save_image
from pydarknet.errors import ArgumentError
from pydarknet.system import extras, html

if TYPE_CHECKING:
    import pandas
    import supervision
    from PIL.Image import Image as PilImage

_COLUMNS = ("xyxy", "confidence", "class_id", "tracker_id")


@dataclass(frozen=True, eq=False, repr=False)
class Detections(Hinting):
    """Objects of one image, one row each, in the order in which Darknet lists them.

    A box that passes the threshold for several classes has several rows with equal corners.
    The arrays are read-only: an operation on them makes new ones, and ``array.copy()`` can be written to.
    Two are equal (``==``) when columns, names and image sizes are; there is no hash.

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
            raise ArgumentError(
                f"found columns of shapes {self.xyxy.shape}, {self.confidence.shape}, {self.class_id.shape}; "
                "expected (n, 4), (n,) and (n,)"
            )
        if self.tracker_id is not None and self.tracker_id.shape != (n,):
            raise ArgumentError(f"found tracker_id of shape {self.tracker_id.shape}, expected ({n},)")
        self._lock()

    def _lock(self) -> None:
        for name in _COLUMNS:
            if (column := getattr(self, name)) is not None:
                locked = column.view()
                locked.flags.writeable = False
                object.__setattr__(self, name, locked)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)  # of a copy or a pickle, whose arrays can be written to
        self._lock()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Detections):
            return NotImplemented
        same = (self.names, self.image_size) == (other.names, other.image_size)
        pairs = ((getattr(self, name), getattr(other, name)) for name in _COLUMNS)
        return same and all(np.array_equal(*pair) for pair in pairs)

    __hash__ = None  # type: ignore[assignment]  # arrays have none

    @classmethod
    def empty(cls, names: Sequence[str] = (), image_size: tuple[int, int] = (0, 0)) -> Detections:
        """No objects, in an image of this size and with these class names."""
        return cls(
            np.zeros((0, 4), np.float32),
            np.zeros(0, np.float32),
            np.zeros(0, np.int32),
            tuple(names),
            image_size,
        )

    @classmethod
    def merge(cls, parts: Sequence[Detections]) -> Detections:
        """The rows of several Detections of one image, in their order; none give :meth:`empty`.

        ``tracker_id`` is -1 for rows without one, if any part has it.

        Raises:
            ArgumentError: the parts have other class names or image sizes.
        """
        if not parts:
            return cls.empty()
        first = parts[0]
        for part in parts:
            if (part.names, part.image_size) != (first.names, first.image_size):
                raise ArgumentError(
                    f"found detections of {len(part.names)} names in an image of {part.image_size} and "
                    f"of {len(first.names)} in one of {first.image_size}; expected one image and network"
                )
        tracked = any(part.tracker_id is not None for part in parts)
        ids = [np.full(len(p), -1) if p.tracker_id is None else p.tracker_id for p in parts]
        return replace(
            first,
            xyxy=np.concatenate([part.xyxy for part in parts]),
            confidence=np.concatenate([part.confidence for part in parts]),
            class_id=np.concatenate([part.class_id for part in parts]),
            tracker_id=np.concatenate(ids) if tracked else None,
        )

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

    def _repr_html_(self) -> str:
        """The objects as a table, for notebooks."""
        columns = ["object", "confidence", "x1", "y1", "x2", "y2"]
        tracked = self.tracker_id is not None
        rows = (
            [one["name"], f"{one['confidence']:.1%}"]
            + [round(one[key], 1) for key in ("xmin", "ymin", "xmax", "ymax")]
            + ([one["track_id"]] if tracked else [])
            for one in self[: html.MOST_ROWS].to_records()
        )
        found = html.table([*columns, "track"] if tracked else columns, rows, len(self))
        return html.titled(f"{len(self)} objects: {self.count_text() or 'nothing'}", found)

    @property
    def xywh(self) -> npt.NDArray[np.float32]:
        """Centre x, y, width and height of each box in image pixels, float32 (n, 4)."""
        return boxes.to_centres(self.xyxy)

    @property
    def area(self) -> npt.NDArray[np.float32]:
        """Area of each box in square pixels, float32 (n,); 0 for boxes turned inside out."""
        return np.asarray(boxes.area(self.xyxy), np.float32)

    def with_nms(self, nms: float = 0.45, *, class_agnostic: bool = False) -> Detections:
        """The objects that non-maximum suppression leaves, in their order.

        ``Network.detect`` has already done it class by class; this is for merged detections, a stricter
        overlap, or for objects of different classes on one place.

        Args:
            nms: overlap (IoU) above which the weaker of two boxes is suppressed, 0..1.
            class_agnostic: boxes of different classes suppress each other, too.

        Raises:
            ArgumentError: ``nms`` is out of range.
        """
        if not 0 <= nms <= 1:
            raise ArgumentError(f"found nms={nms}, expected 0..1")
        return self[
            boxes.suppress(self.xyxy, self.confidence, nms, None if class_agnostic else self.class_id)
        ]

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

    def to_pandas(self) -> pandas.DataFrame:
        """A pandas table with a row per object; its columns are those of :meth:`to_records`.

        For all results of a stream, and for polars, see :mod:`pydarknet.contrib.frames`.

        Raises:
            MissingExtra: pandas is not installed.
        """
        table: pandas.DataFrame = extras.load("pydarknet.tables", "pandas")(self)
        return table

    def to_supervision(self) -> supervision.Detections:
        """The same as ``supervision.Detections``, for its annotators, trackers and zones.

        :mod:`pydarknet.contrib.supervision` converts back.

        Raises:
            MissingExtra: supervision is not installed.
        """
        made: supervision.Detections = extras.load("pydarknet.tables", "supervision")(self)
        return made

    @overload
    def plot(self, image: ImageLike, mode: Literal["bgr", "rgb"] = "bgr") -> npt.NDArray[np.uint8]: ...
    @overload
    def plot(self, image: ImageLike, mode: Literal["pil"]) -> PilImage: ...
    def plot(
        self, image: ImageLike, mode: Literal["bgr", "rgb", "pil"] = "bgr"
    ) -> npt.NDArray[np.uint8] | PilImage:
        """A copy of the image with boxes and labels drawn in.

        :func:`pydarknet.engine.draw.draw` has options for lines and labels.

        Args:
            image: as for ``Network.detect``, the image of these detections.
            mode: ``"bgr"``: an array (h, w, 3) uint8 as OpenCV uses it; ``"rgb"``: the same, red first, as
                matplotlib uses it; ``"pil"``: a PIL image, which a notebook displays.

        Raises:
            ArgumentError: the mode is unknown.
            MissingExtra: ``mode="pil"`` and Pillow is not installed.
        """
        drawn = draw(image, self)
        if mode == "bgr":
            return drawn
        if mode == "rgb":
            return blue_first(drawn)
        if mode != "pil":
            raise ArgumentError(f"found mode={mode!r}, expected 'bgr', 'rgb' or 'pil'")
        made: PilImage = extras.require("PIL.Image", "notebook", "Pillow").fromarray(blue_first(drawn))
        return made

    def save(self, image: ImageLike, path: str | os.PathLike[str]) -> None:
        """Write the image with boxes and labels drawn in; the suffix decides the format.

        Args:
            image: as for :meth:`plot`.
            path: the file, for example ``"found.jpg"``; its folder is created.

        Raises:
            FileError: the file cannot be written, or OpenCV cannot encode this format.
        """
        save_image(Path(path), self.plot(image))

    def show(self, image: ImageLike) -> None:
        """Show the image with boxes and labels in a window, until a key is pressed.

        In a notebook, where there are no windows, ``plot(image, "pil")`` displays it.

        Args:
            image: as for :meth:`plot`.

        Raises:
            ArgumentError: this OpenCV build has no windows.
        """
        opencv.require_windows("use save() or plot()")
        opencv.show("pydarknet", self.plot(image), 0)
