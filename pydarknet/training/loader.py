# SPDX-License-Identifier: Apache-2.0
"""Images on their way into the network: read, kept, varied, stacked, a few batches ahead of the training.

Which image a sample shows and how it is varied is a function of (seed, iteration, number in the batch) alone,
so neither the number of threads nor a restart changes anything.  Threads share this process's memory;
decoding and OpenCV let go of the interpreter lock.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from pydarknet.cfg.memory import available_memory
from pydarknet.data import Dataset, Sample, Status
from pydarknet.engine.images import Pixels, load
from pydarknet.errors import DataError
from pydarknet.system.atomic import replacing
from pydarknet.training import augment
from pydarknet.training import truth_boxes as truths
from pydarknet.training.augment import Recipe
from pydarknet.training.truth_boxes import Boxes

_log = logging.getLogger("pydarknet")

Size = tuple[int, int]

RAM_SHARE = 0.5  # of the free memory that cached images may take


@dataclass(frozen=True)
class Sets:
    """The images of a training.

    Attributes:
        names: of the classes.
        train: images to learn from; those without boxes are negatives.
        valid: images to measure on; may be empty.
        unlabelled: images left out because they have no label file.
    """

    names: tuple[str, ...]
    train: tuple[Sample, ...]
    valid: tuple[Sample, ...]
    unlabelled: tuple[Sample, ...]

    @classmethod
    def of(cls, dataset: Dataset, val_fraction: float | None = None, seed: int = 0) -> Sets:
        """Split a data set: what is neither validation nor test is for training.

        Args:
            dataset: all of it.
            val_fraction: share of the training images that is held out for validation.
            seed: of the choice of these.

        Raises:
            DataError: nothing is left to train on, or there are images for validation already.
        """
        known = [sample for sample in dataset if sample.status != Status.UNLABELLED]
        unlabelled = tuple(sample for sample in dataset if sample.status == Status.UNLABELLED)
        train = tuple(sample for sample in known if sample.split not in ("val", "test"))
        if not train:
            why = f"; {len(unlabelled)} images have no label file" if unlabelled else ""
            raise DataError(f"the data set has no images to train on{why}")
        valid = tuple(sample for sample in known if sample.split == "val")
        if val_fraction is not None:
            if valid:
                raise DataError(
                    f"the data set has {len(valid)} images for validation already; leave out --val-fraction"
                )
            train, valid = _held_out(train, val_fraction, seed)
        return cls(dataset.names, train, valid, unlabelled)

    def bytes(self, channels: int) -> int:
        """Memory that all images take, decoded."""
        return sum(sample.width * sample.height for sample in (*self.train, *self.valid)) * channels


def _held_out(
    train: tuple[Sample, ...], share: float, seed: int
) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """Part the images, each different file once; one that is listed twice is never on both sides."""
    files = sorted({str(sample.image) for sample in train})
    count = round(share * len(files))
    if not 0 < count < len(files):
        raise DataError(f"{share:g} of {len(files)} images leaves none for one of training and validation")
    chosen = {files[i] for i in np.random.default_rng(seed).permutation(len(files))[:count]}
    parts: tuple[list[Sample], list[Sample]] = [], []
    for sample in train:
        parts[str(sample.image) in chosen].append(sample)
    return tuple(parts[0]), tuple(parts[1])


def relative_boxes(sample: Sample) -> Boxes:
    """Boxes of a sample, (n, 5): x, y, w, h relative to the image, class; set-aside ones left out."""
    boxes, classes = sample.boxes[sample.target], sample.classes[sample.target]
    scaled = boxes / np.array([sample.width, sample.height] * 2, float)
    return truths.from_edges(list(scaled.T[[0, 2, 1, 3]]), classes.astype(float))


class Images:
    """Decoded images by number, kept if wanted; those that cannot be read are counted.

    Args:
        samples: the images with their boxes.
        channels: of the network.
        cache: ``none``, ``ram``, or ``disk``, which keeps them in ``folder``.
        folder: for the disk cache.
        limit: unreadable images that are put up with.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        channels: int,
        cache: str = "none",
        folder: Path | None = None,
        limit: int = 100,
    ) -> None:
        self.samples, self.channels, self.limit = samples, channels, limit
        self.bad: dict[str, str] = {}
        self._ram: dict[int, Pixels] | None = {} if cache == "ram" else None
        self._room = int((available_memory() or 0) * RAM_SHARE)
        self._folder = folder if cache == "disk" else None
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.samples)

    def boxes(self, index: int) -> Boxes:
        """Boxes of an image, see :func:`relative_boxes`."""
        return relative_boxes(self.samples[index])

    def pixels(self, index: int) -> Pixels | None:
        """An image, uint8 (h, w, channels), blue first; None if it cannot be read.

        Raises:
            DataError: more images than allowed cannot be read.
        """
        if self._ram is not None and index in self._ram:
            return self._ram[index]
        path = self.samples[index].image
        if str(path) in self.bad:
            return None
        try:
            found = self._stored(index) if self._folder else self._decoded(path)
        except DataError as error:
            self._note(str(path), str(error))
            return None
        if self._ram is not None and found.nbytes <= self._room:
            self._room -= found.nbytes
            self._ram[index] = found
        return found

    def _decoded(self, path: Path) -> Pixels:
        pixels = load(path, self.channels)
        if pixels.dtype == np.uint16:
            pixels = (pixels >> 8).astype(np.uint8)
        return np.ascontiguousarray(pixels)

    def _stored(self, index: int) -> Pixels:
        """From the disk cache, which holds whole files only and is made anew if an image is newer."""
        assert self._folder is not None
        image, place = self.samples[index].image, self._folder / f"{index}.npy"
        with suppress(OSError, ValueError):
            if place.stat().st_mtime >= image.stat().st_mtime:
                return np.asarray(np.load(place, mmap_mode="r"))
        pixels = self._decoded(image)
        with replacing(place) as temporary:
            np.save(temporary, pixels)
        return pixels

    def _note(self, path: str, reason: str) -> None:
        with self._lock:
            if path not in self.bad:
                self.bad[path] = reason
                _log.warning("image left out: %s", reason)
            if len(self.bad) > self.limit or len(self.bad) == len(self):
                raise DataError(
                    f"{len(self.bad)} of {len(self)} images cannot be read, the limit is {self.limit}; "
                    f"the last: {reason}"
                )


