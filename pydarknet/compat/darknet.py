# SPDX-License-Identifier: Apache-2.0
"""Darknet's ``darknet.py``, with the names and result types that scripts rely on.

It serves scripts of all years, whose variants are distinguished by their arguments: ``detect_image`` with
metadata returns ``(name, probability, box)``, best first, as until 2020; with a list of names it returns
``(name, "percent", box)``, sorted by that text, as since 2020. The result of ``load_network`` is both the
triple and the network itself.
New code should use :class:`pydarknet.Network`.
"""

# ruff: noqa: N802, N803, N816, ARG001, A002, F403, F405 - the names are Darknet's
from __future__ import annotations

import ctypes as ct
import math  # noqa: F401  scripts use these through this module
import os
import random  # noqa: F401
from collections.abc import Sequence
from ctypes import *
from typing import Any

import cv2  # noqa: F401

from pydarknet import __version__, errors
from pydarknet.compat._helpers import (  # noqa: F401
    Box,
    array_to_image,
    bbox2points,
    c_array,
    class_colors,
    copy_image_from_bytes,
    decode_detection,
    draw_boxes,
    found_in,
    image_of,
    non_max_suppression_fast,
    print_detections,
    remove_negatives,
    remove_negatives_faster,
    sample,
)
from pydarknet.compat._library import (  # noqa: F401
    BOX,
    DETECTION,
    DETNUMPAIR,
    IMAGE,
    METADATA,
    DETECTIONPtr,
    DETNUMPAIRPtr,
    FloatPtr,
    IntPtr,
    lib,
    path_bytes,
)
from pydarknet.engine._core import backend_names
from pydarknet.engine.images import load

hasGPU = "cuda" in backend_names()

# -- functions of the library under their Python names

predict = network_predict = network_predict_ptr = lib.network_predict_ptr
set_gpu = lib.cuda_set_device
init_cpu = lib.init_cpu
make_image = lib.make_image
free_ptrs = lib.free_ptrs
reset_rnn = lib.reset_rnn
free_network_ptr = lib.free_network_ptr
do_nms_obj = lib.do_nms_obj
do_nms_sort = lib.do_nms_sort
letterbox_image = lib.letterbox_image
rgbgr_image = lib.rgbgr_image
predict_image = network_predict_image = lib.network_predict_image
predict_image_letterbox = network_predict_image_letterbox = lib.network_predict_image_letterbox
network_predict_batch = lib.network_predict_batch
network_width = lib.network_width
network_height = lib.network_height

Network = Any


def free_image(image: IMAGE) -> None:
    """Free the pixels of an image; a second call does nothing."""
    if image.data:
        lib.free_image(image)
        image.data = type(image.data)()


def free_detections(dets: Any, n: Any) -> None:
    """Free the records of :func:`get_network_boxes`; a second call does nothing."""
    _free_once(lib.free_detections, dets, n)


def free_batch_detections(pairs: Any, n: Any) -> None:
    """Free the records of ``network_predict_batch``; a second call does nothing."""
    _free_once(lib.free_batch_detections, pairs, n)


def _free_once(free: Any, pointer: Any, n: Any) -> None:
    if pointer:
        free(pointer, n)
        ct.memset(ct.byref(pointer), 0, ct.sizeof(pointer))  # it is false now


def get_network_boxes(
    net: Network,
    w: int,
    h: int,
    thresh: float,
    hier: float,
    map: Any,
    relative: int,
    num: Any,
    letter: int = 0,
) -> Any:
    """Candidates of the last prediction; the last argument, which was added in 2019, is optional."""
    return lib.get_network_boxes(net, w, h, thresh, hier, map, relative, num, letter)


def make_network_boxes(net: Network, thresh: float = 0.5, num: Any = None) -> Any:
    """Empty records, as many as :func:`get_network_boxes` would return."""
    return lib.make_network_boxes(net, thresh, num)


def load_net(config: str | bytes, weights: str | bytes | None, clear: int = 0) -> Network:
    """Load a network with the batch of its cfg."""
    return lib.load_network(path_bytes(config), path_bytes(weights), clear)


