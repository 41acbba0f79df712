# SPDX-License-Identifier: Apache-2.0
"""What was written for Darknet's Python modules, run on pydarknet.

Either import the module under its new name, or put it where scripts look for it::

    import pydarknet.compat.darknet as darknet

    import pydarknet.compat
    pydarknet.compat.install()
    import darknet, darknet_images

``python -m pydarknet.compat script.py ...`` does the second for a script that shall stay as it is.
"""

from __future__ import annotations

import importlib
import sys

MODULES = ("darknet", "darknet_images")


def install() -> None:
    """Make ``import darknet`` and ``import darknet_images`` find pydarknet's, wherever they stand."""
    for name in MODULES:
        sys.modules[name] = importlib.import_module(f"pydarknet.compat.{name}")
