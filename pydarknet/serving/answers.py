# SPDX-License-Identifier: Apache-2.0
"""Forms of an answer: records, Darknet's JSON, COCO's results, or the image with boxes drawn in."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from pydarknet.engine.detections import Detections
from pydarknet.engine.images import Pixels
from pydarknet.serving.limits import Refused
from pydarknet.streaming.outputs.text import coco_entries

RECORDS = "application/json"
DARKNET, COCO, JPEG = "application/x-darknet+json", "application/x-coco+json", "image/jpeg"


def records(dets: Detections, image: Pixels) -> bytes:  # noqa: ARG001
    """A list of ``xmin, ymin, xmax, ymax`` in pixels, ``confidence``, ``class``, ``name``."""
    return json.dumps(dets.to_records()).encode()


def _darknet(dets: Detections, image: Pixels) -> bytes:  # noqa: ARG001
    return dets.to_json().encode()


def _coco(dets: Detections, image: Pixels) -> bytes:  # noqa: ARG001
    return f"[{coco_entries(dets, 1)}]".encode()


def _drawn(dets: Detections, image: Pixels) -> bytes:
    import cv2

    data: bytes = cv2.imencode(".jpg", dets.plot(image))[1].tobytes()
    return data


#: Media type -> function that makes the body.
FORMS: Mapping[str, Callable[[Detections, Pixels], bytes]] = {
    RECORDS: records,
    DARKNET: _darknet,
    COCO: _coco,
    JPEG: _drawn,
}


def choose(accept: str | None) -> str:
    """The media type of :data:`FORMS` that a client prefers by its Accept header.

    Raises:
        Refused: 406, there is none of those that it accepts.
    """
    wanted = list(filter(None, map(str.strip, (accept or "").split(","))))
    parsed = [(_quality(entry), entry.partition(";")[0].strip().lower()) for entry in wanted]
    for quality, kind in sorted(parsed, key=lambda one: -one[0]):
        if quality <= 0:
            continue
        if kind in ("*/*", "application/*"):
            return RECORDS
        if kind in FORMS:
            return kind
        if kind == "image/*":
            return JPEG
    if not wanted:
        return RECORDS
    raise Refused(406, f"found Accept: {accept!r}, expected one of {', '.join(FORMS)}")


def _quality(entry: str) -> float:
    """The weight of an entry of an Accept header, 0..1."""
    for parameter in entry.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
