# SPDX-License-Identifier: Apache-2.0
"""Devices and backends: which pairs mean the same, and which contradict each other."""

from __future__ import annotations

import pytest

from pydarknet import Network, TrainConfig
from pydarknet.engine import _core, selftest
from pydarknet.engine.devices import backend_on, device_name
from pydarknet.errors import ArgumentError, BackendError

ON_CPU = "cpu" if "cpu" in _core.backend_names() else "ref"


@pytest.mark.parametrize(
    ("backend", "device", "expected"),
    [
        ("auto", "auto", "auto"),
        ("auto", "cpu", ON_CPU),
        ("auto", "cuda", "cuda"),
        ("auto", "cuda:1", "cuda:1"),
        ("auto", "1", "cuda:1"),
        ("auto", 0, "cuda:0"),
        ("auto", " CUDA:2 ", "cuda:2"),
        ("ref", "auto", "ref"),
        ("ref", "cpu", "ref"),
        ("cpu", "cpu", "cpu"),
        ("check:cpu,ref", "cpu", "check:cpu,ref"),
        ("check:cuda,ref", "auto", "check:cuda,ref"),
        ("cuda", "cuda", "cuda"),
        ("cuda", "cuda:1", "cuda:1"),
        ("cuda:1", "cuda", "cuda:1"),
        ("cuda:1", 1, "cuda:1"),
        ("nonsense", "auto", "nonsense"),  # the engine's error lists the backends
    ],
)
def test_a_device_and_a_backend(backend: str, device: str | int, expected: str) -> None:
    assert backend_on(backend, device) == expected


@pytest.mark.parametrize(
    ("backend", "device"),
    [
        ("ref", "cuda"),
        ("cpu", 0),
        ("cuda", "cpu"),
        ("cuda:1", "cuda:0"),
        ("check:cpu,ref", "cuda"),
        ("check:cuda,ref", "cuda"),
        ("check:cuda,ref", "cpu"),
    ],
)
def test_contradictions_are_errors(backend: str, device: str | int) -> None:
    with pytest.raises(ArgumentError, match="does not compute on device"):
        backend_on(backend, device)
    with pytest.raises(ArgumentError, match="a backend implies its device, so give one of the two"):
        TrainConfig(backend=backend, device=device)
    with pytest.raises(ArgumentError, match="does not compute on device"):
        Network.parse(selftest.CFG, backend=backend, device=device)


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "cuda:-1", "", -1, "cpu:0"])
def test_what_is_not_a_device(device: str | int) -> None:
    with pytest.raises(ArgumentError, match="expected auto, cpu, cuda or cuda:N with the number of the GPU"):
        device_name(device)


def test_several_devices_are_refused_with_the_way_out() -> None:
    with pytest.raises(
        ArgumentError,
        match=r"computes on one device; give one, and start a process for each.*; available here: cpu",
    ):
        device_name("cuda:0,cuda:1")


def test_a_network_on_the_cpu_computes_there() -> None:
    with Network.parse(selftest.CFG, device="cpu") as network:
        assert network.info.backend == ON_CPU
        assert network.info.place.startswith(ON_CPU)


def test_a_device_that_is_not_there_is_an_error() -> None:
    with pytest.raises(BackendError, match=r'"cuda:99" is not available: .*; available: .*\bref\b'):
        Network.parse(selftest.CFG, device=99)
