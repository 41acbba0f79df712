# SPDX-License-Identifier: Apache-2.0
"""A project that imports pydarknet, under ``mypy --strict``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import pydarknet

PROJECT = """\
from pathlib import Path

from pydarknet import Network, TrainConfig, cfg, data, evaluate, train

config = TrainConfig(cfg="net.cfg", data="net.data", out=Path("run"))
cfg.new("yolov4-tiny", 1).save("net.cfg")
with Network("net.cfg") as network:
    print(evaluate(network, data.read("net.data")).map50, train(config).weights)
    print(network.detect("dog.jpg").count_text())
    network.detekt("dog.jpg")
    network.trainer().acumulate
"""


@pytest.mark.slow
def test_a_misspelled_method_is_found(tmp_path: Path) -> None:
    (tmp_path / "project.py").write_text(PROJECT)
    (tmp_path / "mypy.ini").write_text("[mypy]\nstrict = true\n[mypy-pydarknet.*]\nfollow_imports = silent\n")
    root = Path(pydarknet.__file__).parents[1]
    source_tree = {"MYPYPATH": str(root)} if (root / "pyproject.toml").is_file() else {}
    command = [sys.executable, "-m", "mypy", "--no-incremental", "project.py"]
    run = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, **source_tree}, capture_output=True, text=True, check=False
    )
    lines = run.stdout.splitlines()
    found = [line.removeprefix("project.py:").partition(";")[0] for line in lines if "error:" in line]
    assert found == [
        '10: error: "Network" has no attribute "detekt"',
        '11: error: "Trainer" has no attribute "acumulate"',
    ], run.stdout + run.stderr
