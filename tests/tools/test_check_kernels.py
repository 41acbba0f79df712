# SPDX-License-Identifier: Apache-2.0
"""tools/check_kernels.py: kernels that do not compile, or spill, are found."""

import importlib.util
import os
import re
import stat
import sys
from pathlib import Path

import pytest

_SPEC = importlib.util.spec_from_file_location(
    "check_kernels", Path(__file__).parents[2] / "tools/check_kernels.py"
)
assert _SPEC
assert _SPEC.loader
check_kernels = sys.modules["check_kernels"] = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(check_kernels)

nvrtc = check_kernels.nvrtc
NVRTC, PTXAS = nvrtc.find_nvrtc(), check_kernels.find_ptxas()
needs_nvrtc = pytest.mark.skipif(not NVRTC, reason="pip install nvidia-cuda-nvrtc-cu12")

REPORT = """ptxas info    : Compiling entry function 'dn_first_f32' for 'sm_75'
ptxas info    : Function properties for dn_first_f32
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 32 registers, 400 bytes cmem[0]
ptxas info    : Compiling entry function 'dn_second_f32' for 'sm_75'
ptxas info    : Function properties for dn_second_f32
    16 bytes stack frame, 8 bytes spill stores, 4 bytes spill loads
ptxas info    : Used 255 registers, 8 bytes smem, 400 bytes cmem[0]
"""


class OneProgram:
    """A compiler with a fixed answer."""

    def __init__(self, status: int, messages: str) -> None:
        self.answer = (status, messages, "ptx")

    def compile(self, name: str, arch: str, storage: str | None) -> tuple[int, str, str]:
        return self.answer


@pytest.fixture
def ptxas(tmp_path: Path) -> Path:
    path = tmp_path / "ptxas"
    path.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{REPORT}END\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_registers_and_spills_of_each_kernel(ptxas: Path) -> None:
    first, second = check_kernels.usages(ptxas, "ptx", "sm_75")
    assert (first.name, first.registers, first.spills, first.stack) == ("dn_first_f32", 32, 0, 0)
    assert (second.name, second.registers, second.spills, second.stack) == ("dn_second_f32", 255, 12, 16)


def test_a_spill_fails_and_is_named(ptxas: Path) -> None:
    line, good = check_kernels.check(OneProgram(0, ""), ptxas, "pool", "sm_75", None)
    assert not good
    assert line == "pool sm_75: 2 kernels, at most 255 registers, 16 bytes of stack, 1 spill dn_second_f32"


@pytest.mark.parametrize(
    ("status", "messages"), [(6, "pool.cuh(3): error: expected a ;"), (0, "warning #177-D")]
)
def test_an_error_or_a_warning_fails(status: int, messages: str) -> None:
    line, good = check_kernels.check(OneProgram(status, messages), None, "pool", "sm_75", None)
    assert not good
    assert messages in line


def test_a_library_is_found_in_the_folders_of_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = tmp_path / "below" / "libnvrtc.so.12"
    library.parent.mkdir()
    library.touch()
    monkeypatch.setenv("PYDARKNET_CUDA_PATH", os.pathsep.join([str(tmp_path / "none"), str(tmp_path)]))
    assert nvrtc.find_nvrtc() == library


def test_every_file_of_kernels_is_compiled() -> None:
    files = {path.stem for path in nvrtc.KERNELS.glob("*.cuh")}
    assert {"activations", "batch_norm", "pool", "update"} <= set(nvrtc.names())
    assert set(nvrtc.names()) == files - {"portable", "functions"}


@needs_nvrtc
@pytest.mark.parametrize("name", nvrtc.names())
def test_each_file_compiles_and_spills_nothing(name: str) -> None:
    line, good = check_kernels.check(nvrtc.Compiler(NVRTC), PTXAS, name, "sm_75", "f16")
    assert good, line


def test_the_engine_compiles_with_the_same_options() -> None:
    source = (nvrtc.KERNELS.parent / "compiler.cpp").read_text("utf-8")
    listed = re.search(r"kOptions\[\] = \{(.*?)\}", source, re.DOTALL)
    assert listed
    assert tuple(re.findall(r'"(.+?)"', listed[1])) == nvrtc.OPTIONS
