# SPDX-License-Identifier: Apache-2.0
"""The C interface and its version: recorded declarations do not change without a new one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pydarknet.engine._core import lib

HEADER = Path(__file__).parents[2] / "darknet/include/darknet.h"
RECORDS = Path(__file__).with_name("abi")


def declarations() -> list[str]:
    """Structures, enumerations and functions of ``darknet.h``, one a line, without comments."""
    part = HEADER.read_text("utf-8").split("/* [cdef]", 1)[1].split("*/", 1)[1].split("/* [/cdef] */")[0]
    text = " ".join(re.sub(r"/\*.*?\*/|DN_API ", " ", part, flags=re.DOTALL).split())
    return [one.strip() for one in re.findall(r"(?:[^;{]|\{[^}]*\})+;", text)]


def test_declarations_are_those_of_their_version() -> None:
    recorded = (RECORDS / f"{lib.DN_ABI}.txt").read_text("utf-8").splitlines()
    found = declarations()
    assert len(found) > 50
    gone = [line for line in recorded if line not in found]
    assert not gone, f"changed or removed: raise DN_ABI in darknet.h and record all declarations: {gone}"


def test_the_library_has_the_version_of_the_header() -> None:
    assert lib.dn_abi() == lib.DN_ABI == max(int(path.stem) for path in RECORDS.glob("*.txt"))


def test_a_change_is_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    changed = HEADER.read_text("utf-8").replace("int skipped; ", "long skipped; ")
    (tmp_path / "darknet.h").write_text(changed)
    monkeypatch.setitem(globals(), "HEADER", tmp_path / "darknet.h")
    with pytest.raises(AssertionError, match="raise DN_ABI"):
        test_declarations_are_those_of_their_version()
