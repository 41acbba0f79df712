# SPDX-License-Identifier: Apache-2.0
"""Print the C++ and CUDA files below darknet/ that clang-format lays out, a line each.

The public C headers are laid out by hand: they are manuals.
"""

import subprocess
from pathlib import Path

#: C++ and CUDA sources and their headers.
CPP = ("*.cpp", "*.hpp", "*.cu", "*.cuh")


def tracked(*patterns: str) -> list[Path]:
    """Files that git tracks and one of the patterns matches."""
    command = ["git", "ls-files", "-z", "--", *patterns]
    out = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    return [Path(name) for name in out.split("\0") if name]


if __name__ == "__main__":
    print(*tracked(*(f"darknet/{pattern}" for pattern in CPP)), sep="\n")
