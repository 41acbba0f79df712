# SPDX-License-Identifier: Apache-2.0
"""Compile every CUDA kernel for the given GPUs, without one; fail on errors, warnings and spilled registers.

usage: check_kernels.py [--storage f16] [--only FILE] [ARCH...]    sm_75 sm_80 sm_90 if none is given

Needs `pip install nvidia-cuda-nvrtc-cu12`, and for registers and spills nvidia-cuda-nvcc-cu12, whose ptxas
translates what NVRTC made. Architectures before sm_75 need the CUDA 12 line.
"""

import argparse
import ctypes
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

KERNELS = Path(__file__).parents[1] / "darknet/src/backends/cuda/kernels"
HEADERS = ("portable.cuh", "functions.cuh")
#: Those that the engine compiles with.
OPTIONS = ("--std=c++17", "--fmad=false")
_NVRTC, _PTXAS = re.compile(r"libnvrtc\.so\.\d+"), re.compile("ptxas")
_DEPRECATED = re.compile(r"nvrtc: warning: Architectures prior to .* are deprecated.*\n*")


@dataclass(frozen=True)
class Usage:
    """Resources of one kernel: registers, bytes of spill stores and loads, bytes of stack."""

    name: str
    registers: int
    spills: int
    stack: int


def find(pattern: re.Pattern[str], *packages: str) -> Path | None:
    """A file of one of the installed packages, or of the folders in ``PYDARKNET_CUDA_PATH``, by its name."""
    for folder in filter(None, os.environ.get("PYDARKNET_CUDA_PATH", "").split(":")):
        for path in sorted(Path(folder).rglob("*")):
            if pattern.fullmatch(path.name):
                return path
    for package in packages:
        try:
            files = metadata.files(package) or []
        except metadata.PackageNotFoundError:
            continue
        for file in files:
            if pattern.fullmatch(file.name):
                return Path(str(file.locate()))
    return None


class Compiler:
    """NVRTC, opened by its path."""

    def __init__(self, library: Path) -> None:
        for builtins in library.parent.glob("libnvrtc-builtins.so.*"):
            ctypes.CDLL(str(builtins), mode=ctypes.RTLD_GLOBAL)
        self._nvrtc = ctypes.CDLL(str(library))

    def compile(self, name: str, arch: str, storage: str | None) -> tuple[int, str, str]:
        """Status, messages and PTX of ``name``.cuh for an architecture and a storage type (None: all)."""
        program = ctypes.c_void_p()
        headers = [header for header in HEADERS if header != f"{name}.cuh"]
        texts = (ctypes.c_char_p * len(headers))(*((KERNELS / header).read_bytes() for header in headers))
        names = (ctypes.c_char_p * len(headers))(*(header.encode() for header in headers))
        source = (KERNELS / f"{name}.cuh").read_bytes()
        self._nvrtc.nvrtcCreateProgram(
            ctypes.byref(program), source, f"{name}.cuh".encode(), len(headers), texts, names
        )
        words = [*OPTIONS, f"--gpu-architecture={arch}", *([f"-DDN_STORAGE={storage}"] if storage else [])]
        options = (ctypes.c_char_p * len(words))(*(word.encode() for word in words))
        status = self._nvrtc.nvrtcCompileProgram(program, len(words), options)
        messages = self._text(program, "ProgramLog")
        ptx = self._text(program, "PTX") if status == 0 else ""
        self._nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
        return status, _DEPRECATED.sub("", messages).strip(), ptx

    def _text(self, program: ctypes.c_void_p, what: str) -> str:
        size = ctypes.c_size_t()
        getattr(self._nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        getattr(self._nvrtc, f"nvrtcGet{what}")(program, buffer)
        return buffer.value.decode()


def usages(ptxas: Path, ptx: str, arch: str) -> list[Usage]:
    """Resources of each kernel of a PTX text, as ptxas reports them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "kernels.ptx")
        path.write_text(ptx)
        command = [str(ptxas), "-v", f"-arch={arch}", str(path), "-o", f"{folder}/kernels.cubin"]
        report = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    entry = re.compile(
        r"entry function '(\w+)'.*?(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads"
        r".*?Used (\d+) registers",
        re.DOTALL,
    )
    return [
        Usage(name, int(registers), int(stores) + int(loads), int(stack))
        for name, stack, stores, loads, registers in entry.findall(report)
    ]


def names() -> list[str]:
    """Kernel files without their suffix; headers have no kernels."""
    return sorted(path.stem for path in KERNELS.glob("*.cuh") if path.name not in HEADERS)


def check(
    compiler: Compiler, ptxas: Path | None, name: str, arch: str, storage: str | None
) -> tuple[str, bool]:
    """A line on one file and architecture, and whether all is well."""
    status, messages, ptx = compiler.compile(name, arch, storage)
    if status or messages:
        return f"{name} {arch}: NVRTC's status is {status}\n{messages}", False
    if not ptxas:
        return f"{name} {arch}: compiled", True
    found = usages(ptxas, ptx, arch)
    spilled = [usage.name for usage in found if usage.spills]
    line = (
        f"{name} {arch}: {len(found)} kernels, at most {max(usage.registers for usage in found)} registers, "
        f"{max(usage.stack for usage in found)} bytes of stack, {len(spilled)} spill {' '.join(spilled)}"
    )
    return line.rstrip(), not spilled


def main() -> int:
    """Print a line for each file and architecture; exit code 1 if one fails, 2 without NVRTC."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--storage", choices=["f32", "f16", "bf16"], help="this storage type alone")
    parser.add_argument("--only", action="append", help="this file alone, for example pool; may be repeated")
    parser.add_argument("arch", nargs="*", help="for example sm_75")
    arguments = parser.parse_args()
    library = find(_NVRTC, "nvidia-cuda-nvrtc-cu12", "nvidia-cuda-nvrtc")
    if not library:
        print("found no NVRTC: pip install nvidia-cuda-nvrtc-cu12, or set PYDARKNET_CUDA_PATH to its folder")
        return 2
    compiler, ptxas = Compiler(library), find(_PTXAS, "nvidia-cuda-nvcc-cu12", "nvidia-cuda-nvcc")
    well = True
    for arch in arguments.arch or ["sm_75", "sm_80", "sm_90"]:
        for name in arguments.only or names():
            line, good = check(compiler, ptxas, name, arch, arguments.storage)
            print(line, flush=True)
            well &= good
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
