# SPDX-License-Identifier: Apache-2.0
"""Hints for arguments of Ultralytics, OpenCV and supervision that have another name here."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar

from pydarknet.errors import ArgumentError

P = ParamSpec("P")
R = TypeVar("R")

#: Name in other libraries -> what is used here.
_WORDS = {
    **dict.fromkeys(
        ("conf", "confidence", "threshold", "conf_thres", "confThreshold", "score_threshold"), "thresh"
    ),
    **dict.fromkeys(("iou", "iou_thres", "iou_threshold", "nms_threshold", "nmsThreshold"), "nms"),
    **dict.fromkeys(("agnostic_nms", "class_agnostic"), "agnostic"),
    **dict.fromkeys(("max_detections", "max_boxes"), "max_det"),
    **dict.fromkeys(("letter_box", "rect"), "letterbox"),
    **dict.fromkeys(("vid_stride", "stride"), "every"),
    "classes_to_detect": "classes",
    "swapRB": "rgb",
    **dict.fromkeys(("imgsz", "img_size"), "Network.resize(width, height)"),
    **dict.fromkeys(("half", "dtype"), "Network(precision=)"),
    **dict.fromkeys(("show", "save", "plot"), "show(), save() or plot() of the Detections"),
    "augment": "a larger size, or tile= of stream()",
}


def refuse(function: str, unknown: Iterable[str], known: Iterable[str]) -> None:
    """Raise ArgumentError if there are unknown arguments; it names the one that is probably meant."""
    for word in sorted(unknown):
        meant = _WORDS.get(word)
        hint = f"use {meant}" if meant else f"expected one of {', '.join(known)}"
        raise ArgumentError(f"{function} has no argument {word!r}; {hint}")


def hinted(function: Callable[P, R]) -> Callable[P, R]:
    """A function whose unknown arguments are an ArgumentError with a hint."""
    known = [name for name in inspect.signature(function).parameters if name != "self"]

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        refuse(f"{function.__name__}()", kwargs.keys() - known, known)
        return function(*args, **kwargs)

    return call
