# SPDX-License-Identifier: Apache-2.0
"""The package as a whole: its public names, its version, and what it says where it cannot run."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pydarknet

PACKAGE = Path(pydarknet.__file__).parent


def test_names_are_those_of_the_type_checkers() -> None:
    """Each public name is imported for type checkers too, from where it is found at run time."""
    block = next(
        node for node in ast.parse((PACKAGE / "__init__.py").read_text()).body if isinstance(node, ast.If)
    )
    imported = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert {*imported, "__version__"} == set(pydarknet.__all__)
    for name, module in imported.items():
        found = getattr(pydarknet, name)
        source = __import__(module or "", fromlist=[name])
        assert found is getattr(source, name)
    assert (PACKAGE / "py.typed").is_file()


def test_an_unknown_name() -> None:
    with pytest.raises(AttributeError, match="module 'pydarknet' has no attribute 'Netwerk'"):
        pydarknet.Netwerk  # noqa: B018


def copy_sources(folder: Path) -> Path:
    """Make a checkout in a folder, without compiled modules."""
    shutil.copytree(PACKAGE, folder / "pydarknet", ignore=shutil.ignore_patterns("__pycache__", "*.so*"))
    return write_version(folder, pydarknet.__version__)


def write_version(folder: Path, version: str) -> Path:
    (folder / "pyproject.toml").write_text(f'[project]\nname = "pydarknet"\nversion = "{version}"\n')
    return folder


def error_in(folder: Path) -> str:
    """Use the engine from the root of a checkout and return the last line of the error."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-m", "pydarknet", "info"]
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode != 0
    return run.stderr.strip().splitlines()[-1]


def test_a_source_tree_without_compiled_module(tmp_path: Path) -> None:
    """After a normal install, the root of a checkout hides the installed package."""
    place = f"pydarknet was imported from its source tree ({tmp_path}), which has no compiled module"
    advice = "Run from another folder, or `pip install -e .` here"
    assert error_in(copy_sources(tmp_path)) == f"error: a library cannot be loaded: {place}. {advice}"


def test_a_compiled_module_that_does_not_load(tmp_path: Path) -> None:
    """As one whose libraries are missing."""
    name = next((PACKAGE / "engine").glob("_ffi.*.so")).name
    (copy_sources(tmp_path) / "pydarknet/engine" / name).write_bytes(b"")
    error = error_in(tmp_path)
    start = (
        "error: a library cannot be loaded: the compiled module of "
        f"pydarknet {pydarknet.__version__} ({tmp_path}) does not load"
    )
    assert error.startswith(f"{start}: {tmp_path}/pydarknet/engine/{name}: ")
    assert error.endswith(". Install the package again; in a source tree, `pip install -e .`")


def test_a_compiled_module_of_another_version(tmp_path: Path) -> None:
    """The engine is linked, not copied, since the module finds its libraries relative to its own folder."""
    package = tmp_path / "pydarknet"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__", "engine"))
    (package / "engine").symlink_to(PACKAGE / "engine")
    error = error_in(write_version(tmp_path, "7.8.9"))
    own = pydarknet.__version__
    assert f"pydarknet 7.8.9 ({tmp_path}) found a compiled module of version {own}. Install" in error


def test_import_loads_no_other_package() -> None:
    """What takes long to import (NumPy, OpenCV, the engine) is imported at its first use."""
    script = "import sys; import pydarknet; print(*{name.partition('.')[0] for name in sys.modules})"
    command = [sys.executable, "-S", "-c", script]  # -S: without what site-packages load at the start
    loaded = set(subprocess.check_output(command, text=True).split())
    assert loaded - set(sys.stdlib_module_names) == {"__main__", "pydarknet"}