def load_net_custom(
    config: str | bytes, weights: str | bytes | None, clear: int = 0, batch_size: int = 1
) -> Network:
    """Load a network with the given batch."""
    return lib.load_network_custom(path_bytes(config), path_bytes(weights), clear, batch_size)


def load_meta(data_file: str | bytes) -> METADATA:
    """Classes and names of a ``.data`` file."""
    meta = lib.get_metadata(path_bytes(data_file))
    assert isinstance(meta, METADATA)
    return meta


def load_image(path: str | bytes, w: int = 0, h: int = 0, c: int = 3) -> IMAGE:
    """An image file, resized unless w or h is 0; the caller frees it.

    Raises:
        DataError: the file cannot be read or decoded.
    """
    image = image_of(load(os.fsdecode(path), c))
    if not w or not h or (image.w, image.h) == (w, h):
        return image
    resized = lib.resize_image(image, w, h)
    free_image(image)
    assert isinstance(resized, IMAGE)
    return resized


# -- networks


class LoadedNetwork(tuple[Any, ...]):
    """Result of ``load_network``: ``(network, class_names, class_colors)``, also usable as the network."""

    @property
    def _as_parameter_(self) -> c_void_p:
        return c_void_p(self[0])


def load_network(config_file: str, data_file: str, weights: str, batch_size: int = 1) -> LoadedNetwork:
    """Load a network and the names of its classes.

    Args:
        config_file: the cfg.
        data_file: a ``.data`` file, or a file of names.
        weights: the weights.
        batch_size: images of ``network_predict_batch``.
    """
    names = _class_names(data_file)
    network = load_net_custom(config_file, weights, 0, batch_size)
    return LoadedNetwork((network, names, class_colors(names)))


def _class_names(data_file: str) -> list[str]:
    if os.fspath(data_file).endswith((".names", ".txt")):
        from pydarknet.engine.darknet_files import read_names

        return list(read_names(data_file))
    meta = load_meta(data_file)
    if not meta.names:
        raise errors.DataError(f"{data_file}: has neither names= nor labels=")
    return [meta.names[i].decode("utf-8", "replace") for i in range(meta.classes)]


def network_dimensions(net: Network, w: Any = None, h: Any = None, c: Any = None) -> tuple[int, int, int]:
    """Width, height and channels of the input; also written through the pointers, if given."""
    values = c_int(), c_int(), c_int()
    lib.darknet_network_dimensions(net, *(byref(value) for value in values))
    for target, value in zip((w, h, c), values, strict=True):
        if target is not None:
            cast(target, IntPtr)[0] = value.value
    return values[0].value, values[1].value, values[2].value


# -- settings since 2024


def set_verbose(flag: bool) -> None:
    """Do nothing: this library does not print."""


set_trace = set_verbose


def set_output_stream(path: str | bytes) -> None:
    """Do nothing: this library does not print."""


def version_short() -> bytes:
    """Version of pydarknet; its records are those of Darknet before 5.1."""
    return __version__.encode()


def version_string() -> bytes:
    """Name and version."""
    return b"pydarknet " + version_short()


def show_version_info() -> None:
    """Print name and version."""
    print(version_string().decode())


_skipped: dict[int, set[int]] = {}  # by network


def _address(net: Network) -> int:
    address: Any = net[0] if isinstance(net, tuple) else net
    return int(getattr(address, "value", address))


def add_skipped_class(net: Network, index: int) -> None:
    """Leave a class out of the results of :func:`detect_image`."""
    _skipped.setdefault(_address(net), set()).add(index)


def del_skipped_class(net: Network, index: int) -> None:
    """Report the class again."""
    _skipped.get(_address(net), set()).discard(index)


def clear_skipped_classes(net: Network) -> None:
    """Report all classes."""
    _skipped.pop(_address(net), None)


# -- detection


