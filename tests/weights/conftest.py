# SPDX-License-Identifier: Apache-2.0
"""A small network and weights that fit it."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_weights import CFG, make

from pydarknet.cfg import CfgFile, walk
from pydarknet.cfg.shapes import Walk


@pytest.fixture
def cfg_path(tmp_path: Path) -> Path:
    path = tmp_path / "net.cfg"
    path.write_text(CFG)
    return path


@pytest.fixture
def nodes(cfg_path: Path) -> Walk:
    return walk(CfgFile.load(cfg_path))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return make(tmp_path / "net.weights")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "run" / "weights"
    path.mkdir(parents=True)
    for label in ("best", "last", "900", "1000", "2000"):
        (path / f"net_{label}.weights").write_text("")
        (path / f"net_{label}.state").write_text("")
    (path / "yolov4-tiny.conv.29").write_text("")
    (path / "pretrained.weights").write_text("")
    return tmp_path / "run"
