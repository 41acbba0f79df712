# SPDX-License-Identifier: Apache-2.0
"""PYDARKNET_TESTS_REQUIRE turns skips into failures."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import required

TESTS = Path(__file__).parents[1]
MODULE = """
import pytest

@pytest.fixture
def lacks():
    pytest.skip("the reference files are not here; set PYDARKNET_FIXTURES")

def test_fixture(lacks): ...

@pytest.mark.skipif(True, reason="unheard of")
def test_mark(): ...

@pytest.mark.xfail(reason="known", strict=True)
def test_xfail():
    assert False
"""


def outcome(folder: Path, value: str | None) -> str:
    """The last line of pytest about two modules in which tests are skipped."""
    (folder / "test_made.py").write_text(MODULE)
    (folder / "test_whole.py").write_text("import pytest\npytest.importorskip('not_there')\n")
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environment.pop("PYTEST_ADDOPTS", None)
    environment.pop(required.VARIABLE, None)
    if value is not None:
        environment[required.VARIABLE] = value
    command = [sys.executable, "-m", "pytest", "-p", "required", "--continue-on-collection-errors", "."]
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return run.stdout.splitlines()[-1].strip("= ").partition(" in ")[0]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "3 skipped, 1 xfailed"),
        ("", "1 skipped, 1 xfailed, 2 errors"),
        ("browser,fixtures", "1 xfailed, 3 errors"),
    ],
)
def test_skips_fail_where_the_machine_has_all(tmp_path: Path, value: str | None, expected: str) -> None:
    assert outcome(tmp_path, value) == expected


def test_a_misspelled_requirement_is_an_error() -> None:
    with pytest.raises(pytest.UsageError, match=r"unknown \['browsers'\]; expected some of \['fixtures',"):
        required.is_forbidden("needs a browser", "browsers")
