# SPDX-License-Identifier: Apache-2.0
"""The table of formats: one line each, and how a format is found by content.

A format is a module of this package with a docstring, ``SETTINGS`` (its own options: name → help) and up to
three
functions: ``sniff(path) -> bool``, ``read(path, options, report) -> LabelSource`` and ``write(samples, names,
out)``.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
from pathlib import Path
from types import ModuleType

from pydarknet.errors import DataError, RecordError

#: name -> title. The order is the order of sniffing: the most distinctive content first.
FORMATS: dict[str, str] = {
    "tfrecord": "TFRecord of TensorFlow's Object Detection API",
    "ilsvrc": "ImageNet localisation (ILSVRC CLS-LOC) tree",
    "yolov5": "YOLOv5 / Ultralytics / Roboflow export (data.yaml)",
    "mot": "MOT Challenge sequences (gt/gt.txt)",
    "visdrone": "VisDrone txt",
    "supervisely": "Supervisely project",
    "dota": "DOTA labelTxt (rotated boxes)",
    "darknet": "Darknet / YOLO txt (.data, .names, lists)",
    "cvat": "CVAT XML 1.1 for images or video",
    "voc": "Pascal VOC XML",
    "widerface": "WIDER FACE txt",
    "crowdhuman": "CrowdHuman .odgt",
    "groundtruth": "SageMaker GroundTruth output.manifest",
    "labelme": "LabelMe JSON",
    "coco": "COCO JSON",
    "labelstudio": "Label Studio JSON or JSON-MIN",
    "createml": "Create ML JSON",
    "vott": "VoTT JSON",
    "bdd100k": "BDD100K and Scalabel JSON",
    "datumaro": "Datumaro JSON",
    "labelbox": "Labelbox NDJSON or JSON",
    "via": "VGG Image Annotator JSON or CSV",
    "kaggle": "Kaggle ImageNet localisation CSV",
    "openimages": "Open Images CSV",
    "csv": "one CSV row per box (TensorFlow tutorials)",
    "kitti": "KITTI object or tracking labels",
}


def load(name: str) -> ModuleType:
    """The module of a format.

    Raises:
        DataError: if there is no such format; the message gives the closest.
    """
    if name not in FORMATS:
        close = difflib.get_close_matches(name, FORMATS, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known formats: {', '.join(FORMATS)}"
        raise DataError(f"no data format {name!r}; {hint}")
    return importlib.import_module(f"{__name__}.{name}")


def writers() -> list[str]:
    """Names of the formats that can be written."""
    return [name for name in FORMATS if hasattr(load(name), "write")]


def sniff(path: Path) -> str:
    """The format of a file or folder, judged by content.

    Raises:
        DataError: if the path does not exist or no format recognises it.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    for name in FORMATS:
        with contextlib.suppress(RecordError, OSError):  # an unreadable file has another format
            if load(name).sniff(path):
                return name
    from pydarknet.data.formats._seen import seen

    hint = "pydarknet convert --formats lists all"
    raise DataError(f"{path}: the format is not recognised; {seen(path)}\n  {hint}")


def check_settings(name: str, settings: dict[str, str]) -> None:
    """Refuse settings that a format does not have.

    Raises:
        DataError: naming the closest setting.
    """
    known: dict[str, str] = getattr(load(name), "SETTINGS", {})
    for key in settings:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"it has: {', '.join(known) or 'none'}"
            raise DataError(f"format {name!r} has no option {key!r}; {hint}")
