# SPDX-License-Identifier: Apache-2.0
"""Darknet's ``darknet_images.py``: its helpers for scripts that import them, and its command line."""

# ruff: noqa: D103 - Darknet's names; what they do, they say
from __future__ import annotations

import argparse
import os
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pydarknet.compat import darknet
from pydarknet.compat._helpers import (
    Box,
    decode_detection,
    draw_boxes,
    image_of,
    print_detections,
    remove_negatives,
)
from pydarknet.compat._library import IMAGE, FloatPtr
from pydarknet.engine.images import load, save_image
from pydarknet.errors import ArgumentError, DataError
from pydarknet.system.atomic import write_text

Detection = tuple[str, str, Box]


def parser() -> argparse.Namespace:
    p = argparse.ArgumentParser(description="YOLO Object Detection")
    p.add_argument("--input", default="", help="an image, a .txt list of images, or a folder of them")
    p.add_argument("--batch_size", default=1, type=int, help="images processed at the same time")
    p.add_argument("--weights", default="yolov4.weights", help="weights path")
    p.add_argument("--dont_show", action="store_true", help="no window, for headless systems")
    p.add_argument("--ext_output", action="store_true", help="print where the objects are, too")
    p.add_argument("--save_labels", action="store_true", help="save detections in YOLO format")
    p.add_argument("--config_file", default="./cfg/yolov4.cfg", help="path to the config file")
    p.add_argument("--data_file", default="./cfg/coco.data", help="path to the data file")
    p.add_argument("--thresh", type=float, default=0.25, help="lowest confidence that is shown")
    return p.parse_args()


def check_arguments_errors(args: argparse.Namespace) -> None:
    if not 0 < args.thresh < 1:
        raise ArgumentError(f"found --thresh {args.thresh}, expected a number between 0 and 1")
    for path in (args.config_file, args.weights, args.data_file):
        if not Path(path).exists():
            raise DataError(f"{Path(path).absolute()}: file not found")
    if args.input and not Path(args.input).exists():
        raise DataError(f"{Path(args.input).absolute()}: image, list or folder not found")


def check_batch_shape(images: Sequence[np.ndarray[Any, Any]], batch_size: int) -> tuple[int, ...]:
    """The common shape of all images.

    Raises:
        ValueError: the shapes differ, or the number of images is not the batch.
    """
    shapes: set[tuple[int, ...]] = {image.shape for image in images}
    if len(shapes) > 1:
        raise ArgumentError(f"found images of {len(shapes)} shapes in a batch, expected one")
    if len(images) != batch_size:
        raise ArgumentError(f"found {len(images)} images, expected the batch size of {batch_size}")
    return shapes.pop()


def load_images(images_path: str) -> list[str]:
    """The paths of an image, of a list file, or of the jpg, jpeg and png files in a folder."""
    path = Path(images_path)
    if path.suffix.lower() in (".jpg", ".jpeg", ".png"):
        return [images_path]
    if path.suffix == ".txt":
        return path.read_text("utf-8").splitlines()
    return [str(p) for p in sorted(path.iterdir()) if p.suffix.lower() in (".jpg", ".jpeg", ".png")]


def _fitted(image: np.ndarray[Any, Any], network: Any) -> np.ndarray[Any, Any]:
    """The image at the network's size, red first."""
    size = darknet.network_width(network), darknet.network_height(network)
    rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_LINEAR))


def prepare_batch(images: Sequence[np.ndarray[Any, Any]], network: Any, channels: int = 3) -> IMAGE:
    """Images (blue first) at the network's size, concatenated; the result keeps its memory alive."""
    planes = [_fitted(image, network).transpose(2, 0, 1) for image in images]
    batch = np.ascontiguousarray(planes, np.float32) / np.float32(255)
    width, height = darknet.network_width(network), darknet.network_height(network)
    image = IMAGE(width, height, channels, batch.ctypes.data_as(FloatPtr))
    image.owner = batch
    return image


def _as_pixels(image_or_path: Any) -> np.ndarray[Any, Any]:
    return load(image_or_path, 3)


