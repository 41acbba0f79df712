# SPDX-License-Identifier: Apache-2.0
"""Scaling of a training over processes: measured on this machine, and a model of it for others.

    python benchmarks/workers.py net.cfg obj.data --processes 1 2

One process computes on all cores, N processes on as many together. The model of an iteration is

    t(N) = compute / N + 2 (N - 1) / N * bytes / bandwidth

with the bytes of the gradients (4 for each parameter), summed in a ring or by halving.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from pydarknet import Network

WARM = 2  # iterations that are not counted


def measure(arguments: argparse.Namespace, processes: int, threads: int) -> dict[str, float]:
    """Median seconds of an iteration and of its parts."""
    with tempfile.TemporaryDirectory() as folder:
        line = [sys.executable, "-m", "pydarknet", "train", "--cfg", arguments.cfg, "--data", arguments.data]
        line += ["--out", f"{folder}/run", "--max-batches", str(arguments.iterations), "--precision", "fp32"]
        line += ["--map-every", "0", "--last-every", "1000", "--threads", str(threads), "--cache", "ram"]
        line += ["--workers", "1", "--force", "--no-plots", "--quiet", "--processes", str(processes)]
        subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
        rows = [
            json.loads(text) for text in Path(folder, "run/results.jsonl").read_text().splitlines()[WARM:]
        ]
    parts = {name: statistics.median(row[name] for row in rows) for name in ("load", "compute", "exchange")}
    waits = [max(worker["wait"] for worker in row["workers"]) for row in rows if "workers" in row]
    whole = statistics.median(
        sum(row[name] for name in ("load", "compute", "exchange", "update")) for row in rows
    )
    return {"seconds": whole, **parts, "wait": statistics.median(waits) if waits else 0.0}


def model(seconds: float, megabytes: float, count: int, gigabytes_per_second: float) -> tuple[float, float]:
    """Seconds of an iteration and efficiency with ``count`` workers, each as fast as the one measured."""
    exchange = 2 * (count - 1) / count * megabytes / 1e3 / gigabytes_per_second
    return seconds / count + exchange, seconds / count / (seconds / count + exchange)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("cfg")
    parser.add_argument("data")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--seconds", type=float, help="of an iteration on one device, for the model")
    arguments = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    with Network(arguments.cfg, strict=False) as network:
        megabytes = network.info.parameters * 4 / 1e6
    print(f"{megabytes:.1f} MB of gradients an iteration, {cores} cores")
    print("processes threads  seconds  compute exchange  waiting  efficiency")
    first = 0.0
    for count in arguments.processes:
        found = measure(arguments, count, max(1, cores // count))
        first = first or found["seconds"]
        print(
            f"{count:9} {max(1, cores // count):7} {found['seconds']:8.3f} {found['compute']:8.3f} "
            f"{found['exchange']:8.3f} {found['wait']:8.3f} {first / found['seconds']:11.2f}"
            + (f"  more processes than {cores} cores" if count > cores else "")
        )
    seconds = arguments.seconds or first
    print(f"\nmodel, {seconds:.3g} s on one device:")
    for what, count, speed in (
        ("2 processes, memory of one machine", 2, 4.0),
        ("8 GPUs, PCIe 4", 8, 20.0),
        ("8 GPUs, NVLink", 8, 200.0),
        ("4 machines, 10 Gbit/s", 4, 1.1),
        ("4 machines, 100 Gbit/s", 4, 11.0),
    ):
        found_seconds, efficiency = model(seconds, megabytes, count, speed)
        print(f"{what:36} {found_seconds:8.4f} s  efficiency {efficiency:.2f}")


if __name__ == "__main__":
    main()
