# SPDX-License-Identifier: Apache-2.0
"""Detections for labelling tools, which show them as the work of a model that people correct."""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

from pydarknet.data.formats import labelstudio
from pydarknet.engine.detections import Detections
from pydarknet.streaming.file_sources import Frame
from pydarknet.streaming.outputs.text import Stems, TextFile, clipped
from pydarknet.streaming.result import Result


def label_studio(path: str, model: str) -> TextFile:
    """Tasks for Label Studio with predictions; images by the address of local files.

    Args:
        path: the JSON file.
        model: name that Label Studio shows for the predictions.
    """
    stems = Stems()

    def task(result: Result, _: int) -> str:
        address = f"/data/local-files/?d={quote(_image_path(result.frame, stems).lstrip('/'))}"
        dets = result.detections
        regions = [_region(dets, row, label) for row, label in enumerate(dets.labels)]
        score = float(dets.confidence.mean()) if len(dets) else 0.0
        prediction = {"model_version": model, "score": round(score, 6), "result": regions}
        return json.dumps({"data": {"image": address}, "predictions": [prediction]}, ensure_ascii=False)

    return TextFile(path, task, "[\n", ",\n", "\n]\n")


def _region(dets: Detections, row: int, name: str) -> dict[str, Any]:
    x1, y1, x2, y2 = map(float, clipped(dets, row))
    score = round(float(dets.confidence[row]), 6)
    found = labelstudio.region(name, (x1, y1, x2, y2), dets.image_size, score)
    return {"id": f"box{row + 1}", "image_rotation": 0, **found}


class CvatFile(TextFile):
    """CVAT for images 1.1, with boxes of the source ``auto``; images by the names of their files.

    Args:
        path: the XML file.
        model: name of the model, kept in the file for people.
    """

    def __init__(self, path: str, model: str) -> None:
        head = '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n <version>1.1</version>\n'
        super().__init__(path, self._image, f"{head} <!-- model: {escape(model).replace('--', '- -')} -->\n")
        self._stems = Stems()
        self._names: tuple[str, ...] = ()

    def close(self) -> str:
        """Write the labels of the network behind the images, and move the file into place."""
        labels = "".join(f"<label><name>{escape(name)}</name></label>" for name in self._names)
        self._tail = f" <meta><task><labels>{labels}</labels></task></meta>\n</annotations>\n"
        return super().close()

    def _image(self, result: Result, number: int) -> str:
        dets = result.detections
        self._names = tuple(dets.names)
        width, height = dets.image_size
        name = PurePath(_image_path(result.frame, self._stems)).name
        lines = [f' <image id="{number - 1}" name={quoteattr(name)} width="{width}" height="{height}">\n']
        for row, kind in enumerate(dets.labels):
            corners = zip(("xtl", "ytl", "xbr", "ybr"), map(float, clipped(dets, row)), strict=True)
            edges = " ".join(f'{key}="{value:.2f}"' for key, value in corners)
            label = f'label={quoteattr(kind)} source="auto" score="{dets.confidence[row]:.6f}"'
            lines.append(f'  <box {label} occluded="0" {edges} z_order="0"></box>\n')
        return "".join([*lines, " </image>\n"])


def _image_path(frame: Frame, stems: Stems) -> str:
    """The path of an image; frames of a video are images named by the video and their number."""
    return frame.name if frame.still else f"{stems.of_frame(frame)}.jpg"
