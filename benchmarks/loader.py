# SPDX-License-Identifier: Apache-2.0
"""Samples per second that threads and processes prepare from cached decoded images.

    python benchmarks/loader.py DATA [--size 416] [--rounds 3]

DATA is anything that ``pydarknet convert`` reads.  Half of the samples are mosaics of four images, as
yolov4-tiny trains on.  Processes send them back through a pipe, as they must where shared memory is scarce.
The rows with GPU are samples whose pixels are left to it (``--augment-on device``).
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import cv2

from pydarknet.cfg import yolov4_tiny
from pydarknet.data import read
from pydarknet.data.album import ImageCache
from pydarknet.data.splits import Splits
from pydarknet.system.machine import usable_cores
from pydarknet.training import augment, tiles
from pydarknet.training.augment import AugmentConfig
from pydarknet.training.loader import generator, sample

SAMPLES = 96


class Work:
    """One sample by number; the images are inherited by forked processes."""

    images: ImageCache
    augmentation: AugmentConfig

    @classmethod
    def here(cls, number: int) -> object:
        return sample(cls.images, cls.augmentation, generator(0, 0, number), augment.sample)

    @classmethod
    def for_gpu(cls, number: int) -> object:
        return sample(cls.images, cls.augmentation, generator(0, 0, number), tiles.sample)


def rate(pool: Executor, work: Callable[[int], object]) -> float:
    """Samples per second."""
    list(pool.map(work, range(8)))
    begun = time.perf_counter()
    for _ in pool.map(work, range(SAMPLES)):
        pass
    return SAMPLES / (time.perf_counter() - begun)


def main() -> None:
    """Measure in turns, so that a disturbance hits both; the best of all rounds counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--size", type=int, default=416)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    sets = Splits.of(read(args.data))
    cfg = yolov4_tiny(classes=len(sets.names), size=args.size)
    cfg.net.set("mosaic", 1)
    Work.augmentation, Work.images = AugmentConfig.of(cfg), ImageCache(sets.train, 3, "ram")
    for number in range(len(sets.train)):
        Work.images.pixels(number)
    best: dict[tuple[int, str], float] = {}
    fork = multiprocessing.get_context("fork")
    for _ in range(args.rounds):
        for workers in range(1, usable_cores() + 1):
            for name, pool, work in (
                ("threads", ThreadPoolExecutor(workers), Work.here),
                ("processes", ProcessPoolExecutor(workers, fork), Work.here),
                ("threads, GPU", ThreadPoolExecutor(workers), Work.for_gpu),
            ):
                with pool:
                    found = rate(pool, work)
                best[workers, name] = max(best.get((workers, name), 0.0), found)
    for (workers, name), found in sorted(best.items()):
        print(f"{workers} {name:12} {found:6.0f} samples/s")


if __name__ == "__main__":
    main()
