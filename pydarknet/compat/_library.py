# SPDX-License-Identifier: Apache-2.0
"""libdarknet's compatibility interface (``darknet_compat.h``) through ctypes, as Darknet's scripts use it.

Scripts build ``IMAGE``, index ``dets[i].prob[j]`` and pass ``None``, so this one binding is ctypes, not cffi.
"""

from __future__ import annotations

import ctypes
import os
from ctypes import POINTER, c_char_p, c_float, c_int, c_void_p
from typing import Any

from pydarknet.engine.info import libdarknet_path
from pydarknet.errors import DarknetError

FloatPtr = POINTER(c_float)
IntPtr = POINTER(c_int)


class BOX(ctypes.Structure):
    """Centre and size."""

    _fields_ = (("x", c_float), ("y", c_float), ("w", c_float), ("h", c_float))


class DETECTION(ctypes.Structure):
    """A box with all its class probabilities."""

    _fields_ = (
        ("bbox", BOX),
        ("classes", c_int),
        ("best_class_idx", c_int),
        ("prob", FloatPtr),
        ("mask", FloatPtr),
        ("objectness", c_float),
        ("sort_class", c_int),
        ("uc", FloatPtr),
        ("points", c_int),
        ("embeddings", FloatPtr),
        ("embedding_size", c_int),
        ("sim", c_float),
        ("track_id", c_int),
    )


class IMAGE(ctypes.Structure):
    """Planes (c, h, w) of float32, red first, 0..1."""

    owner: Any  # may keep the memory alive

    _fields_ = (("w", c_int), ("h", c_int), ("c", c_int), ("data", FloatPtr))


class METADATA(ctypes.Structure):
    """Number of classes and their names."""

    _fields_ = (("classes", c_int), ("names", POINTER(c_char_p)))


DETECTIONPtr = POINTER(DETECTION)


class DETNUMPAIR(ctypes.Structure):
    """The detections of one image of a batch."""

    _fields_ = (("num", c_int), ("dets", DETECTIONPtr))


DETNUMPAIRPtr = POINTER(DETNUMPAIR)


lib = ctypes.CDLL(os.fspath(libdarknet_path()))
lib.dn_last_error.restype = c_char_p


def _fail() -> Any:
    raise DarknetError((lib.dn_last_error() or b"").decode("utf-8", "replace"))


def _not_null(result: Any, _function: Any, _arguments: Any) -> Any:
    """Raise the reason instead of returning NULL, which a script would continue with."""
    return result or _fail()


def _has_data(result: Any, _function: Any, _arguments: Any) -> Any:
    return result if result.data else _fail()


def _has_classes(result: Any, _function: Any, _arguments: Any) -> Any:
    return result if result.classes else _fail()


# name in C: (arguments, result, check of the result)
_SIGNATURES: dict[str, tuple[tuple[Any, ...], Any, Any]] = {
    "load_network": ((c_char_p, c_char_p, c_int), c_void_p, _not_null),
    "load_network_custom": ((c_char_p, c_char_p, c_int, c_int), c_void_p, _not_null),
    "free_network_ptr": ((c_void_p,), None, None),
    "set_batch_network": ((c_void_p, c_int), None, None),
    "network_width": ((c_void_p,), c_int, None),
    "network_height": ((c_void_p,), c_int, None),
    "darknet_network_dimensions": ((c_void_p, IntPtr, IntPtr, IntPtr), None, None),
    "reset_rnn": ((c_void_p,), None, None),
    "cuda_set_device": ((c_int,), None, None),
    "init_cpu": ((), None, None),
    "network_predict_ptr": ((c_void_p, FloatPtr), FloatPtr, _not_null),
    "network_predict_image": ((c_void_p, IMAGE), FloatPtr, _not_null),
    "network_predict_image_letterbox": ((c_void_p, IMAGE), FloatPtr, _not_null),
    "network_predict_batch": (
        (c_void_p, IMAGE, c_int, c_int, c_int, c_float, c_float, IntPtr, c_int, c_int),
        DETNUMPAIRPtr,
        _not_null,
    ),
    "get_network_boxes": (
        (c_void_p, c_int, c_int, c_float, c_float, IntPtr, c_int, IntPtr, c_int),
        DETECTIONPtr,
        _not_null,
    ),
    "make_network_boxes": ((c_void_p, c_float, IntPtr), DETECTIONPtr, _not_null),
    "free_detections": ((DETECTIONPtr, c_int), None, None),
    "free_batch_detections": ((DETNUMPAIRPtr, c_int), None, None),
    "free_ptrs": ((POINTER(c_void_p), c_int), None, None),
    "do_nms_obj": ((DETECTIONPtr, c_int, c_int, c_float), None, None),
    "do_nms_sort": ((DETECTIONPtr, c_int, c_int, c_float), None, None),
    "make_image": ((c_int, c_int, c_int), IMAGE, _has_data),
    "letterbox_image": ((IMAGE, c_int, c_int), IMAGE, _has_data),
    "resize_image": ((IMAGE, c_int, c_int), IMAGE, _has_data),
    "free_image": ((IMAGE,), None, None),
    "rgbgr_image": ((IMAGE,), None, None),
    "copy_image_from_bytes": ((IMAGE, c_char_p), None, None),
    "get_metadata": ((c_char_p,), METADATA, _has_classes),
}

for _name, (_arguments, _result, _check) in _SIGNATURES.items():
    _function = getattr(lib, _name)
    _function.argtypes, _function.restype = _arguments, _result
    if _check:
        _function.errcheck = _check


def path_bytes(path: Any) -> bytes | None:
    """A path as bytes for C; ``None`` and bytes are returned unchanged."""
    return None if path is None else os.fsencode(path)
