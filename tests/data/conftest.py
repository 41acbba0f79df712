# SPDX-License-Identifier: Apache-2.0
"""The folder with the shared data sets, if it is there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from data_files import make_image, make_text


@pytest.fixture(scope="session")
def bccd() -> Path:
    """The BCCD blood cell images, 364 of them in Pascal VOC."""
    fixtures = Path(os.environ.get("PYDARKNET_FIXTURES", Path(__file__).parents[2].parent / "shared"))
    folder = fixtures / "data" / "bccd"
    if not folder.is_dir():
        pytest.skip("the BCCD data set is not here; set PYDARKNET_FIXTURES")
    return folder


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A Darknet folder: forty images of a class each, four of which also show the rare one."""
    root = tmp_path / "tools"
    make_text(root / "obj.names", "hammer\ndrill\nsaw\n")
    for number in range(40):
        make_image(root / f"{number}.png", 200, 100)
        rare = "2 0.5 0.5 0.3 0.3\n" if number % 10 == 0 else ""
        make_text(root / f"{number}.txt", f"{number % 2} 0.5 0.5 0.06 0.08\n{rare}")
    return root