def image_detection(
    image_or_path: Any, network: Any, class_names: Sequence[str], class_colors: Any, thresh: float
) -> tuple[np.ndarray[Any, Any], list[Detection]]:
    """The annotated image at the network's size, blue first, and its detections."""
    resized = _fitted(_as_pixels(image_or_path), network)
    image = image_of(np.ascontiguousarray(resized[:, :, ::-1]))
    try:
        detections = darknet.detect_image(network, class_names, image, thresh=thresh)
    finally:
        darknet.free_image(image)
    drawn = draw_boxes(detections, resized, class_colors)
    return cv2.cvtColor(drawn, cv2.COLOR_BGR2RGB), detections


def batch_detection(
    network: Any,
    images: Sequence[np.ndarray[Any, Any]],
    class_names: Sequence[str],
    class_colors: Any,
    thresh: float = 0.25,
    hier_thresh: float = 0.5,
    nms: float = 0.45,
    batch_size: int = 4,
) -> tuple[Sequence[np.ndarray[Any, Any]], list[list[Detection]]]:
    """The images, annotated in place, and the detections of each in its pixels; all images have one shape."""
    height, width, _ = check_batch_shape(images, batch_size)
    batch = prepare_batch(images, network)
    pairs = darknet.network_predict_batch(
        network, batch, batch_size, width, height, thresh, hier_thresh, None, 0, 0
    )
    found: list[list[Detection]] = []
    try:
        for i, image in enumerate(images):
            if nms:
                darknet.do_nms_obj(pairs[i].dets, pairs[i].num, len(class_names), nms)
            rows = remove_negatives(pairs[i].dets, class_names, pairs[i].num)
            found.append(decode_detection(rows))
            draw_boxes(found[i], image, class_colors)
    finally:
        darknet.free_batch_detections(pairs, batch_size)
    return images, found


def image_classification(image: Any, network: Any, class_names: Sequence[str]) -> list[tuple[str, float]]:
    """All classes with their probabilities, most probable first."""
    prepared = image_of(np.ascontiguousarray(_fitted(_as_pixels(image), network)[:, :, ::-1]))
    try:
        out = darknet.predict_image(network, prepared)
        rows = [(name, out[i]) for i, name in enumerate(class_names)]
    finally:
        darknet.free_image(prepared)
    return sorted(rows, key=lambda row: -row[1])


def convert2relative(image: np.ndarray[Any, Any], bbox: Box) -> Box:
    """Convert a box from pixels of the image to fractions of its sides."""
    x, y, w, h = bbox
    height, width = image.shape[:2]
    return x / width, y / height, w / width, h / height


def save_annotations(
    name: str, image: np.ndarray[Any, Any], detections: Sequence[Detection], class_names: Sequence[str]
) -> None:
    """Write ``class x y w h confidence`` lines beside the image.

    Darknet overwrites the labels of the image, which have the same name; here a first overwrite keeps a copy
    as NAME.txt.orig.
    """
    path = Path(os.path.splitext(name)[0] + ".txt")  # noqa: PTH122 - "a.b" stays "a.b"
    lines = []
    for label, confidence, bbox in detections:
        values = " ".join(f"{value:.4f}" for value in convert2relative(image, bbox))
        lines.append(f"{list(class_names).index(label)} {values} {float(confidence):.4f}\n")
    original = path.with_name(path.name + ".orig")
    if path.exists() and not original.exists():
        path.rename(original)
    write_text(path, "".join(lines))


def main() -> None:
    """Detect in each image of ``--input``; write annotated images to ``predictions/``; open no window."""
    args = parser()
    check_arguments_errors(args)
    random.seed(3)  # the same colours each time
    network, class_names, class_colors = darknet.load_network(
        args.config_file, args.data_file, args.weights, batch_size=args.batch_size
    )
    for name in load_images(args.input) if args.input else iter(lambda: input("Enter Image Path: "), ""):
        start = time.perf_counter()
        image, detections = image_detection(name, network, class_names, class_colors, args.thresh)
        if args.save_labels:
            save_annotations(name, image, detections, class_names)
        print_detections(detections, args.ext_output)
        print(f"FPS: {1 / (time.perf_counter() - start):.0f}")
        save_image(Path("predictions") / f"{Path(name).stem}.jpg", image)


if __name__ == "__main__":
    main()
