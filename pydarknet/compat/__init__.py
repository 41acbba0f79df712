# SPDX-License-Identifier: Apache-2.0
"""Darknet's Python modules on top of pydarknet, so that scripts for them run.

Either import the module under its new name, or install it under the name that scripts import::

    import pydarknet.compat.darknet as darknet

    import pydarknet.compat
    pydarknet.compat.install()
    import darknet, darknet_images

``python -m pydarknet.compat script.py ...`` does the second for an unchanged script.
"""

from __future__ import annotations

import importlib
import sys

MODULES = ("darknet", "darknet_images")


def install() -> None:
    """Make ``import darknet`` and ``import darknet_images`` import pydarknet's modules, in every module."""
    for name in MODULES:
        sys.modules[name] = importlib.import_module(f"pydarknet.compat.{name}")
