# SPDX-License-Identifier: Apache-2.0
"""Load test of `pydarknet serve` on this machine with hey (apt install hey), against two programs without a
server: `pydarknet bench`, which computes forward passes alone, and a loop that decodes and detects.

usage: serve.py CFG [WEIGHTS] --image FILE [--batch 8] [--clients 1,8,64] [--seconds 8] [--threads 1]
       [--precision fp32] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import pydarknet


@contextmanager
def server(cfg: str, weights: str, batch: int, threads: str, precision: str) -> Iterator[str]:
    """Address of a server; objects are rare at its threshold, as with trained weights."""
    words = ["serve", cfg, weights, "--http", "0", "--batch", str(batch), "--thresh", "0.9", "--json"]
    how = ["--threads", threads, "--precision", precision]
    command = [sys.executable, "-m", "pydarknet", *words, "--queue", "128", "--lenient", *how]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()
            if process.wait(30):
                raise SystemExit(f"the server ended with {process.returncode}")


def load(url: str, image: Path, clients: int, seconds: float) -> dict[str, float]:
    """Measurements of hey: answers a second, and percentiles of their times in milliseconds."""
    words = ["hey", "-z", f"{seconds}s", "-c", str(clients), "-m", "POST", "-D", str(image), "-o", "csv"]
    text = subprocess.run(
        [*words, "-T", "image/jpeg", f"{url}invocations"], check=True, capture_output=True, text=True
    ).stdout
    rows = np.array([[float(row[0]), float(row[6]), float(row[7])] for row in _rows(text)])
    answered = rows[rows[:, 1] == 200]
    ends = answered[:, 0] + answered[:, 2]
    p50, p99 = np.percentile(answered[:, 0], [50, 99]) * 1e3
    # the first second, in which clients start together, does not count
    rate = float((ends > 1).sum() / (ends.max() - 1))
    refused = len(rows) - len(answered)
    return {"clients": clients, "images_per_second": rate, "p50": p50, "p99": p99, "refused": refused}


def _rows(text: str) -> Iterator[list[str]]:
    return (line.split(",") for line in text.splitlines()[1:] if line)


def resident(url: str) -> float:
    """Memory of the server in MB."""
    with urllib.request.urlopen(f"{url}metrics", timeout=10) as answer:
        found = re.search(rb"^process_resident_memory_bytes (\S+)", answer.read(), re.MULTILINE)
    assert found
    return float(found[1]) / 1e6


def bench(cfg: str, weights: str, batches: list[int], threads: str, precision: str) -> dict[int, float]:
    """Images a second of forward passes alone, by batch."""
    words = ["bench", cfg, weights, "--batches", ",".join(map(str, batches)), "--json", "--lenient"]
    how = ["--threads", threads, "--precisions", precision]
    command = [sys.executable, "-m", "pydarknet", *words, *how]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return {row["batch"]: row["images_per_second"] for row in json.loads(out)["rows"]}


def loop(
    cfg: str, weights: str, data: bytes, batches: list[int], seconds: float, threads: str, precision: str
) -> dict[int, float]:
    """Images a second of a program that decodes and detects in turn, by batch."""
    rates = {}
    for batch in batches:
        how: dict[str, Any] = {"threads": int(threads), "precision": precision, "strict": False}
        with pydarknet.Network(cfg, weights, batch=batch, **how) as network:
            network.detect([data] * batch, thresh=0.9)
            count, start = 0, time.perf_counter()
            while (passed := time.perf_counter() - start) < seconds:
                network.detect([data] * batch, thresh=0.9)
                count += batch
            rates[batch] = count / passed
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cfg")
    parser.add_argument("weights", nargs="?")
    parser.add_argument("--image", required=True)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--clients", default="1,8,64")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--threads", default="1", help="of the network; hey and HTTP need cores, too")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--json")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        weights = args.weights or f"{folder}/random.weights"
        if not args.weights:
            pydarknet.Network(args.cfg, strict=False).save_weights(weights)
        image = Path(folder) / "image.jpg"
        cv2.imwrite(str(image), cv2.imread(args.image))
        counts = list(map(int, args.clients.split(",")))
        batches = sorted({1 if clients == 1 else args.batch for clients in counts})
        how = (args.threads, args.precision)
        data = image.read_bytes()

        def without() -> tuple[dict[int, float], dict[int, float]]:
            forward = bench(args.cfg, weights, batches, *how)
            return forward, loop(args.cfg, weights, data, batches, args.seconds / 4, *how)

        alone = [without()]
        with server(args.cfg, weights, args.batch, *how) as url:
            load(url, image, 4, 1.5)
            before = resident(url)
            rows = []
            for clients in counts:
                rows.append(load(url, image, clients, args.seconds))
                rows[-1]["resident"] = resident(url)
        alone.append(without())  # before and after: the speed of a shared machine drifts
        for row in rows:
            batch = 1 if row["clients"] == 1 else args.batch
            for i, name in enumerate(("bench", "loop")):
                row[name] = float(np.mean([one[i][batch] for one in alone]))
                row[f"of_{name}"] = row["images_per_second"] / row[name]
            print(" ".join(f"{key}={value:.4g}" for key, value in row.items()), flush=True)
        print(f"resident before: {before:.0f} MB", flush=True)
        if args.json:
            facts = {"rows": rows, "resident": before, "alone": alone}
            Path(args.json).write_text(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
