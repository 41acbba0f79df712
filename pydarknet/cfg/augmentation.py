# SPDX-License-Identifier: Apache-2.0
"""Augmentation settings of a cfg."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from pydarknet.cfg import keys
from pydarknet.cfg.model import CfgFile, Section
from pydarknet.errors import CfgError


class Mixing(IntEnum):
    """How images are combined; the values of ``mixup`` in Darknet."""

    NONE = 0
    MIXUP = 1
    CUTMIX = 2  # for classifiers; detectors train without
    MOSAIC = 3
    BOTH = 4  # cutmix and mosaic: for detectors mosaic alone


def _mixing(net: Section) -> Mixing:
    """``mosaic`` and ``cutmix`` come before ``mixup``."""
    mosaic, cutmix, mixup = (net.integer(key) for key in ("mosaic", "cutmix", "mixup"))
    if mosaic or cutmix:
        return Mixing.BOTH if mosaic and cutmix else Mixing.MOSAIC if mosaic else Mixing.CUTMIX
    if mixup not in list(Mixing):
        raise net.error("mixup", f"found {mixup}, expected 0 to {max(Mixing)}")
    return Mixing(mixup)


@dataclass(frozen=True)
class AugmentConfig:
    """Augmentation settings; names and values are those of ``[net]`` and of the last head."""

    width: int
    height: int
    channels: int = 3
    max_boxes: int = 200
    jitter: float = 0.0
    resize: float = 1.0
    flip: bool = True
    hue: float = 0.0
    saturation: float = 1.0
    exposure: float = 1.0
    blur: int = 0
    gaussian_noise: float = 0.0
    mixup: bool = False
    mosaic: bool = False
    mosaic_bound: bool = False
    letter_box: bool = False

    @classmethod
    def of(cls, cfg: CfgFile) -> AugmentConfig:
        """Read the settings of a cfg.

        Raises:
            CfgError: the cfg has no detection head, or asks for an unsupported feature.
        """
        net = cfg.net
        heads = [head for head in cfg.heads if head.type != "detection"]
        if not heads:
            raise CfgError(f"{cfg.path}: has no [yolo], [Gaussian_yolo] or [region] head to train")
        for key in keys.known("net").values():
            if key.use == "refused" and key.name in net and net.number(key.name):
                raise net.error(key.name, "is not supported in training")
        mixed = _mixing(net)
        config = cls(
            width=net.integer("width"),
            height=net.integer("height"),
            channels=net.integer("channels"),
            max_boxes=max(head.integer("max") for head in heads),
            jitter=heads[-1].number("jitter"),
            resize=heads[-1].number("resize", 1.0),
            flip=net.integer("flip") != 0,
            hue=net.number("hue"),
            saturation=net.number("saturation") or 1.0,
            exposure=net.number("exposure") or 1.0,
            blur=net.integer("blur"),
            gaussian_noise=net.number("gaussian_noise"),
            mixup=mixed == Mixing.MIXUP,
            mosaic=mixed in (Mixing.MOSAIC, Mixing.BOTH),
            mosaic_bound=net.integer("mosaic_bound") != 0,
            letter_box=net.integer("letter_box") != 0,
        )
        if config.mosaic and config.letter_box:
            raise net.error("letter_box", "cannot be combined with mosaic")
        return config
