# SPDX-License-Identifier: Apache-2.0
"""Loader of training batches: reads and augments images in threads, a few batches ahead of the training.

Which image a sample shows and how it is augmented is a function of (seed, iteration, number in the batch)
alone, so neither the number of threads nor a restart changes anything.  Threads share this process's memory;
decoding and OpenCV release the interpreter lock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from pydarknet.cfg import CfgFile
from pydarknet.cfg.augmentation import AugmentConfig
from pydarknet.data.album import ImageCache
from pydarknet.engine import opencv
from pydarknet.engine.images import Pixels, save_image
from pydarknet.engine.tiles import Tile
from pydarknet.engine.trainer import Trainer
from pydarknet.runs.config import TrainConfig
from pydarknet.system.machine import bounded_threads, usable_cores
from pydarknet.training import augment, tiles
from pydarknet.training import truth_boxes as truths
from pydarknet.training.communicator import Communicator
from pydarknet.training.truth_boxes import Boxes

Size = tuple[int, int]
Shown = TypeVar("Shown")
Make = Callable[[augment.Draw, np.random.Generator, AugmentConfig], tuple[Shown, Boxes]]


@dataclass(frozen=True)
class Batch:
    """One mini-batch.

    Attributes:
        size: width and height of its images.
        images: float32 (n, channels, height, width), 0..1, red first; none if the GPU computes them.
        truths: float32 (n, max_boxes, 6).
        tiles: those of each image if the GPU computes them.
        paths: for each sample the images that it was made of.
    """

    size: Size
    images: npt.NDArray[np.float32]
    truths: npt.NDArray[np.float32]
    tiles: list[list[Tile]]
    paths: tuple[tuple[str, ...], ...] = ()


def generator(seed: int, iteration: int, number: int) -> np.random.Generator:
    """Random numbers of one sample: a separate stream for each (seed, iteration, number)."""
    return np.random.Generator(np.random.Philox(key=[seed, iteration], counter=[0, 0, 0, number]))


def sample(
    images: ImageCache, augmentation: AugmentConfig, rng: np.random.Generator, make: Make[Shown]
) -> tuple[Shown, Boxes, tuple[str, ...]]:
    """Make one augmented sample, drawn with replacement as in Darknet; returns its image paths, too.

    Args:
        images: to draw from.
        augmentation: settings.
        rng: everything random.
        make: ``augment.sample``, or ``tiles.sample`` that leaves the pixels to the GPU.
    """
    used: list[str] = []

    def draw(rng: np.random.Generator) -> tuple[Pixels, Boxes]:
        while True:
            index = int(rng.integers(len(images)))
            pixels = images.pixels(index)
            if pixels is not None:
                used.append(str(images.samples[index].image))
                return pixels, images.boxes(index)

    shown, boxes = make(draw, rng, augmentation)
    return shown, boxes, tuple(used)


class Loader:
    """Yields the mini-batches of all iterations, prepared ahead of time in threads.

    Args:
        images: to draw from.
        augmentation: settings; their size is replaced by ``size_of``.
        batch: images per iteration.
        subdivisions: mini-batches per iteration.
        seed: of everything random.
        workers: threads.
        size_of: input (width, height) of an iteration, for ``random=1``.
        share: number of this process and of all that share the mini-batches: this one makes every N-th.
        composed: the pixels are left to the GPU.

    Attributes:
        mini: images of a mini-batch.
        parts: mini-batches of an iteration.
        own: those of them that are made here.
    """

    def __init__(
        self,
        images: ImageCache,
        augmentation: AugmentConfig,
        batch: int,
        subdivisions: int,
        seed: int,
        workers: int,
        size_of: Callable[[int], Size],
        share: tuple[int, int] = (0, 1),
        composed: bool = False,
    ) -> None:
        self.images, self.augmentation, self.seed, self.size_of = images, augmentation, seed, size_of
        self.mini, self.parts = batch // subdivisions, subdivisions
        self._own = range(share[0], subdivisions, share[1])
        self.own = len(self._own)
        self._composed = composed
        self._threads = cv2.getNumThreads()
        cv2.setNumThreads(1)  # OpenCV's own threads would compete with the workers
        self._pool = ThreadPoolExecutor(workers, "pydarknet-loader")
        self._ahead = max(2, -(-2 * workers // self.mini))
        self._queue: deque[tuple[Batch, list[Future[tuple[str, ...]]]]] = deque()

    def close(self) -> None:
        """End the threads; unfinished batches are dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        cv2.setNumThreads(self._threads)

    def batches(self, iteration: int, end: int) -> Iterator[Batch]:
        """Yield the mini-batches of the iterations from ``iteration`` up to, not including, ``end``.

        Raises:
            DataError: too many images cannot be read.
        """
        for number in range(iteration, end):
            for part in self._own:
                self._queue.append(self._begin(number, part, self._composed))
                if len(self._queue) > self._ahead:
                    yield self._finished()
        while self._queue:
            yield self._finished()

    def ready(self) -> Batch | None:
        """The mini-batch that :meth:`batches` yields next, without its paths, if nothing of it is missing."""
        if not self._queue or not all(future.done() for future in self._queue[0][1]):
            return None
        return self._queue[0][0]

    def first(self, iteration: int) -> Batch:
        """Make the first mini-batch of one iteration, out of turn, with its images."""
        batch, futures = self._begin(iteration, 0, composed=False)
        return replace(batch, paths=tuple(future.result() for future in futures))

    def _begin(
        self, iteration: int, part: int, composed: bool
    ) -> tuple[Batch, list[Future[tuple[str, ...]]]]:
        width, height = self.size_of(iteration)
        augmentation = replace(self.augmentation, width=width, height=height)
        images = np.empty((0 if composed else self.mini, augmentation.channels, height, width), np.float32)
        table = np.empty((self.mini, augmentation.max_boxes, truths.FIELDS), np.float32)
        composition: list[list[Tile]] = [[]] * (self.mini if composed else 0)

        def fill(slot: int) -> tuple[str, ...]:
            rng = generator(self.seed, iteration, part * self.mini + slot)
            if composed:
                composition[slot], boxes, used = sample(self.images, augmentation, rng, tiles.sample)
            else:
                images[slot], boxes, used = sample(self.images, augmentation, rng, augment.sample)
            table[slot] = truths.packed(boxes, augmentation.max_boxes)
            return used

        batch = Batch((width, height), images, table, composition)
        return batch, [self._pool.submit(fill, slot) for slot in range(self.mini)]

    def _finished(self) -> Batch:
        batch, futures = self._queue.popleft()
        return replace(batch, paths=tuple(future.result() for future in futures))