def detect_image(
    network: Network,
    class_names: Sequence[str] | METADATA,
    image: IMAGE,
    thresh: float = 0.5,
    hier_thresh: float = 0.5,
    nms: float = 0.45,
    debug: bool = False,
) -> list[tuple[Any, Any, Box]]:
    """Detect objects in an image.

    Returns:
        For a list of names ``(name, "percent", (x, y, w, h))``, sorted by the text of the percentage, as
        in Darknet, so ``"9.5"`` follows ``"88.1"``. For metadata ``(name, probability, box)``, best
        first; names are bytes unless ``altNames`` is set. Boxes are centre and size in pixels of the image.
    """
    old = isinstance(class_names, METADATA)
    names: Any = _old_names(class_names) if isinstance(class_names, METADATA) else class_names
    predict_image(network, image)
    num = c_int(0)
    dets = get_network_boxes(network, image.w, image.h, thresh, hier_thresh, None, 0, pointer(num))
    try:
        if nms:
            do_nms_sort(dets, num.value, len(names), nms)
        found = found_in(dets, names, num.value, _skipped.get(_address(network), ()))
    finally:
        free_detections(dets, num)
    if old:
        return sorted(found, key=lambda row: -row[1])
    return sorted(decode_detection(found), key=lambda row: row[1])


def _old_names(meta: METADATA) -> Sequence[Any]:
    return altNames if altNames is not None else [meta.names[i] for i in range(meta.classes)]


# -- until 2020

netMain: Any = None
metaMain: Any = None
altNames: Any = None


def classify(net: Network, meta: METADATA, im: IMAGE) -> list[tuple[Any, float]]:
    """All classes with their probabilities, most probable first."""
    out = predict_image(net, im)
    names = _old_names(meta)
    return sorted(((names[i], out[i]) for i in range(meta.classes)), key=lambda row: -row[1])


def detect(
    net: Network,
    meta: METADATA,
    image: bytes | str,
    thresh: float = 0.5,
    hier_thresh: float = 0.5,
    nms: float = 0.45,
    debug: bool = False,
) -> list[tuple[Any, float, Box]]:
    """Detect objects in an image file: ``(name, probability, (x, y, w, h))``, best first."""
    loaded = load_image(image, 0, 0)
    try:
        return detect_image(net, meta, loaded, thresh, hier_thresh, nms, debug)
    finally:
        free_image(loaded)


def performDetect(
    imagePath: str = "data/dog.jpg",
    thresh: float = 0.25,
    configPath: str = "./cfg/yolov4.cfg",
    weightPath: str = "yolov4.weights",
    metaPath: str = "./cfg/coco.data",
    showImage: bool = True,
    makeImageOnly: bool = False,
    initOnly: bool = False,
) -> Any:
    """Detect objects in an image file; the network is loaded once.

    Returns:
        The result of :func:`detect`; with ``showImage`` a dict of ``detections``, ``image`` (drawn, red
        first) and ``caption``. No window opens.

    Raises:
        ValueError: a file is missing, or the threshold is not between 0 and 1.
    """
    if not 0 < thresh < 1:
        raise errors.ArgumentError(f"found threshold {thresh}, expected a number between 0 and 1")
    _initialise(configPath, weightPath, metaPath)
    if initOnly:
        return None
    if not os.path.exists(imagePath):  # noqa: PTH110
        raise errors.DataError(f"{imagePath}: image not found")
    detections = detect(netMain, metaMain, imagePath, thresh)
    if not showImage:
        return detections
    pixels = load(imagePath, 3).copy()
    named = [(_text(label), confidence, box) for label, confidence, box in detections]
    draw_boxes(named, pixels, class_colors(sorted({label for label, _, _ in named})))
    caption = [f"{label}: {confidence:.2%}" for label, confidence, _ in named]
    return {"detections": detections, "image": pixels[:, :, ::-1], "caption": "\n<br/>".join(caption)}


def _text(label: bytes | str) -> str:
    return label.decode("utf-8", "replace") if isinstance(label, bytes) else label


def _initialise(config: str, weights: str, data: str) -> None:
    """Set the globals that scripts of 2018 to 2020 read and preset."""
    global netMain, metaMain, altNames  # noqa: PLW0603
    for what, path in (("config", config), ("weight", weights), ("data file", data)):
        if not os.path.exists(path):  # noqa: PTH110
            raise errors.DataError(f"{os.path.abspath(path)}: invalid {what} path, file not found")  # noqa: PTH100
    if netMain is None:
        netMain = load_net_custom(config, weights, 0, 1)
    if metaMain is None:
        metaMain = load_meta(data)
    if altNames is None:
        altNames = _class_names(data)
