# SPDX-License-Identifier: Apache-2.0
"""Optional parts of the package, found by name, so that no room imports ``contrib`` or an optional library.

A part is a class or function that needs a library which pydarknet does not depend on. The table below lists
the parts of this package; other packages add theirs as entry points of the same groups.
"""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points
from typing import Any

from pydarknet.errors import ArgumentError, MissingExtra

#: (group of entry points, name) -> module and object.
_OWN = {
    ("pydarknet.sources", "screen"): "pydarknet.contrib.screen:Screen",
    ("pydarknet.sources", "site"): "pydarknet.contrib.youtube:resolve",
    ("pydarknet.hooks", "tensorboard"): "pydarknet.contrib.tensorboard:TensorBoard",
    ("pydarknet.hooks", "mlflow"): "pydarknet.contrib.mlflow:Mlflow",
    ("pydarknet.executors", "local"): "pydarknet.data.executors:local",
    ("pydarknet.executors", "ray"): "pydarknet.contrib.ray:engine",
    ("pydarknet.tables", "pandas"): "pydarknet.contrib.frames:to_pandas",
    ("pydarknet.tables", "supervision"): "pydarknet.contrib.supervision:to_supervision",
    ("pydarknet.gpu", "nvml"): "pydarknet.contrib.nvml:Gpu",
}


def load(group: str, name: str) -> Any:
    """The class or function of an optional part.

    Args:
        group: for example ``"pydarknet.hooks"``.
        name: of the part in this group, for example ``"mlflow"``.

    Raises:
        MissingExtra: the library that it needs is not installed.
        ArgumentError: the group has no part of this name.
    """
    if place := _OWN.get((group, name)):
        module, _, attribute = place.partition(":")
        return getattr(importlib.import_module(module), attribute)
    found = {entry.name: entry for entry in entry_points(group=group)}
    if name not in found:
        known = sorted({*found, *(own for own_group, own in _OWN if own_group == group)})
        raise ArgumentError(f"{group} has no {name!r}; expected one of {', '.join(known) or '(none)'}")
    return found[name].load()


def require(module: str, extra: str, package: str = "") -> Any:
    """Import an optional library.

    Args:
        module: name to import, for example ``"yt_dlp"``.
        extra: extra of pydarknet that installs it, for example ``"youtube"``.
        package: its name for pip, where that differs from the module's.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise MissingExtra(package or module, extra) from None
