# SPDX-License-Identifier: Apache-2.0
"""Time of one network by kind of layer.

    python benchmarks/layers.py cfg/yolov4.cfg 608 bf16

The fastest of twelve passes; GFLOP/s count operations as Darknet does.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import pydarknet


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cfg", type=Path)
    parser.add_argument("size", type=int)
    parser.add_argument("precision", choices=("fp32", "bf16"))
    args = parser.parse_args()
    net = pydarknet.Network(args.cfg, precision=args.precision)
    net.resize(args.size, args.size)
    times = min((net.profile() for _ in range(12)), key=lambda steps: sum(s.seconds for s in steps))
    groups: dict[str, list[float]] = defaultdict(lambda: [0, 0.0, 0.0])
    for step in times:
        layer = net.layers[step.layer] if step.layer >= 0 else None
        kind = layer.type if layer else "input"
        if layer and kind == "convolutional":
            window, width = layer.description.split()[1].split("/")[0], layer.out_shape[2]
            kind = f"{window} convolutions, " + (f"{width}²" if width >= args.size // 4 else "deeper")
        group = groups[kind]
        group[0] += 1
        group[1] += step.seconds
        group[2] += layer.bflops if layer else 0
    total = sum(step.seconds for step in times)
    print(f"{args.cfg.stem} {args.size} {args.precision}: {total * 1e3:.1f} ms\n")
    print("| layers | number | ms | share | GFLOP/s |\n|---|---:|---:|---:|---:|")
    for kind, (count, seconds, bflops) in sorted(groups.items(), key=lambda item: -item[1][1]):
        speed = f"{bflops / seconds:.0f}" if bflops else "–"
        print(f"| {kind} | {count:.0f} | {seconds * 1e3:.2f} | {seconds / total:.0%} | {speed} |")


if __name__ == "__main__":
    main()
