# SPDX-License-Identifier: Apache-2.0
"""tools/check_wheel.py catches what a wheel must not contain."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GOOD = {
    "pydarknet/__init__.py": "",
    "pydarknet/engine/libdarknet.so": "\x7fELF $ORIGIN",
    "pydarknet/engine/include/darknet.h": "",
    "pydarknet-9.dist-info/METADATA": "Metadata-Version: 2.1\nName: pydarknet\nVersion: 9\n",
    "pydarknet-9.dist-info/direct_url.json": f'{{"url": "file://{ROOT}/"}}',
}


def check(folder: Path, files: dict[str, str]) -> list[str]:
    """Findings for an installed distribution of these files."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    record = "".join(f"{name},,\n" for name in [*files, "pydarknet-9.dist-info/RECORD", "../bin/pydarknet"])
    (folder / "pydarknet-9.dist-info/RECORD").write_text(record)
    # -S: no other pydarknet is in the way.
    run = subprocess.run(
        [sys.executable, "-S", ROOT / "tools/check_wheel.py"],
        env={"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    found = [line for line in run.stdout.splitlines() if line]
    assert (run.returncode, run.stderr) == (1 if found else 0, "")
    return found


def test_a_good_wheel(tmp_path: Path) -> None:
    assert check(tmp_path, GOOD) == []


@pytest.mark.parametrize(
    ("name", "text", "finding"),
    [
        ("tests/conftest.py", "", "tests/conftest.py: not part of the package"),
        ("pydarknet/tests/test_a.py", "", "pydarknet/tests/test_a.py: a test"),
        ("pydarknet/a.so", f"{ROOT}/darknet/src/cfg.cpp", f"pydarknet/a.so: contains {ROOT}/"),
        ("pydarknet/a.so", "/tmp/pip-build-env-x/lib", "pydarknet/a.so: contains /pip-build-env-"),
    ],
)
def test_what_does_not_belong_there(tmp_path: Path, name: str, text: str, finding: str) -> None:
    assert check(tmp_path, {**GOOD, name: text}) == [finding]


def test_a_wheel_without_its_engine(tmp_path: Path) -> None:
    files = {name: text for name, text in GOOD.items() if not name.endswith(".so")}
    assert check(tmp_path, files) == ["pydarknet/engine/libdarknet.so: missing"]
