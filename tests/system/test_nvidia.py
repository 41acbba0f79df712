# SPDX-License-Identifier: Apache-2.0
"""Folders of NVIDIA's libraries, as packages list their files."""

from pathlib import Path

import pytest

from pydarknet.system import nvidia


def _install(site: Path, name: str, files: list[str]) -> None:
    folder = site / f"{name.replace('-', '_')}-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (folder / "RECORD").write_text("".join(f"{file},,\n" for file in files))
    for file in files:
        (site / file).parent.mkdir(parents=True, exist_ok=True)
        (site / file).touch()


def test_folders_of_installed_libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = nvidia.library_folders()
    cudnn = ["nvidia/cudnn/lib/libcudnn.so.9", "nvidia/cudnn/include/cudnn.h"]
    _install(tmp_path, "nvidia-cudnn-cu12", cudnn)
    _install(tmp_path, "nvidia-cublas", ["nvidia/cu13/lib/libcublasLt.so.13"])
    _install(tmp_path, "nvidia-cuda-nvrtc", ["nvidia/cu13/lib/libnvrtc.so.13"])
    _install(tmp_path, "another-package", ["other/lib/libnvrtc.so.12"])
    monkeypatch.syspath_prepend(str(tmp_path))
    expected = [str(tmp_path / "nvidia/cudnn/lib"), str(tmp_path / "nvidia/cu13/lib")]
    assert [folder for folder in nvidia.library_folders() if folder not in before] == expected
