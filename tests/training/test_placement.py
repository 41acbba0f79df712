# SPDX-License-Identifier: Apache-2.0
"""A GPU for each worker, from the GPUs that each of them sees."""

from __future__ import annotations

import pytest

from pydarknet.engine import _core
from pydarknet.errors import BackendError
from pydarknet.training.launch import _visible
from pydarknet.training.placement import Gpu, chosen, require_gpus, usable

TWO = [Gpu(0, "a"), Gpu(1, "b")]


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ([TWO, TWO], [0, 1]),
        ([[Gpu(0, "a")], [Gpu(0, "b")]], [0, 0]),  # the launcher gives each its own
        ([TWO, TWO, [Gpu(0, "c"), Gpu(1, "d")]], [0, 1, 0]),  # another machine
        ([[Gpu(1, "b")], TWO], [1, 0]),
    ],
)
def test_each_worker_has_a_gpu_of_its_own(seen: list[list[Gpu]], expected: list[int]) -> None:
    assert chosen(seen) == expected


def test_more_workers_than_gpus_are_refused() -> None:
    with pytest.raises(BackendError, match="found 2 GPUs for worker 2 of 3 on this machine, expected one"):
        chosen([TWO, TWO, TWO])
    with pytest.raises(BackendError, match="found 1 GPU for worker 1 of 2"):
        chosen([TWO[:1], TWO[:1]])


def test_gpus_that_a_backend_can_use(monkeypatch: pytest.MonkeyPatch) -> None:
    devices = [
        {"index": number, "uuid": f"GPU-{number}", "why_not": "too old" if number == 1 else ""}
        for number in range(3)
    ]
    monkeypatch.setattr(_core, "build_info", lambda: {"cuda": {"devices": devices}})
    assert [gpu.number for gpu in usable("cuda")] == [0, 2]
    assert [gpu.number for gpu in usable("check:cuda:2,ref")] == [2]
    assert usable("cuda:1") == usable("cpu") == []
    require_gpus("cpu", 8)


@pytest.mark.parametrize(
    ("before", "gpus", "expected"),
    [(None, (1, 3), "1,3"), ("4, GPU-5,6", (2, 1), "6,GPU-5"), ("0", (), None)],
)
def test_gpus_that_workers_see(
    before: str | None, gpus: tuple[int, ...], expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers are counted among those that are visible now."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if before is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", before)
    assert _visible(gpus) == ({} if expected is None else {"CUDA_VISIBLE_DEVICES": expected})
