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


def run_in_copy(folder: Path, version: str | None) -> str:
    """Copy the sources as a checkout, use the engine from its root, and return the last line of the error.

    Args:
        folder: of the checkout.
        version: in its pyproject.toml, with the compiled module; None copies no compiled module.
    """
    pattern = "*.so*" if version is None else "*.pyc"
    shutil.copytree(PACKAGE, folder / "pydarknet", ignore=shutil.ignore_patterns(pattern, "__pycache__"))
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "pydarknet"\nversion = "{version or "0.1.0"}"\n'
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-m", "pydarknet", "info"]
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode != 0
    return run.stderr.strip().splitlines()[-1]


def test_a_source_tree_without_compiled_module(tmp_path: Path) -> None:
    """After a normal install, the root of a checkout hides the installed package."""
    place = f"pydarknet was imported from its source tree ({tmp_path}), which has no compiled module"
    advice = "Run from another folder, or `pip install -e .` here"
    assert run_in_copy(tmp_path, None) == f"ImportError: {place}. {advice}"


def test_a_compiled_module_of_another_version(tmp_path: Path) -> None:
    own = pydarknet.__version__
    found = run_in_copy(tmp_path, "7.8.9")
    assert f"pydarknet 7.8.9 ({tmp_path}) found a compiled module of version {own}. Install" in found


def test_import_takes_little_time() -> None:
    script = "import time; t = time.perf_counter(); import pydarknet; print(time.perf_counter() - t)"
    command = [sys.executable, "-c", script]
    times = [float(subprocess.check_output(command, text=True)) for _ in range(3)]
    assert min(times) < 0.3
