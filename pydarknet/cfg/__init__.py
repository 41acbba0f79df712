# SPDX-License-Identifier: Apache-2.0
"""Darknet cfg files: read, change, generate and analyse them.

``CfgFile`` is the file, ``keys`` defines its sections and keys, ``shapes`` walks the network it describes,
``new`` and one function per family (``yolov4(classes=3, size=416)``) write it.
"""

from __future__ import annotations

from functools import partial

from pydarknet.cfg.families import FAMILIES
from pydarknet.cfg.generate import new
from pydarknet.cfg.model import CfgFile, Problem, Section, parse
from pydarknet.cfg.shapes import walk

yolov3 = partial(new, "yolov3")
yolov3_spp = partial(new, "yolov3-spp")
yolov3_tiny = partial(new, "yolov3-tiny")
yolov4 = partial(new, "yolov4")
yolov4_csp = partial(new, "yolov4-csp")
yolov4_p5 = partial(new, "yolov4-p5")
yolov4_p6 = partial(new, "yolov4-p6")
yolov4_tiny = partial(new, "yolov4-tiny")
yolov4_tiny_3l = partial(new, "yolov4-tiny-3l")
yolov4x_mish = partial(new, "yolov4x-mish")
yolov7 = partial(new, "yolov7")
yolov7_tiny = partial(new, "yolov7-tiny")

__all__ = [
    "FAMILIES",
    "CfgFile",
    "Problem",
    "Section",
    "new",
    "parse",
    "walk",
    *(name.replace("-", "_") for name in FAMILIES),
]
