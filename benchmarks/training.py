# SPDX-License-Identifier: Apache-2.0
"""Compare training speed with PyTorch: ratios in one run.

    python benchmarks/training.py --envs /tmp/peers --out /tmp/bench
    python benchmarks/training.py --envs /tmp/peers --out /tmp/bench --isa avx2 --precisions fp32

Compute is forward, loss, backward and update of yolov4-tiny 416 with batch 8, in memory, against the same
network in PyTorch on the CPU, channels-last, bf16 by autocast. Both alternate (A B A B ...), so that a
slower machine slows both; medians over all turns are compared. End to end is `pydarknet train` on images
with augmentation and --cache ram: its seconds per iteration, including loading and logging, without
evaluation. Writes training.json and training.md (the tables).
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

from peers import limited_environment, peer_python, run_elsewhere

from pydarknet.system.machine import cpu_model

MODEL, SIZE, BATCH = "yolov4-tiny", 416, 8
ITERATIONS, SKIPPED = 60, 10  # of end to end; the first ones fill the cache
PICTURES, BOXES = 64, 12


def write_cfg(folder: Path) -> Path:
    """The network for 80 classes, one mini-batch an iteration, with mosaic."""
    cfg = folder / f"{MODEL}.cfg"
    new = ["cfg", "new", "--model", MODEL, "--classes", "80", "--size", str(SIZE), "--batch", str(BATCH)]
    more = ["--subdivisions", "1", "--augment", "high", "--set", "yolo.random=0", "--out", str(cfg)]
    run_elsewhere([sys.executable, "-m", "pydarknet", *new, *more], stdout=subprocess.DEVNULL)
    return cfg


def write_pictures(folder: Path) -> Path:
    """JPEG files of 640x480 pixels with boxes, as a .data file."""
    import cv2
    import numpy as np

    rng = np.random.default_rng(0)
    names = folder / "names.txt"
    names.write_text("".join(f"class{i}\n" for i in range(80)))
    paths = []
    for number in range(PICTURES):
        path = folder / f"{number}.jpg"
        small = rng.integers(0, 255, (48, 64, 3), np.uint8)
        cv2.imwrite(str(path), cv2.resize(small, (640, 480), interpolation=cv2.INTER_CUBIC))
        boxes = [
            (rng.integers(80), *rng.uniform(0.2, 0.8, 2), *rng.uniform(0.03, 0.3, 2)) for _ in range(BOXES)
        ]
        path.with_suffix(".txt").write_text("".join(" ".join(map(str, box)) + "\n" for box in boxes))
        paths.append(str(path))
    (folder / "train.txt").write_text("\n".join(paths) + "\n")
    data = folder / "images.data"
    data.write_text(f"classes = 80\ntrain = {folder / 'train.txt'}\nnames = {names}\n")
    return data


def compute(python: Path, framework: str, cfg: Path, precision: str, args: argparse.Namespace) -> dict:
    """One turn of one framework."""
    script = Path(__file__).with_name("training_step.py")
    arguments = [framework, str(cfg), str(BATCH), str(SIZE), precision, str(args.seconds), str(args.threads)]
    done = subprocess.run(
        [str(python), str(script), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**args.environment, "OMP_NUM_THREADS": str(args.threads)},
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def end_to_end(cfg: Path, data: Path, precision: str, args: argparse.Namespace, folder: Path) -> list[float]:
    """Seconds of each iteration of a training, the first ones left out."""
    out = folder / f"run-{precision}-{len(list(folder.glob('run-*')))}"
    command = ["train", "--cfg", cfg, "--data", data, "--out", out, "--precision", precision]
    more = ["--cache", "ram", "--max-batches", ITERATIONS, "--threads", args.threads, "--force", "--quiet"]
    run_elsewhere(
        [sys.executable, "-m", "pydarknet", *map(str, [*command, *more])],
        env={**args.environment, "OMP_NUM_THREADS": str(args.threads)},
    )
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    return [row["seconds"] - row["save"] for row in rows[SKIPPED:]]


def run(precision: str, args: argparse.Namespace, cfg: Path, data: Path, folder: Path) -> dict:
    """All turns of one precision."""
    torch = peer_python(args.envs, "torch", "torch", "--index-url", "https://download.pytorch.org/whl/cpu")
    pythons = {"pydarknet": Path(sys.executable), "torch": torch}
    found: dict[str, dict] = {name: {"times": [], "peak_rss": 0} for name in pythons}
    found["end to end"] = {"times": []}
    for _ in range(args.turns):
        for name, python in pythons.items():
            turn = compute(python, name, cfg, precision, args)
            found[name]["times"] += turn["times"]
            found[name]["peak_rss"] = max(found[name]["peak_rss"], turn["peak_rss"])
        if args.end_to_end:
            found["end to end"]["times"] += end_to_end(cfg, data, precision, args, folder)
    return found


def table(results: dict[str, dict]) -> str:
    """Markdown: medians, ratios, memory."""
    lines = [
        "| yolov4-tiny 416, batch 8 | pydarknet | PyTorch | PyTorch ÷ pydarknet | end to end | of compute "
        "| memory | PyTorch |",
        "|---|" + "---:|" * 7,
    ]
    for precision, found in results.items():
        ours, torch = (statistics.median(found[k]["times"]) for k in ("pydarknet", "torch"))
        memory, peer = (found[k]["peak_rss"] / 2**20 for k in ("pydarknet", "torch"))
        whole, share = "–", "–"
        if found["end to end"]["times"]:
            seconds = statistics.median(found["end to end"]["times"])
            whole, share = f"{seconds:.3f} s", f"{ours / seconds:.0%}"
        lines.append(
            f"| {precision} | {ours:.3f} s | {torch:.3f} s | {torch / ours:.2f} | {whole} "
            f"| {share} | {memory:.0f} MB | {peer:.0f} MB |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--envs", type=Path, default=Path("/tmp/peers"), help="of the peers")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8, help="of measuring per framework and turn")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--isa", choices=["native", "avx2"], default="native", help="avx2: hide AVX-512")
    parser.add_argument("--precisions", nargs="+", choices=["fp32", "bf16"], default=["fp32", "bf16"])
    parser.add_argument("--compute-only", dest="end_to_end", action="store_false", help="no end to end")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    results: dict[str, dict] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).absolute()
        args.environment = limited_environment(args.isa, folder)
        cfg, data = write_cfg(folder), write_pictures(folder)
        for precision in args.precisions:
            results[precision] = run(precision, args, cfg, data, folder)
    machine = f"{cpu_model()}, {args.isa}, {args.threads} threads"
    (args.out / "training.md").write_text(f"{machine}\n\n{table(results)}\n")
    (args.out / "training.json").write_text(json.dumps(results, indent=1))
    print(table(results))


if __name__ == "__main__":
    main()
