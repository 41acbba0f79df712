# SPDX-License-Identifier: Apache-2.0
"""YOLOv4-P6: YOLOv4-P5 with one more stage and level, at stride 64 (arXiv:2011.08036)."""

from __future__ import annotations

from dataclasses import replace

from pydarknet.cfg.families import yolov4_p5
from pydarknet.cfg.families.base import Drawing


def draw(net: Drawing) -> None:
    """Four levels, strides 8 to 64."""
    yolov4_p5.levels(
        net,
        stages=((64, 1), (128, 3), (256, 15), (512, 15), (1024, 7), (1024, 7)),
        neck=(128, 256, 512, 512),
    )


FAMILY = replace(
    yolov4_p5.FAMILY,
    name="yolov4-p6",
    size=1280,
    stride=64,
    anchors=(
        *((13, 17), (31, 25), (24, 51), (61, 45)),
        *((61, 45), (48, 102), (119, 96), (97, 189)),
        *((97, 189), (217, 184), (171, 384), (324, 451)),
        *((324, 451), (545, 357), (616, 618), (1024, 1024)),
    ),
    masks=((0, 1, 2, 3), (4, 5, 6, 7), (8, 9, 10, 11), (12, 13, 14, 15)),
    head_strides=(8, 16, 32, 64),
    draw=draw,
    pretrained=("yolov4-p6.conv.289", 289),
)
