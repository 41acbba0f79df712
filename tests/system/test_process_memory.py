# SPDX-License-Identifier: Apache-2.0
"""Memory that the system reports, in a made ``/proc`` and ``/sys``."""

from __future__ import annotations

from pathlib import Path

import pytest

from pydarknet.system.memory import available_memory


@pytest.mark.parametrize("version", [1, 2])
def test_memory_of_a_container(tmp_path: Path, version: int) -> None:
    """Its limit counts where it is less than what the machine has free; files in its cache can be dropped."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 9000000 kB\nMemAvailable: 8000000 kB\n")
    assert available_memory(tmp_path) == 8_000_000 * 1024
    folder = tmp_path / ("sys/fs/cgroup" if version == 2 else "sys/fs/cgroup/memory")
    folder.mkdir(parents=True)
    limit, used = (
        ("memory.max", "memory.current")
        if version == 2
        else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    )
    (folder / used).write_text("3000\n")
    (folder / "memory.stat").write_text("anon 2000\ninactive_file 700\ntotal_inactive_file 700\n")
    (folder / limit).write_text("5000\n")
    assert available_memory(tmp_path) == 2700
    (folder / limit).write_text("max\n" if version == 2 else f"{2**63 - 4096}\n")
    assert available_memory(tmp_path) == 8_000_000 * 1024
    assert available_memory(tmp_path / "nothing") is None
