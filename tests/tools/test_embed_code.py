# SPDX-License-Identifier: Apache-2.0
"""cmake/embed_code.py: machine code of kernels becomes a part of libdarknet."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]

MAIN = """
#include <iostream>
#include "backends/cuda/embedded_code.hpp"
int main() {
    for (const dn::cuda::EmbeddedCode& code : dn::cuda::embedded_codes())
        std::cout << code.program << ' ' << code.arch << ' ' << code.cuda << ' ' << code.code << '\\n';
}
"""


class NamesOnly:
    """A compiler whose machine code says what it was made of."""

    def version(self) -> int:
        return 12090

    def machine_code(self, name: str, arch: str) -> bytes:
        if name == "pool" and arch == "sm_20":
            raise ValueError("NVRTC did not compile pool.cuh for sm_20: invalid value")
        return f"{name} for {arch}".encode()


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "cmake")
    import embed_code

    return embed_code


def test_a_program_holds_the_code_of_each_file_and_gpu(tool: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    tool.embed(NamesOnly(), [75, 90], folder / "code.cpp")
    (folder / "main.cpp").write_text(MAIN)
    source = ROOT / "darknet/src"
    command = ["g++", "-std=c++17", "-fPIC", "-DDN_EMBEDS_CODE", f"-I{source}", "-o", folder / "program"]
    sources = [folder / "main.cpp", folder / "code.cpp", source / "backends/cuda/embedded_code.cpp"]
    subprocess.run([*command, *sources], check=True)
    found = subprocess.run([folder / "program"], capture_output=True, text=True, check=True).stdout
    expected = [
        f"{name} {arch} 12090 {name} for sm_{arch}" for arch in (75, 90) for name in tool.nvrtc.names()
    ]
    assert found.splitlines() == expected


def run(tool: ModuleType, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["embed_code.py", *words])
    code = tool.main()
    assert isinstance(code, int)
    return code


def test_a_failure_says_what_to_do(
    tool: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "code.cpp"
    monkeypatch.setattr(tool.nvrtc, "find_nvrtc", lambda: None)
    assert run(tool, monkeypatch, "--out", str(out), "75") == 2
    assert "needs NVRTC, which was not found; pip install nvidia-cuda-nvrtc-cu12" in capsys.readouterr().err
    monkeypatch.setattr(tool.nvrtc, "find_nvrtc", lambda: Path("libnvrtc.so.12"))
    monkeypatch.setattr(tool.nvrtc, "Compiler", lambda library: NamesOnly())
    assert run(tool, monkeypatch, "--out", str(out), "20") == 1
    assert "did not compile pool.cuh for sm_20" in capsys.readouterr().err
    assert not out.exists()


def test_nvrtc_makes_machine_code_of_the_gpu(tool: ModuleType) -> None:
    library = tool.nvrtc.find_nvrtc()
    if not library:
        pytest.skip("pip install nvidia-cuda-nvrtc-cu12")
    code = tool.nvrtc.Compiler(library).machine_code("image", "sm_75")
    magic, kind = code[:4], struct.unpack_from("<H", code, 18)[0]
    assert (magic, kind) == (b"\x7fELF", 190)  # EM_CUDA
    for storage in ("f32", "f16", "bf16"):
        assert f".text.dn_load_image_{storage}".encode() in code
    with pytest.raises(ValueError, match=r"compile image\.cuh for sm_1: .*invalid value"):
        tool.nvrtc.Compiler(library).machine_code("image", "sm_1")
