# SPDX-License-Identifier: Apache-2.0
"""Translate a hyper-parameter file of YOLOv5 (``hyp.*.yaml``) into keys of a cfg.

Every key of the file is accounted for: with the keys it sets, or with the reason why it sets none.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from pydarknet.errors import DataError
from pydarknet.system.files import read_file

Settings = dict[str, str]


@dataclass(frozen=True)
class Translated:
    """One key of a hyper-parameter file.

    Attributes:
        key: its name there.
        value: its value.
        settings: values by cfg key or ``section.key`` for all sections of a type.
        note: how the meaning differs, or why nothing is set; empty if the meaning is equal.
    """

    key: str
    value: float
    settings: Settings
    note: str = ""

    def __str__(self) -> str:
        """One line of the report."""
        done = ", ".join(f"{key}={value}" for key, value in self.settings.items()) or "not used"
        return f"{self.key} {self.value:g} -> {done}{': ' if self.note else ''}{self.note}"


def translate(path: str | os.PathLike[str]) -> list[Translated]:
    """Read a hyper-parameter file and translate each of its keys, in their order.

    Raises:
        DataError: the file cannot be read, is not a YAML mapping, or has a value that is not a number.
    """
    import yaml

    try:
        found = yaml.safe_load(read_file(path))
    except OSError as error:
        raise DataError(f"{os.fspath(path)}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise DataError(
            f"{os.fspath(path)}: is not a YAML mapping of hyper-parameters, like YOLOv5's hyp.yaml"
        )
    return [_translated(path, str(key), value) for key, value in found.items()]


def _translated(path: str | os.PathLike[str], key: str, value: object) -> Translated:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise DataError(f"{os.fspath(path)}: {key}: found {value!r}, expected a number")
    if key in _UNUSED:
        return Translated(key, value, {}, _UNUSED[key])
    if key not in _RULES:
        return Translated(key, value, {}, "is not a hyper-parameter of YOLOv5")
    settings, note = _RULES[key](value)
    return Translated(key, value, settings, note)


def _as(key: str) -> Callable[[float], tuple[Settings, str]]:
    """A key of equal meaning."""
    return lambda value: ({key: f"{value:g}"}, "")


def _strength(key: str) -> Callable[[float], tuple[Settings, str]]:
    """A factor of 1 ± value there, between 1/(1 + value) and 1 + value here."""
    return lambda value: ({key: f"{1 + value:g}"}, "about the same: Darknet divides where YOLOv5 subtracts")


def _switch(key: str, on: float, what: str) -> Callable[[float], tuple[Settings, str]]:
    """A probability there, of which Darknet has 0 and ``on``."""

    def rule(value: float) -> tuple[Settings, str]:
        note = "" if value in (0, on) else f"Darknet {what} with probability {on:g} or never"
        return {key: "1" if value >= on / 2 else "0"}, note

    return rule


def _of_heads(key: str) -> Callable[[float], tuple[Settings, str]]:
    """A key of the heads, set only where it does something."""
    return lambda value: ({f"yolo.{key}": f"{value:g}"} if value else {}, "" if value else "0 is the default")


def _focal(value: float) -> tuple[Settings, str]:
    if not value:
        return {}, "0 is the default"
    return {"yolo.focal_loss": "1"}, "Darknet's focal loss has a fixed exponent"


def _mixup(value: float) -> tuple[Settings, str]:
    if not value:
        return {}, "0 is the default"
    return {}, "Darknet has either mosaic or mixup for an image; --set mosaic=0 --set mixup=1 chooses mixup"


_RULES: dict[str, Callable[[float], tuple[Settings, str]]] = {
    "lr0": _as("learning_rate"),
    "momentum": _as("momentum"),
    "weight_decay": _as("decay"),
    "hsv_h": lambda value: ({"hue": f"{value:g}"}, "about the same: Darknet adds where YOLOv5 multiplies"),
    "hsv_s": _strength("saturation"),
    "hsv_v": _strength("exposure"),
    "fliplr": _switch("flip", 0.5, "mirrors images"),
    "mosaic": _switch("mosaic", 1, "makes mosaics"),
    "mixup": _mixup,
    "fl_gamma": _focal,
    "label_smoothing": _of_heads("label_smooth_eps"),
}

_GAINS = "the weights of the losses are iou_normalizer, obj_normalizer, cls_normalizer; not comparable"
_NO_WARP = "Darknet has no such augmentation; the key jitter of the heads crops and stretches"
_UNUSED: dict[str, str] = {
    "lrf": "the schedule is policy, steps and scales of the cfg; --set policy=sgdr is a cosine",
    "warmup_epochs": "burn_in of the cfg counts iterations: epochs * images / batch",
    **dict.fromkeys(("warmup_momentum", "warmup_bias_lr"), "burn_in raises the rate of all values alike"),
    **dict.fromkeys(("box", "cls", "obj", "cls_pw", "obj_pw", "dfl"), _GAINS),
    **dict.fromkeys(("iou_t", "anchor_t"), "the heads assign objects by iou_thresh and truth_thresh"),
    "anchors": "anchors are in the cfg; `pydarknet anchors` computes them",
    **dict.fromkeys(("degrees", "translate", "scale", "shear", "perspective"), _NO_WARP),
    **dict.fromkeys(("flipud", "copy_paste"), "Darknet has no such augmentation"),
}
