# SPDX-License-Identifier: Apache-2.0
"""Files that the command lines of these tests read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from files_on_disk import make_files


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One good file of each kind, in the working folder."""
    place = tmp_path_factory.mktemp("tries")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("XDG_CACHE_HOME", str(place / "cache"))
        patch.setenv("TMPDIR", str(place))
        patch.setattr("tempfile.tempdir", str(place))
        make_files()
        yield place
