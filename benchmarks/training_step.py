# SPDX-License-Identifier: Apache-2.0
"""Time training iterations of one framework, in its own process and environment; prints one JSON line.

usage: training_step.py FRAMEWORK CFG BATCH SIZE PRECISION SECONDS THREADS

An iteration is forward, loss, backward and update on one mini-batch that is already in memory.
Both frameworks get the same cfg, the same images and the same boxes.
Imports are inside the functions because each environment has one framework only.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable

Step = Callable[[], object]
BOXES = 20  # an image


def samples(batch: int, size: int):
    """Images (n, 3, h, w) in 0..1, and boxes (n, BOXES, 5): centre, size, class."""
    import numpy as np

    rng = np.random.default_rng(0)
    images = rng.random((batch, 3, size, size), np.float32)
    centres, sizes = rng.uniform(0.2, 0.8, (batch, BOXES, 2)), rng.uniform(0.02, 0.4, (batch, BOXES, 2))
    classes = rng.integers(0, 80, (batch, BOXES, 1))
    return images, np.concatenate([centres, sizes, classes], 2).astype(np.float32)


def pydarknet_step(cfg: str, batch: int, size: int, precision: str, threads: int) -> Step:
    import numpy as np

    import pydarknet

    images, boxes = samples(batch, size)
    truths = np.zeros((batch, 200, 6), np.float32)
    truths[:, :BOXES, :5] = boxes
    trainer = pydarknet.Network(cfg, precision=precision, threads=threads).trainer()

    def step() -> None:
        trainer.accumulate(images, truths)
        trainer.update()

    return step


def torch_step(cfg: str, batch: int, size: int, precision: str, threads: int) -> Step:
    import torch
    from torch_darknet import Darknet, detection_loss

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    net = Darknet(cfg).train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(net.parameters(), 0.001, momentum=0.9, weight_decay=0.0005)
    images, boxes = (torch.from_numpy(a) for a in samples(batch, size))
    images = images.contiguous(memory_format=torch.channels_last)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            outputs = net(images)
        loss = sum(
            detection_loss(x.float(), head, boxes, size) for x, head in zip(outputs, net.heads, strict=True)
        )
        loss.backward()
        optimizer.step()

    return step


FRAMEWORKS = {"pydarknet": pydarknet_step, "torch": torch_step}


def main() -> None:
    framework, cfg, batch, size, precision, seconds, threads = sys.argv[1:]
    os.environ["OMP_NUM_THREADS"] = threads
    step = FRAMEWORKS[framework](cfg, int(batch), int(size), precision, int(threads))
    for _ in range(3):
        step()
    times: list[float] = []
    end = time.perf_counter() + float(seconds)
    while len(times) < 3 or time.perf_counter() < end:
        begin = time.perf_counter()
        step()
        times.append(time.perf_counter() - begin)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"times": times, "peak_rss": peak}))


if __name__ == "__main__":
    main()
