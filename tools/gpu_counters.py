# SPDX-License-Identifier: Apache-2.0
"""Counters of a GPU by NVIDIA's ``ncu``: bytes and bandwidth of the slowest kernels of a network."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from dataclasses import asdict, dataclass

from pydarknet.errors import BackendError

TIME, BYTES = "gpu__time_duration.sum", "dram__bytes.sum"
SLOWEST = 5
LAUNCHES = 400  # ncu repeats each for every counter

#: A pass of a network, in a process of its own, whose kernels are launched one by one.
_PASS = """
import sys
import numpy as np
from pydarknet import Network
with Network(sys.argv[1], device=sys.argv[2], batch=int(sys.argv[3]), strict=False) as network:
    info = network.info
    network.predict(np.zeros((int(sys.argv[3]), info.channels, info.height, info.width), np.float32))
"""


@dataclass(frozen=True)
class Kernel:
    """Sums of a kernel over all its launches.

    Attributes:
        name: of the kernel.
        launches: number of them.
        microseconds: of all.
        megabytes: read from and written to the GPU's memory.
        gigabytes_per_second: achieved.
    """

    name: str
    launches: int
    microseconds: float
    megabytes: float
    gigabytes_per_second: float


def measure(cfg: str, device: str, batch: int, seconds: float) -> list[dict[str, object]]:
    """The slowest kernels of a forward pass.

    Args:
        cfg: file of the network.
        device: cuda or cuda:N.
        batch: images.
        seconds: time limit.

    Raises:
        BackendError: ncu is not installed, may not read counters, or failed.
    """
    program = shutil.which("ncu")
    if not program:
        raise BackendError("ncu is not installed")
    options = ["--csv", "--print-units", "base", "--metrics", f"{TIME},{BYTES}", "-c", str(LAUNCHES)]
    command = [program, *options, sys.executable, "-c", _PASS, cfg, device, str(batch)]
    environment = {**os.environ, "PYDARKNET_CUDA_GRAPHS": "0"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )
    if "ERR_NVGPUCTRPERM" in done.stdout + done.stderr:
        raise BackendError("ncu may not read the counters: the driver leaves them to administrators")
    found = slowest(done.stdout)
    if not found:
        lines = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        raise BackendError(f"ncu measured nothing: {lines[-1][:200]}")
    return [asdict(one) for one in found]


def slowest(text: str) -> list[Kernel]:
    """The kernels that took most time, of the CSV that ncu prints, one line for each launch and counter."""
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if line.startswith('"ID",')), len(lines))
    sums: defaultdict[str, dict[str, float]] = defaultdict(lambda: {TIME: 0.0, BYTES: 0.0})
    launches: defaultdict[str, set[str]] = defaultdict(set)
    for row in csv.DictReader(lines[start:]):
        name, metric = row["Kernel Name"], row["Metric Name"]
        if metric in (TIME, BYTES):
            sums[name][metric] += float(row["Metric Value"].replace(",", ""))
            launches[name].add(row["ID"])
    kernels = [
        Kernel(
            name,
            len(launches[name]),
            one[TIME] / 1e3,
            one[BYTES] / 1e6,
            one[BYTES] / one[TIME] if one[TIME] else 0.0,
        )
        for name, one in sums.items()
    ]
    return sorted(kernels, key=lambda one: -one.microseconds)[:SLOWEST]
