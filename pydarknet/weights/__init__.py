# SPDX-License-Identifier: Apache-2.0
"""Darknet ``.weights`` files as files: inspect them, match them with a cfg, cut, average, compare, pack.

This package does not need the engine; :mod:`pydarknet.cfg` gives the order of the arrays.
"""

from __future__ import annotations

from pydarknet.weights.file import Header, WeightsFile, load, read_header, save
from pydarknet.weights.fit import Fit, Match, fit, guess, profile, twins

__all__ = [
    "Fit",
    "Header",
    "Match",
    "WeightsFile",
    "fit",
    "guess",
    "load",
    "profile",
    "read_header",
    "save",
    "twins",
]
