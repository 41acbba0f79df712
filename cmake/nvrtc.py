# SPDX-License-Identifier: Apache-2.0
"""NVRTC, NVIDIA's compiler as a library: it needs no GPU and no driver."""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

ENGINE = Path(__file__).parents[1] / "darknet/src"
KERNELS = ENGINE / "backends/cuda/kernels"
HEADERS = ("portable.cuh", "functions.cuh")
#: Those that the engine compiles with.
OPTIONS = ("--std=c++17", "--fmad=false")
HOW_TO = "pip install nvidia-cuda-nvrtc-cu12, or set PYDARKNET_CUDA_PATH to its folder"
_NVRTC = re.compile(r"libnvrtc\.so\.\d+")
_DEPRECATED = re.compile(r"nvrtc: warning: Architectures prior to .* are deprecated.*\n*")


def names() -> list[str]:
    """Kernel files without their suffix; headers have no kernels."""
    return sorted(path.stem for path in KERNELS.glob("*.cuh") if path.name not in HEADERS)


def find(pattern: re.Pattern[str], *packages: str) -> Path | None:
    """The first file with such a name.

    It is searched in the folders of ``PYDARKNET_CUDA_PATH``, among the files of installed packages, and in
    the CUDA toolkit of ``CUDA_PATH`` or ``/usr/local/cuda``.
    """
    folders = filter(None, os.environ.get("PYDARKNET_CUDA_PATH", "").split(":"))
    toolkit = os.environ.get("CUDA_PATH", "/usr/local/cuda")
    for source in (*map(_below, folders), *map(_installed, packages), _below(toolkit)):
        for path in source:
            if pattern.fullmatch(path.name):
                return path
    return None


def _below(folder: str) -> Iterator[Path]:
    yield from sorted(Path(folder).rglob("*"))


def _installed(package: str) -> Iterator[Path]:
    try:
        files = metadata.files(package) or []
    except metadata.PackageNotFoundError:
        return
    for file in files:
        yield Path(str(file.locate()))


def find_nvrtc() -> Path | None:
    """The library."""
    return find(_NVRTC, "nvidia-cuda-nvrtc-cu12", "nvidia-cuda-nvrtc")


class Compiler:
    """NVRTC, opened by its path. Any number of threads may compile."""

    def __init__(self, library: Path) -> None:
        for builtins in library.parent.glob("libnvrtc-builtins.so.*"):
            ctypes.CDLL(str(builtins), mode=ctypes.RTLD_GLOBAL)
        self._nvrtc = ctypes.CDLL(str(library))

    def version(self) -> int:
        """12090 for 12.9."""
        major, minor = ctypes.c_int(), ctypes.c_int()
        self._nvrtc.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
        return 1000 * major.value + 10 * minor.value

    def compile(self, name: str, arch: str, storage: str | None) -> tuple[int, str, str]:
        """Status, messages and PTX of ``name``.cuh for an architecture and a storage type (None: all)."""
        status, messages, ptx = self._compile(name, arch, storage, "PTX")
        return status, messages, ptx.rstrip(b"\0").decode()

    def machine_code(self, name: str, arch: str) -> bytes:
        """The machine code (cubin) of ``name``.cuh for an architecture and all storage types.

        Raises:
            ValueError: it does not compile; the message has the compiler's words.
        """
        status, messages, code = self._compile(name, arch, None, "CUBIN")
        if status:
            reason = messages or self._meaning(status)
            raise ValueError(f"NVRTC did not compile {name}.cuh for {arch}: {reason}")
        return code

    def _compile(self, name: str, arch: str, storage: str | None, kind: str) -> tuple[int, str, bytes]:
        program = ctypes.c_void_p()
        shared = [*ENGINE.glob("*.cuh"), *ENGINE.glob("losses/*.cuh")]  # with the host
        files = {header: KERNELS / header for header in HEADERS}
        files |= {file.relative_to(ENGINE).as_posix(): file for file in shared}
        texts = (ctypes.c_char_p * len(files))(*(file.read_bytes() for file in files.values()))
        names = (ctypes.c_char_p * len(files))(*(header.encode() for header in files))
        source = (KERNELS / f"{name}.cuh").read_bytes()
        self._nvrtc.nvrtcCreateProgram(
            ctypes.byref(program), source, f"{name}.cuh".encode(), len(files), texts, names
        )
        words = [*OPTIONS, f"--gpu-architecture={arch}", *([f"-DDN_STORAGE={storage}"] if storage else [])]
        options = (ctypes.c_char_p * len(words))(*(word.encode() for word in words))
        status = self._nvrtc.nvrtcCompileProgram(program, len(words), options)
        messages = self._bytes(program, "ProgramLog").rstrip(b"\0").decode()
        result = self._bytes(program, kind) if status == 0 else b""
        self._nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
        return status, _DEPRECATED.sub("", messages).strip(), result

    def _bytes(self, program: ctypes.c_void_p, what: str) -> bytes:
        size = ctypes.c_size_t()
        getattr(self._nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        getattr(self._nvrtc, f"nvrtcGet{what}")(program, buffer)
        return buffer.raw

    def _meaning(self, status: int) -> str:
        function = self._nvrtc.nvrtcGetErrorString
        function.restype = ctypes.c_char_p
        return str(function(status).decode())
