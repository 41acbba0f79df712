# SPDX-License-Identifier: Apache-2.0
"""NVIDIA's libraries as Python packages install them, for the engine, which opens them by name."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

# Those of the CUDA 12 line serve the most GPUs and go first.
PACKAGES = (
    "nvidia-cudnn-cu12",
    "nvidia-cublas-cu12",
    "nvidia-cuda-nvrtc-cu12",
    "nvidia-nccl-cu12",
    "nvidia-cudnn-cu13",
    "nvidia-cublas",
    "nvidia-cuda-nvrtc",
    "nvidia-nccl-cu13",
)
_LIBRARY = re.compile(r"lib(cudnn|cublasLt|nvrtc|nccl)\.so\.\d+")


def library_folders() -> list[str]:
    """Folders of the installed packages that hold cuDNN, cuBLAS, NVRTC or NCCL; empty if there are none."""
    folders: dict[str, None] = {}
    for package in PACKAGES:
        try:
            files = metadata.files(package)
        except metadata.PackageNotFoundError:
            continue
        for file in files or ():
            if _LIBRARY.fullmatch(file.name):
                folders[str(Path(str(file.locate())).parent)] = None
    return list(folders)
