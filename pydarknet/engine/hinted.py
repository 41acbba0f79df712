# SPDX-License-Identifier: Apache-2.0
"""Hints for arguments and attributes of Ultralytics, OpenCV and supervision that have another name here."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

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


#: Class -> attribute in other libraries -> what is used here.
_ATTRIBUTES = {
    "Detections": {
        **dict.fromkeys(("boxes", "pred", "data", "xyxyn", "xywhn"), "xyxy, xywh or to_records()"),
        **dict.fromkeys(("conf", "confidences", "scores"), "confidence"),
        **dict.fromkeys(("cls", "class_ids", "classes"), "class_id or labels"),
        **dict.fromkeys(("id", "track_id", "tracker_ids"), "tracker_id"),
        **dict.fromkeys(("pandas", "to_df", "to_dataframe"), "to_pandas()"),
        **dict.fromkeys(("to_dict", "to_list", "tolist", "summary"), "to_records()"),
        **dict.fromkeys(("render", "draw", "annotate"), "plot(image)"),
        "crop": "the option --crops of `pydarknet detect`",
        "save_txt": "the option --save-labels of `pydarknet detect`",
    },
    "Network": {
        **dict.fromkeys(("train", "fit"), "pydarknet.train(TrainConfig(...))"),
        **dict.fromkeys(("val", "evaluate", "test"), "pydarknet.evaluate(network, data)"),
        "track": "pydarknet.contrib.tracking.track(pydarknet.stream(network, source))",
        **dict.fromkeys(("to", "cuda", "cpu"), "Network(..., device=)"),
        **dict.fromkeys(("half", "float"), "Network(..., precision=)"),
        "export": "`pydarknet export onnx`",
        **dict.fromkeys(("forward", "setInput"), "predict(array)"),
    },
}


class Hinting:
    """Base of classes whose unknown attributes are an AttributeError with a hint."""

    if not TYPE_CHECKING:  # for which every attribute would exist

        def __getattr__(self, name: str) -> Any:
            kind = type(self)
            if hasattr(kind, name):  # a property that failed: its own error
                return object.__getattribute__(self, name)
            meant = _ATTRIBUTES.get(kind.__name__, {}).get(name)
            hint = f"; use {meant}" if meant else ""
            raise AttributeError(
                f"{kind.__name__!r} object has no attribute {name!r}{hint}", name=name, obj=self
            )


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
