# SPDX-License-Identifier: Apache-2.0
"""tools/build_wheel.py finds what is missing in a wheel or an sdist, and what must not be there.

CI builds both with it, and tries the wheel where there is no compiler.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
NAME = "pydarknet-{}-cp310-abi3-manylinux_2_34_x86_64.whl"


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "tools")
    import build_wheel

    return build_wheel


@pytest.fixture
def contents(tool: ModuleType) -> dict[str, str]:
    """Files of a wheel without a fault."""
    info = f"pydarknet-{tool.VERSION}.dist-info"
    metadata = {
        "Name": "pydarknet", "Version": tool.VERSION, "Summary": "x", "Keywords": "x",
        "License-Expression": "Apache-2.0", "Requires-Python": ">=3.10",
        "Classifier": "Programming Language :: Python :: 3.10 ",
    }  # fmt: skip
    lines = "".join(f"{name}: {value}\n" for name, value in metadata.items())
    libraries = {"pydarknet.libs/libgomp-1.so": ""}
    licences = {f"{info}/licenses/{name}": "" for name in ("LICENSE", "NOTICE")}
    package = {name: "" for name in tool.INSIDE if name.startswith("pydarknet/")}
    return {**package, **libraries, **licences, f"{info}/METADATA": lines}


def faults(tool: ModuleType, folder: Path, files: dict[str, str], name: str = "") -> list[str]:
    wheel = folder / (name or NAME.format(tool.VERSION))
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return list(tool.faults_of_wheel(wheel))


def test_a_wheel_without_a_fault(tool: ModuleType, contents: dict[str, str], tmp_path: Path) -> None:
    assert faults(tool, tmp_path, contents) == []
    (fault,) = faults(tool, tmp_path, contents, "pydarknet-1-cp310-abi3-linux_x86_64.whl")
    assert "expected a name with cp310-abi3-manylinux" in fault


def test_what_a_wheel_lacks(tool: ModuleType, contents: dict[str, str], tmp_path: Path) -> None:
    for part in tool.INSIDE:
        (name,) = (name for name in contents if part in name and not name.endswith("METADATA"))
        files = {path: text for path, text in contents.items() if path != name}
        assert faults(tool, tmp_path, files) == [f"{part} is missing"]
    metadata = next(name for name in contents if name.endswith("METADATA"))
    for field in tool.METADATA:
        text = contents[metadata].replace(f"{field}: ", "Other: ")
        assert f"METADATA: {field} is missing" in faults(tool, tmp_path, {**contents, metadata: text})
    text = contents[metadata].replace(tool.VERSION, "9.9.9")
    found = faults(tool, tmp_path, {**contents, metadata: text})
    assert found == [f"METADATA: version 9.9.9, expected {tool.VERSION}"]


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("tests/conftest.py", "", "tests/conftest.py: not part of the package"),
        ("pydarknet/tests/test_a.py", "", "pydarknet/tests/test_a.py: a test"),
        ("pydarknet/fixtures/dog.jpg", "", "pydarknet/fixtures/dog.jpg: a test"),
        ("pydarknet/a.so", f"{ROOT}/darknet/src/cfg.cpp", f"pydarknet/a.so: contains {ROOT}/"),
    ],
)
def test_what_a_wheel_has_too_much(
    tool: ModuleType, contents: dict[str, str], tmp_path: Path, name: str, text: str, fault: str
) -> None:
    assert faults(tool, tmp_path, {**contents, name: text}) == [fault]


def test_an_sdist_has_all_that_a_build_needs_and_no_more(tool: ModuleType, tmp_path: Path) -> None:
    command = ["git", "ls-files", *tool.NEEDED]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is not a checkout of git")
    needed = [
        name for name in listed.stdout.split() if not name.startswith(("darknet/tests/", "docs/", "tests/"))
    ]

    def faults_of(names: list[str]) -> list[str]:
        path = tmp_path / "pydarknet-1.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for name in names:
                archive.addfile(tarfile.TarInfo(f"pydarknet-1/{name}"), io.BytesIO())
        return list(tool.faults_of_sdist(path))

    assert faults_of(needed) == []
    assert faults_of([*needed, "tests/fixtures/a.bin"]) == ["pydarknet-1.tar.gz: contains tests"]
    gone = "darknet/include/darknet.h"
    assert faults_of([name for name in needed if name != gone]) == [f"pydarknet-1.tar.gz: {gone} is missing"]
