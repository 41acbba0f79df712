# SPDX-License-Identifier: Apache-2.0
"""A trained network on real images finds what Darknet found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest

from pydarknet import Detections, Network

RUNS = [
    *((model, image, False) for model in ("yolo-fastest-1.1", "yolo-fastest-1.1-xl")
      for image in ("dog", "eagle", "giraffe", "horses", "person")),
    ("yolo-fastest-1.1-xl", "dog", True),
    ("yolo-fastest-1.1-xl", "horses", True),
]  # fmt: skip
THRESH = 0.1  # of the reference files


class Object(NamedTuple):
    class_id: int
    confidence: float
    box: np.ndarray  # xyxy, pixels


def expected(fixtures: Path, model: str, image: str, letterbox: bool) -> list[Object]:
    suffix = ".letterbox.json" if letterbox else ".json"
    height, width = cv2.imread(str(fixtures / "images" / f"{image}.jpg")).shape[:2]
    objects = []
    for entry in json.loads((fixtures / "nets" / f"{model}.{image}{suffix}").read_text())[0]["objects"]:
        box = entry["relative_coordinates"]
        x, y, w, h = (box[key] for key in ("center_x", "center_y", "width", "height"))
        corners = np.array([x - w / 2, y - h / 2, x + w / 2, y + h / 2]) * [width, height, width, height]
        objects.append(Object(entry["class_id"], entry["confidence"], corners))
    return objects


def found(dets: Detections) -> list[Object]:
    return [Object(int(d.class_id[0]), float(d.confidence[0]), d.xyxy[0]) for d in dets]


def unmatched(
    objects: list[Object], others: list[Object], confidence: float, pixels: float, iou: float = 0
) -> list[Object]:
    """The objects without a counterpart of the same class, confidence and place, borderline ones aside."""
    left = list(others)
    missing = []
    for item in objects:
        for other in left:
            near = np.max(np.abs(item.box - other.box)) <= pixels or overlap(item.box, other.box) >= iou > 0
            if (
                item.class_id == other.class_id
                and abs(item.confidence - other.confidence) <= confidence
                and near
            ):
                left.remove(other)
                break
        else:
            if item.confidence > THRESH + confidence:
                missing.append(item)
    return missing


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    inner = float(np.prod(np.maximum(sides, 0)))
    return inner / float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - inner)


def network(fixtures: Path, model: str, **options: object) -> Network:
    nets = fixtures / "nets"
    return Network(
        nets / f"{model}.cfg",
        nets / f"{model}.weights",
        names=nets / "coco.names",
        **options,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(("model", "image", "letterbox"), RUNS)
def test_fp32_finds_what_darknet_found(
    shared: Path, backend: str, model: str, image: str, letterbox: bool
) -> None:
    """Same objects; confidence within 0.01 and boxes within a pixel, except right at the threshold."""
    fixtures = shared / "fixtures"
    with network(fixtures, model, backend=backend, precision="fp32") as net:
        ours = found(net.detect(fixtures / "images" / f"{image}.jpg", THRESH, letterbox=letterbox))
    theirs = expected(fixtures, model, image, letterbox)
    assert not unmatched(theirs, ours, 0.01, 1.0)
    assert not unmatched(ours, theirs, 0.01, 1.0)


@pytest.mark.parametrize(("model", "image", "letterbox"), RUNS)
def test_bf16_finds_the_same_objects(shared: Path, model: str, image: str, letterbox: bool) -> None:
    """bf16 keeps 8 bits of a number: confidence within 0.03; boxes overlap by 0.9 at least."""
    from pydarknet.engine import _core

    if "cpu" not in _core.backend_names():
        pytest.skip("this build has no backend cpu, and ref has no bf16")
    fixtures = shared / "fixtures"
    with network(fixtures, model, backend="cpu", precision="bf16") as net:
        ours = found(net.detect(fixtures / "images" / f"{image}.jpg", THRESH, letterbox=letterbox))
        assert net.info.precision == "bf16"
    theirs = expected(fixtures, model, image, letterbox)
    assert not unmatched(theirs, ours, 0.03, 1.0, iou=0.9)
    assert not unmatched(ours, theirs, 0.03, 1.0, iou=0.9)


def test_a_batch_of_images_of_different_sizes_equals_one_by_one(shared: Path, backend: str) -> None:
    fixtures = shared / "fixtures"
    paths = sorted((fixtures / "images").glob("*.jpg"))
    with network(fixtures, "yolo-fastest-1.1", backend=backend, precision="fp32") as net:
        singly = [net.detect(path) for path in paths]
        net.batch = 2  # five images: two and two and one
        together = net.detect(paths)
    for one, other in zip(singly, together, strict=True):
        np.testing.assert_array_equal(other.class_id, one.class_id)
        np.testing.assert_allclose(other.confidence, one.confidence, rtol=1e-4)
        np.testing.assert_allclose(other.xyxy, one.xyxy, atol=1e-2)


def test_another_input_size_finds_the_dog(shared: Path, backend: str) -> None:
    fixtures = shared / "fixtures"
    with network(fixtures, "yolo-fastest-1.1-xl", backend=backend, precision="fp32") as net:
        net.resize(416, 320)
        dets = net.detect(fixtures / "images" / "dog.jpg")
        dog = dets[dets.class_id == dets.names.index("dog")]
        assert len(dog) == 1
        # where the dog is at the cfg's own size
        reference = [o for o in expected(fixtures, "yolo-fastest-1.1-xl", "dog", False) if o.class_id == 16]
        assert overlap(dog.xyxy[0], reference[0].box) > 0.5
