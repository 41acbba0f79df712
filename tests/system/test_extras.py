# SPDX-License-Identifier: Apache-2.0
"""Optional parts: found in this package and in others, and named where their library is missing."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint

import pytest

from pydarknet.errors import ArgumentError, MissingExtra
from pydarknet.system import extras
from pydarknet.system.usage import Resources


@pytest.mark.parametrize(("group", "name"), list(extras._OWN))
def test_every_part_of_this_package_exists(group: str, name: str) -> None:
    assert callable(extras.load(group, name))


def test_parts_of_other_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry point is loaded by its name; an unknown name lists those that exist."""
    entry = EntryPoint("ordered", "collections:OrderedDict", "pydarknet.hooks")
    monkeypatch.setattr(extras, "entry_points", lambda group: [entry] if group == entry.group else [])
    assert extras.load("pydarknet.hooks", "ordered").__name__ == "OrderedDict"
    with pytest.raises(
        ArgumentError, match=r"pydarknet.hooks has no 'wandb'; expected one of mlflow, ordered"
    ):
        extras.load("pydarknet.hooks", "wandb")


def test_a_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yt_dlp", None)
    with pytest.raises(
        MissingExtra, match=r"yt-dlp is not installed; run: pip install 'pydarknet\[youtube\]'"
    ):
        extras.require("yt_dlp", "youtube", "yt-dlp")
    assert extras.require("json", "youtube").loads("1") == 1


def test_a_gpu_cannot_be_measured_without_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The columns of a run stay empty; asking for the meter itself names the extra."""
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(MissingExtra, match=r"pip install 'pydarknet\[gpu\]'"):
        extras.load("pydarknet.gpu", "nvml")()
    assert Resources().sample()["gpu_mb"] is None
