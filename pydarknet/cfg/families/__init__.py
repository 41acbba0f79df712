# SPDX-License-Identifier: Apache-2.0
"""The published networks, one file each.  To add one, write its file and add it to ``FAMILIES``."""

from __future__ import annotations

import difflib

from pydarknet.cfg.families import (
    yolov3,
    yolov3_spp,
    yolov3_tiny,
    yolov4,
    yolov4_csp,
    yolov4_p5,
    yolov4_p6,
    yolov4_tiny,
    yolov4_tiny_3l,
    yolov4x_mish,
    yolov7,
    yolov7_tiny,
)
from pydarknet.cfg.families.base import Drawing, Family
from pydarknet.errors import CfgError

__all__ = ["FAMILIES", "Drawing", "Family", "family"]

FAMILIES: dict[str, Family] = {
    module.FAMILY.name: module.FAMILY
    for module in (
        yolov4,
        yolov4_tiny,
        yolov4_tiny_3l,
        yolov4_csp,
        yolov4x_mish,
        yolov4_p5,
        yolov4_p6,
        yolov3,
        yolov3_spp,
        yolov3_tiny,
        yolov7_tiny,
        yolov7,
    )
}


def family(name: str) -> Family:
    """The family of that name.

    Raises:
        CfgError: there is none; the message names the closest and all others.
    """
    if name in FAMILIES:
        return FAMILIES[name]
    close = difflib.get_close_matches(name, FAMILIES, n=1, cutoff=0.8)  # yolov8n is not yolov4-p6
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise CfgError(f"no model is called {name!r}.{hint} There are: {', '.join(FAMILIES)}")
