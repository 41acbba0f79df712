# SPDX-License-Identifier: Apache-2.0
"""Tracking of objects across frames, by the ``trackers`` package (https://github.com/roboflow/trackers)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import PurePath
from typing import Any

import numpy as np

from pydarknet.engine.detections import Detections
from pydarknet.engine.images import Pixels
from pydarknet.errors import ArgumentError
from pydarknet.streaming.result import Result
from pydarknet.system.extras import require

#: Names for ``--track``, and their classes in ``trackers``.
TRACKERS = {
    "bytetrack": "ByteTrackTracker",
    "sort": "SORTTracker",
    "ocsort": "OCSORTTracker",
    "botsort": "BoTSORTTracker",
    "cbiou": "CBIoUTracker",
    "mcbyte": "McByteTracker",
}
_LOOKS = {"botsort", "mcbyte"}  # they estimate the camera's motion from the images

# A Darknet confidence is objectness times class probability, which is lower than the defaults assume.
_DEFAULTS: dict[str, dict[str, Any]] = {
    name: {"track_activation_threshold": 0.4, "high_conf_det_threshold": 0.4}
    for name in ("bytetrack", "botsort", "cbiou", "mcbyte")
}


class Tracker:
    """Tracks objects through the frames of one video or stream.

    Args:
        kind: a name from :data:`TRACKERS`, or an object with the ``update`` of one.
        fps: frames per second; decides how long a lost object is remembered.
        settings: of the tracker, under the names of ``trackers``.

    Raises:
        MissingExtra: ``trackers`` is not installed.
        ArgumentError: the tracker is unknown, here or to the ``trackers`` that is installed.
    """

    def __init__(self, kind: Any = "bytetrack", fps: float = 30.0, **settings: Any) -> None:
        self._looks = False
        self._make_detections = require("supervision", "tracking").Detections
        trackers = require("trackers", "tracking")
        if not isinstance(kind, str):
            self._tracker = kind
            return
        if kind not in TRACKERS:
            raise ArgumentError(f"found tracker {kind!r}, expected one of {', '.join(TRACKERS)}")
        if not hasattr(trackers, TRACKERS[kind]):
            raise ArgumentError(f"tracker {kind} needs a newer package: pip install --upgrade trackers")
        self._looks = kind in _LOOKS
        chosen = {**_DEFAULTS.get(kind, {}), **settings}
        self._tracker = getattr(trackers, TRACKERS[kind])(frame_rate=fps or 30.0, **chosen)

    def update(self, detections: Detections, image: Pixels | None = None) -> Detections:
        """Add ``tracker_id`` to detections: -1 until the tracker has confirmed an object.

        Several classes of one box share a number.

        Args:
            detections: of the next frame.
            image: the frame, (h, w, 3) uint8; for ``botsort`` and ``mcbyte``.
        """
        boxes, box_of = np.unique(detections.xyxy, axis=0, return_inverse=True)
        box_of = box_of.reshape(-1)
        confidence = np.zeros(len(boxes), np.float32)
        np.maximum.at(confidence, box_of, detections.confidence)
        class_id = np.zeros(len(boxes), int)
        order = np.argsort(detections.confidence, kind="stable")
        class_id[box_of[order]] = detections.class_id[order]
        found = self._tracker.update(
            self._make_detections(
                xyxy=boxes.astype(float),
                confidence=confidence,
                class_id=class_id,
                data={"row": np.arange(len(boxes))},
            ),
            **({"frame": image} if self._looks and image is not None else {}),
        )
        ids = np.full(len(boxes), -1)
        if len(found) and found.tracker_id is not None:
            ids[found.data["row"]] = found.tracker_id
        return replace(detections, tracker_id=ids[box_of])


def track(results: Iterable[Result], kind: str = "bytetrack", **settings: Any) -> Iterator[Result]:
    """Add ``tracker_id`` to the results of a stream; each video has its own numbers, and so has each folder,
    archive or list of images, whose images are taken for the frames of a video.

    ::

        for image, dets in track(pydarknet.stream(net, "video.mp4")):
            print(dets.tracker_id)

    Args:
        results: of :func:`pydarknet.stream`.
        kind: see :class:`Tracker`.
        settings: see :class:`Tracker`.
    """
    trackers: dict[str, Tracker] = {}
    for result in results:
        frame = result.frame
        source = str(PurePath(frame.name).parent) if frame.still else frame.name
        if source not in trackers:
            trackers[source] = Tracker(kind, frame.fps, **settings)
        yield replace(result, detections=trackers[source].update(result.detections, frame.image))