def accumulate(trainer: Trainer, batch: Batch, after: Batch | None) -> float:
    """Train on a mini-batch; returns its cost.

    Args:
        trainer: of the input size of the mini-batch.
        batch: the mini-batch.
        after: the next one, if it is known.
    """
    if batch.tiles:
        return trainer.accumulate_tiles(batch.tiles, batch.truths)
    if after and after.images.shape == batch.images.shape:
        trainer.announce(after.images)
    return trainer.accumulate(batch.images, batch.truths)


def network_size(
    cfg_size: Size, random: float, step: int, max_batches: int, seed: int
) -> Callable[[int], Size]:
    """Input size by iteration: with ``random`` it changes every 10 iterations.

    The first and the last iterations have the largest size, so that a lack of memory shows at once.

    Args:
        cfg_size: width and height of the cfg.
        random: of the last head; 1 means factors up to 1.4.
        step: sizes are multiples of it.
        max_batches: length of the training.
        seed: of the random choice.
    """
    limit = 1.4 if random == 1 else random

    def scaled(factor: float) -> Size:
        width, height = (max(step, int(factor * side / step + 1 + 0.5) * step) for side in cfg_size)
        return width, height

    def size(iteration: int) -> Size:
        if not random:
            return cfg_size
        if iteration < 10 or iteration // 10 * 10 > max_batches - 100:
            return scaled(limit)
        rng = generator(seed, iteration // 10, 2**32)  # not the number of any sample
        factor = augment.rand_scale(rng, limit)
        found = scaled(factor)
        return cfg_size if factor < 1 and (found[0] > cfg_size[0] or found[1] > cfg_size[1]) else found

    return size


def input_sizes(cfg: CfgFile, seed: int) -> Callable[[int], Size]:
    """Input size by iteration of a training, see :func:`network_size`."""
    net = cfg.net
    return network_size(
        (net.integer("width"), net.integer("height")),
        cfg.heads[-1].number("random", 0.0),
        max(net.integer("resize_step"), 1),
        net.integer("max_batches"),
        seed,
    )


def make_loader(
    images: ImageCache, cfg: CfgFile, config: TrainConfig, communicator: Communicator | None = None
) -> Loader:
    """Loader of a training.

    Args:
        images: training images.
        cfg: the effective cfg.
        config: the settings.
        communicator: of several workers; this one loads what it computes, on its part of the cores.
    """
    threads = config.workers or (communicator.threads if communicator else usable_cores())
    return Loader(
        images,
        AugmentConfig.of(cfg),
        cfg.net.integer("batch"),
        cfg.net.integer("subdivisions"),
        config.seed,
        bounded_threads(threads, "workers"),
        input_sizes(cfg, config.seed),
        (communicator.rank, communicator.size) if communicator else (0, 1),
        composed=config.augment_on == "device",
    )


def draw_boxes(batch: Batch, names: Sequence[str], path: Path) -> None:
    """Write a mini-batch as one image with its boxes drawn, as the network sees it."""
    tiles = []
    for planes, rows in zip(batch.images, batch.truths, strict=True):
        canvas = np.ascontiguousarray(np.rint(planes[:3][::-1].transpose(1, 2, 0) * 255).astype(np.uint8))
        canvas = np.repeat(canvas, 3, 2) if canvas.shape[2] == 1 else canvas
        height, width = canvas.shape[:2]
        for x, y, w, h, label, _ in rows[rows[:, 0] > 0]:
            corners = [(int((x + s * w / 2) * width), int((y + s * h / 2) * height)) for s in (-1, 1)]
            cv2.rectangle(canvas, corners[0], corners[1], (0, 255, 0), 1)
            place = (corners[0][0], max(corners[0][1] - 2, 10))
            opencv.put_text(canvas, names[int(label)], place, 0.4, (0, 0, 255))
        tiles.append(canvas)
    columns = int(np.ceil(np.sqrt(len(tiles))))
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    save_image(path, np.vstack(rows))
