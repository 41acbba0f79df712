# SPDX-License-Identifier: Apache-2.0
"""Small exports of labelling tools and public data sets, written by hand from the formats' descriptions.

Every one has an image of 200 x 100 pixels, a dog at 20,10,60,40, and one object that cannot be read.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from data_files import make_image, make_text


def make_json(path: Path, value: Any) -> Path:
    return make_text(path, json.dumps(value))


def createml(root: Path) -> Path:
    make_image(root / "train/a.jpg", 200, 100)
    box = {"x": 40, "y": 25, "width": 40, "height": 30}  # of the centre
    objects = [{"label": "dog", "coordinates": box}, {"label": "dog", "coordinates": {"x": 1}}]
    return make_json(root / "train/_annotations.createml.json", [{"image": "a.jpg", "annotations": objects}])


def vott(root: Path) -> Path:
    make_image(root / "a b.jpg", 200, 100)
    box = {"left": 10, "top": 5, "width": 20, "height": 15}  # of an image stated at 100 x 50
    regions = [
        {"type": "RECTANGLE", "tags": ["dog", "pet"], "boundingBox": box},
        {"type": "RECTANGLE", "tags": ["dog"]},
    ]
    asset = {"name": "a%20b.jpg", "size": {"width": 100, "height": 50}}
    tags = [{"name": "cat"}, {"name": "dog"}, {"name": "pet"}]
    entry = {"asset": asset, "regions": regions, "version": "2.1.0"}
    return make_json(root / "set-export.json", {"name": "set", "tags": tags, "assets": {"1f": entry}})


def bdd100k(root: Path) -> Path:
    make_image(root / "images/100k/train/a.jpg", 200, 100)
    labels = [
        {
            "category": "dog",
            "attributes": {"occluded": True, "truncated": False},
            "box2d": {"x1": 20, "y1": 10, "x2": 60, "y2": 40},
        },
        {"category": "lane", "poly2d": [{"vertices": [[0, 0], [9, 9]]}]},
        {"category": "dog", "box2d": {"x1": "?"}},
    ]
    return make_json(root / "labels/det_train.json", [{"name": "a.jpg", "labels": labels}])


def bdd100k_old(root: Path) -> Path:
    make_image(root / "images/a.jpg", 200, 100)
    objects = [
        {"category": "dog", "box2d": {"x1": 20, "y1": 10, "x2": 60, "y2": 40}},
        {"category": "dog", "box2d": {}},
    ]
    return make_json(root / "labels/train/a.json", {"name": "a", "frames": [{"objects": objects}]})


def supervisely(root: Path) -> Path:
    make_image(root / "train/img/a.jpg", 200, 100)
    done, png = cv2.imencode(".png", np.full((30, 40), 255, np.uint8))
    assert done
    mask = {"data": base64.b64encode(zlib.compress(png.tobytes())).decode(), "origin": [20, 10]}
    corners = {"exterior": [[60, 10], [20, 40]], "interior": []}
    objects = [
        {"classTitle": "dog", "geometryType": "rectangle", "points": corners},
        {"classTitle": "cat", "geometryType": "bitmap", "bitmap": mask},
        {"classTitle": "dog", "geometryType": "bitmap", "bitmap": {"data": "?", "origin": [0, 0]}},
    ]
    make_json(root / "meta.json", {"classes": [{"title": "cat"}, {"title": "dog"}]})
    file = root / "train/ann/a.jpg.json"
    make_json(file, {"size": {"width": 200, "height": 100}, "objects": objects})
    return root


def datumaro(root: Path) -> Path:
    make_image(root / "images/train/a.jpg", 200, 100)
    objects = [
        {"type": "bbox", "label_id": 1, "bbox": [20, 10, 40, 30], "attributes": {"occluded": True}},
        {"type": "polygon", "label_id": 0, "points": [100, 10, 140, 10, 120, 40]},
        {"type": "bbox", "label_id": 7, "bbox": [20, 10, 40, 30]},
        {"type": "label", "label_id": 0},
    ]
    item = {"id": "a", "annotations": objects, "image": {"path": "a.jpg", "size": [100, 200]}}
    labels = {"label": {"labels": [{"name": "cat"}, {"name": "dog"}]}}
    return make_json(root / "annotations/train.json", {"info": {}, "categories": labels, "items": [item]})


def labelbox(root: Path) -> Path:
    make_image(root / "a.jpg", 200, 100)
    box = {"top": 10, "left": 20, "height": 30, "width": 40}
    objects = [
        {"name": "dog", "annotation_kind": "ImageBoundingBox", "bounding_box": box},
        {
            "name": "cat",
            "annotation_kind": "ImagePolygon",
            "polygon": [{"x": 100, "y": 10}, {"x": 140, "y": 40}],
        },
        {"name": "dog", "bounding_box": {}},
    ]
    row = {
        "data_row": {"id": "x", "external_id": "a.jpg"},
        "media_attributes": {"width": 200, "height": 100},
        "projects": {"p": {"labels": [{"annotations": {"objects": objects}}]}},
    }
    return make_text(root / "export.ndjson", json.dumps(row) + "\n")


def labelbox_list(root: Path) -> Path:
    file = labelbox(root)
    make_text(root / "export.json", f"[{file.read_text()}]")
    file.unlink()
    return root / "export.json"


def mot(root: Path) -> Path:
    """Pixels count from 1."""
    make_image(root / "train/S-01/img1/000001.jpg", 200, 100)
    make_image(root / "train/S-01/img1/000002.jpg", 200, 100)
    lines = "1,7,21,11,40,30,1,2,0.5\n1,8,101,11,40,30,0,1,1\n1,9,1,1,4,4,1,99,1\n"
    make_text(root / "train/S-01/gt/labels.txt", "cat\ndog\n")
    return make_text(root / "train/S-01/gt/gt.txt", lines)


def dota(root: Path) -> Path:
    make_image(root / "train/images/a.jpg", 200, 100)
    lines = ["20 25 40 10 60 25 40 40 dog 0", "100 10 140 10 140 40 100 40 cat 1", "1 2 dog 0"]
    make_text(root / "train/labelTxt/a.txt", "\n".join(["imagesource:x", "gsd:0.1", *lines, ""]))
    return root


#: Format -> functions that write an export below a folder and return what to read.
EXPORTS: dict[str, tuple[Callable[[Path], Path], ...]] = {
    "createml": (createml,),
    "vott": (vott,),
    "bdd100k": (bdd100k, bdd100k_old),
    "supervisely": (supervisely,),
    "datumaro": (datumaro,),
    "labelbox": (labelbox, labelbox_list),
    "mot": (mot,),
    "dota": (dota,),
}
