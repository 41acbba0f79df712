# SPDX-License-Identifier: Apache-2.0
"""Detections as pandas or polars tables: one row per object, with the columns of the CSV."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from pydarknet.engine.detections import Detections
from pydarknet.streaming.result import Result
from pydarknet.system.extras import require

if TYPE_CHECKING:
    import pandas
    import polars

_COLUMNS = ("xmin", "ymin", "xmax", "ymax", "confidence", "class", "name")


def to_pandas(found: Detections | Iterable[Result]) -> pandas.DataFrame:
    """A pandas table of one image's detections, or of all results of a stream.

    Columns: ``xmin, ymin, xmax, ymax`` in pixels, ``confidence``, ``class``, ``name``; ``track_id`` when
    tracked; for a stream ``source``, ``frame`` and ``time`` before them.

    Raises:
        MissingExtra: pandas is not installed.
    """
    table: pandas.DataFrame = require("pandas", "frames").DataFrame(columns_of(found))
    return table


def to_polars(found: Detections | Iterable[Result]) -> polars.DataFrame:
    """A polars table, with the columns of :func:`to_pandas`.

    Raises:
        MissingExtra: polars is not installed.
    """
    table: polars.DataFrame = require("polars", "frames").DataFrame(
        {name: column.tolist() for name, column in columns_of(found).items()}
    )
    return table


def columns_of(found: Detections | Iterable[Result]) -> dict[str, Any]:
    """The columns as arrays, by name."""
    if isinstance(found, Detections):
        return _columns(found)
    parts = [
        {
            "source": np.full(len(result.detections), result.frame.name, dtype=object),
            "frame": np.full(len(result.detections), result.frame.index),
            "time": np.full(len(result.detections), result.frame.time),
            **_columns(result.detections),
        }
        for result in found
    ]
    if not parts:
        return {name: np.empty(0) for name in ("source", "frame", "time", *_COLUMNS)}
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _columns(dets: Detections) -> dict[str, Any]:
    columns: dict[str, Any] = {name: dets.xyxy[:, i] for i, name in enumerate(_COLUMNS[:4])}
    columns["confidence"] = dets.confidence
    columns["class"] = np.asarray(dets.class_id)
    columns["name"] = np.array(dets.labels, dtype=object)
    if dets.tracker_id is not None:
        columns["track_id"] = np.asarray(dets.tracker_id)
    return columns
