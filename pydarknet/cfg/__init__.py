# SPDX-License-Identifier: Apache-2.0
"""Darknet cfg files: read, change, generate and judge them.

``CfgFile`` is the file, ``keys`` says what may stand in it, ``shapes`` walks the network it describes.
"""

from __future__ import annotations

from pydarknet.cfg.model import CfgFile, Problem, Section, parse

__all__ = ["CfgFile", "Problem", "Section", "parse"]
