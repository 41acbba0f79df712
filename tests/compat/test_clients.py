# SPDX-License-Identifier: Apache-2.0
"""C and C++ programs written for Darknet's library compile against ours and find what Darknet found."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from trained_model import Model, ordered

from pydarknet import libdarknet_path

ROOT = Path(__file__).parents[2]
CLIENTS = Path(__file__).parent / "clients"


def include() -> Path:
    """The public headers, of the sources or of an installation."""
    sources = ROOT / "darknet/include"
    return sources if sources.is_dir() else libdarknet_path().parent / "include"


def build(compiler: str, flags: list[str], source: str, tmp_path: Path) -> Path:
    if not shutil.which(compiler):
        pytest.skip(f"there is no {compiler} here")
    program = tmp_path / "client"
    library = libdarknet_path()
    command = [compiler, *flags, "-Wall", "-Wextra", "-Werror", f"-I{include()}", CLIENTS / source, library]
    link = [f"-Wl,-rpath,{library.parent}", "-Wl,--allow-shlib-undefined", "-o", program]
    subprocess.run([*command, *link], check=True)
    return program


def run(program: Path, model: Model, tmp_path: Path, *arguments: object) -> np.ndarray:
    planes = model.planes("dog")
    planes.tofile(tmp_path / "planes")
    channels, height, width = planes.shape
    words = [model.cfg, model.weights, tmp_path / "planes", width, height, channels, *arguments]
    # The C library then ends a program that writes past a block, or frees it twice.
    strict = {**os.environ, "MALLOC_CHECK_": "3", "MALLOC_PERTURB_": "165"}
    command = [program, *map(str, words)]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env=strict)
    assert result.returncode == 0
    return ordered([[float(word) for word in line.split()] for line in result.stdout.splitlines()])


def test_a_c_program_finds_what_darknet_found(model: Model, tmp_path: Path) -> None:
    program = build("cc", ["-std=c99"], "client.c", tmp_path)
    greedy = 1  # what the cfg says and the reference run used
    found = run(program, model, tmp_path, 0.11, greedy)
    expected = model.expected("dog")
    np.testing.assert_array_equal(found[:, 0], expected[:, 0])
    np.testing.assert_allclose(found[:, 1], expected[:, 1], atol=0.01)
    np.testing.assert_allclose(found[:, 2:], expected[:, 2:], atol=1 / 576)  # one pixel


def test_a_cpp_program_over_the_detector_class(model: Model, tmp_path: Path) -> None:
    program = build("c++", ["-std=c++17"], "client.cpp", tmp_path)
    found = run(program, model, tmp_path, 0.5)
    expected = model.expected("dog", 0.5)
    width, height = 768, 576
    centres = expected[:, 2:] * [width, height, width, height]
    corners = np.column_stack([centres[:, :2] - centres[:, 2:] / 2, centres[:, 2:]])
    np.testing.assert_array_equal(found[:, 0], expected[:, 0])
    np.testing.assert_allclose(found[:, 1], expected[:, 1], atol=0.01)
    np.testing.assert_allclose(found[:, 2:], corners, atol=2)  # cut to whole pixels


def test_only_what_the_headers_declare_is_exported() -> None:
    if not shutil.which("nm"):
        pytest.skip("there is no nm here")
    headers = "".join((include() / name).read_text() for name in ("darknet.h", "darknet_compat.h"))
    declared = set(re.findall(r"^DN_API [^;(]*?(\w+)\(", headers, re.MULTILINE))
    listing = subprocess.run(
        ["nm", "-D", "--defined-only", libdarknet_path()], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    assert {line.split()[-1] for line in listing.splitlines()} == declared


def test_loading_leaves_the_floating_point_mode_alone() -> None:
    script = (
        "import ctypes, numpy as np, sys; tiny = np.float32(1e-40); "
        "ctypes.CDLL(sys.argv[1]); sys.exit(0 if tiny * np.float32(1) == tiny != 0 else 1)"
    )
    assert subprocess.run([sys.executable, "-c", script, libdarknet_path()], check=False).returncode == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")
def test_a_forked_child_can_predict(model: Model) -> None:
    script = f"""
import os, sys
import pydarknet.compat.darknet as darknet
net = darknet.load_net_custom({str(model.cfg)!r}, {str(model.weights)!r})
image = darknet.make_image(320, 320, 3)
before = darknet.predict_image(net, image)[0]
child = os.fork()
if child == 0:
    os._exit(0 if darknet.predict_image(net, image)[0] == before else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    command = [sys.executable, "-W", "ignore", "-c", script]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(["", str(libdarknet_path().parents[2])])}
    assert subprocess.run(command, timeout=120, check=False, env=environment).returncode == 0
