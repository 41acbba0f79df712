# SPDX-License-Identifier: Apache-2.0
"""A trained network and its images."""

from __future__ import annotations

from pathlib import Path

import pytest
from trained_model import Model


@pytest.fixture
def model(shared: Path, tmp_path: Path) -> Model:
    data = tmp_path / "coco.data"
    data.write_text(f"classes = 80\nnames = {shared / 'fixtures/nets/coco.names'}\n")
    return Model(shared / "fixtures", data)