@dataclass(frozen=True)
class Batch:
    """One mini-batch.

    Attributes:
        images: float32 (n, channels, height, width), 0..1, red first.
        truths: float32 (n, max_boxes, 6).
        paths: the images that each sample was made of.
    """

    images: npt.NDArray[np.float32]
    truths: npt.NDArray[np.float32]
    paths: tuple[tuple[str, ...], ...]


def generator(seed: int, iteration: int, number: int) -> np.random.Generator:
    """The random numbers of one sample: a stream of their own for each (seed, iteration, number)."""
    return np.random.Generator(np.random.Philox(key=[seed, iteration], counter=[0, 0, 0, number]))


def sample(
    images: Images, recipe: Recipe, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float32], Boxes, tuple[str, ...]]:
    """One augmented sample, drawn with replacement as Darknet draws; and the images it is made of."""
    used: list[str] = []

    def draw(rng: np.random.Generator) -> tuple[Pixels, Boxes]:
        while True:
            index = int(rng.integers(len(images)))
            pixels = images.pixels(index)
            if pixels is not None:
                used.append(str(images.samples[index].image))
                return pixels, images.boxes(index)

    planes, boxes = augment.sample(draw, rng, recipe)
    return planes, boxes, tuple(used)


class Loader:
    """Mini-batches of one iteration after the other, prepared in threads ahead of time.

    Args:
        images: to draw from.
        recipe: of the augmentation; its size is replaced by ``size_of``.
        batch: images per iteration.
        subdivisions: mini-batches per iteration.
        seed: of everything random.
        workers: threads.
        size_of: input (width, height) of an iteration, for ``random=1``.
    """

    def __init__(
        self,
        images: Images,
        recipe: Recipe,
        batch: int,
        subdivisions: int,
        seed: int,
        workers: int,
        size_of: Callable[[int], Size],
    ) -> None:
        self.images, self.recipe, self.seed, self.size_of = images, recipe, seed, size_of
        self.mini, self.parts = batch // subdivisions, subdivisions
        self._threads = cv2.getNumThreads()
        cv2.setNumThreads(1)  # the workers are the threads; OpenCV's own would get in their way
        self._pool = ThreadPoolExecutor(workers, "pydarknet-loader")
        self._ahead = max(2, -(-2 * workers // self.mini))
        self._queue: deque[tuple[Batch, list[Future[tuple[str, ...]]]]] = deque()

    def close(self) -> None:
        """End the threads; what they were preparing is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        cv2.setNumThreads(self._threads)

    def batches(self, iteration: int, end: int) -> Iterator[Batch]:
        """The mini-batches of the iterations from ``iteration`` up to, not including, ``end``.

        Raises:
            DataError: too many images cannot be read.
        """
        for number in range(iteration, end):
            for part in range(self.parts):
                self._queue.append(self._begin(number, part))
                if len(self._queue) > self._ahead:
                    yield self._finished()
        while self._queue:
            yield self._finished()

    def first(self, iteration: int) -> Batch:
        """The first mini-batch of one iteration, out of turn."""
        batch, futures = self._begin(iteration, 0)
        return replace(batch, paths=tuple(future.result() for future in futures))

    def _begin(self, iteration: int, part: int) -> tuple[Batch, list[Future[tuple[str, ...]]]]:
        width, height = self.size_of(iteration)
        recipe = replace(self.recipe, width=width, height=height)
        images = np.empty((self.mini, recipe.channels, height, width), np.float32)
        table = np.empty((self.mini, recipe.max_boxes, truths.FIELDS), np.float32)

        def fill(slot: int) -> tuple[str, ...]:
            rng = generator(self.seed, iteration, part * self.mini + slot)
            images[slot], boxes, used = sample(self.images, recipe, rng)
            table[slot] = truths.packed(boxes, recipe.max_boxes)
            return used

        return Batch(images, table, ()), [self._pool.submit(fill, slot) for slot in range(self.mini)]

    def _finished(self) -> Batch:
        batch, futures = self._queue.popleft()
        return replace(batch, paths=tuple(future.result() for future in futures))


def network_size(
    cfg_size: Size, random: float, step: int, max_batches: int, seed: int
) -> Callable[[int], Size]:
    """Input size by iteration: with ``random`` another one every 10, the largest at first and at the end.

    The largest first means that memory which suffices once suffices always.

    Args:
        cfg_size: width and height of the cfg.
        random: of the last head; 1 stands for factors up to 1.4.
        step: sizes are multiples of it.
        max_batches: length of the training.
        seed: of the choice.
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
        rng = generator(seed, iteration // 10, 2**32)  # a number that no sample has
        factor = augment.rand_scale(rng, limit)
        found = scaled(factor)
        return cfg_size if factor < 1 and (found[0] > cfg_size[0] or found[1] > cfg_size[1]) else found

    return size


def draw_boxes(batch: Batch, names: Sequence[str], path: Path) -> None:
    """Write a mini-batch as one picture, its boxes drawn: what the network is shown."""
    tiles = []
    for planes, rows in zip(batch.images, batch.truths, strict=True):
        canvas = np.ascontiguousarray(np.rint(planes[:3][::-1].transpose(1, 2, 0) * 255).astype(np.uint8))
        canvas = np.repeat(canvas, 3, 2) if canvas.shape[2] == 1 else canvas
        height, width = canvas.shape[:2]
        for x, y, w, h, label, _ in rows[rows[:, 0] > 0]:
            corners = [(int((x + s * w / 2) * width), int((y + s * h / 2) * height)) for s in (-1, 1)]
            cv2.rectangle(canvas, corners[0], corners[1], (0, 255, 0), 1)
            place = (corners[0][0], max(corners[0][1] - 2, 10))
            cv2.putText(canvas, names[int(label)], place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 255), 1)
        tiles.append(canvas)
    columns = int(np.ceil(np.sqrt(len(tiles))))
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    with replacing(path) as temporary:
        cv2.imwrite(str(temporary), np.vstack(rows))
