# SPDX-License-Identifier: Apache-2.0
"""Where the reference files are: env PYDARKNET_FIXTURES, by default ../shared beside the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    folder = Path(os.environ.get("PYDARKNET_FIXTURES", Path(__file__).parents[3] / "shared"))
    if not folder.is_dir():
        pytest.skip("the reference files are not here; set PYDARKNET_FIXTURES")
    return folder
