# SPDX-License-Identifier: Apache-2.0
"""The folder with the shared data sets, if it is there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def bccd() -> Path:
    """The BCCD blood cell images, 364 of them in Pascal VOC."""
    fixtures = Path(os.environ.get("PYDARKNET_FIXTURES", Path(__file__).parents[2].parent / "shared"))
    folder = fixtures / "data" / "bccd"
    if not folder.is_dir():
        pytest.skip("the BCCD data set is not here; set PYDARKNET_FIXTURES")
    return folder
