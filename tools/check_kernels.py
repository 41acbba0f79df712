# SPDX-License-Identifier: Apache-2.0
"""Compile every CUDA kernel for the given GPUs, without one; fail on errors, warnings and spilled registers.

usage: check_kernels.py [--storage f16] [--only FILE] [ARCH...]    sm_75 sm_80 sm_90 if none is given

Needs `pip install nvidia-cuda-nvrtc-cu12`, and for registers and spills nvidia-cuda-nvcc-cu12, whose ptxas
translates what NVRTC made. Architectures before sm_75 need the CUDA 12 line.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "cmake"))
import nvrtc


@dataclass(frozen=True)
class Usage:
    """Resources of one kernel: registers, bytes of spill stores and loads, bytes of stack."""

    name: str
    registers: int
    spills: int
    stack: int


def find_ptxas() -> Path | None:
    """NVIDIA's assembler."""
    return nvrtc.find(re.compile("ptxas"), "nvidia-cuda-nvcc-cu12", "nvidia-cuda-nvcc")


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


def check(
    compiler: nvrtc.Compiler, ptxas: Path | None, name: str, arch: str, storage: str | None
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
    library = nvrtc.find_nvrtc()
    if not library:
        print(f"found no NVRTC: {nvrtc.HOW_TO}")
        return 2
    compiler, ptxas = nvrtc.Compiler(library), find_ptxas()
    well = True
    for arch in arguments.arch or ["sm_75", "sm_80", "sm_90"]:
        for name in arguments.only or nvrtc.names():
            line, good = check(compiler, ptxas, name, arch, arguments.storage)
            print(line, flush=True)
            well &= good
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
