# SPDX-License-Identifier: Apache-2.0
"""Memory that a network will need, computed from its cfg.

What its backend takes, the backend computes without taking it; what the process takes was measured once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

from pydarknet.cfg.model import CfgFile
from pydarknet.engine._core import memory_need
from pydarknet.engine.devices import is_gpu
from pydarknet.engine.handle import EngineOptions, MemoryNeed

_LARGEST_INT = 2**31 - 1  # of the engine
LARGEST = 1.4  # `random=1` enlarges width and height up to this


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes by purpose, of the memory that the backend computes in: on a GPU the plan's alone.

    Attributes:
        parameters: weights, biases and batch-norm statistics.
        plan: what the backend takes to compute: packed weights, outputs of the layers and, in training, their
            gradients, those of the weights, which carry the momentum, Adam's moments and the moving average;
            on a GPU the weights as well.
        images: images and labels that wait for their turn.
        process: Python, NumPy, OpenCV and the engine itself.
    """

    parameters: int
    plan: int
    images: int
    process: int

    @property
    def total(self) -> int:
        """All of it."""
        return sum(getattr(self, field.name) for field in fields(self))


FLOAT = 4
PROCESS = 47 * 2**20  # Python, NumPy, OpenCV and the engine with a network of one layer, measured
TRAINING_PROCESS = 60 * 2**20  # with the code that oneDNN generates for the backward pass, measured


def training_memory(
    cfg: CfgFile,
    batch: int | None = None,
    subdivisions: int | None = None,
    *,
    largest: bool = True,
    precision: str = "fp32",
    backend: str = "auto",
) -> Memory:
    """Peak memory of training, as the backend computes it for its plans.

    Args:
        cfg: the network.
        batch: images per update; ``[net] batch`` if None.
        subdivisions: parts of a batch; ``[net] subdivisions`` if None.
        largest: count the largest size that ``random=1`` may choose.
        precision: one of the backend, or ``auto``.
        backend: that computes.

    Raises:
        CfgError: the network is impossible, or the batch does not divide.
        FileError: a class tree of the cfg cannot be read.
        BackendError: there is no such backend here, or it lacks the precision.
    """
    batch = batch or cfg.net.integer("batch")
    parts = subdivisions or cfg.net.integer("subdivisions")
    found = training_by_subdivisions(
        cfg, batch, [parts], largest=largest, precision=precision, backend=backend
    )
    return next(found)[1]


def inference_memory(
    cfg: CfgFile, batch: int = 1, *, precision: str = "fp32", backend: str = "auto"
) -> Memory:
    """Peak memory of detection, as the backend computes it for its plans.

    Args:
        cfg: the network.
        batch: images at once.
        precision: one of the backend, or ``auto``.
        backend: that computes.

    Raises:
        CfgError: the network is impossible.
        FileError: a class tree of the cfg cannot be read.
        BackendError: there is no such backend here, or it lacks the precision.
    """
    options = EngineOptions(backend, precision, batch, strict=False)
    need = memory_need(str(cfg), cfg.path, options)
    return _memory(backend, need, images=0, process=PROCESS)


def smallest_subdivisions(
    cfg: CfgFile,
    limit: int,
    batch: int | None = None,
    *,
    precision: str = "fp32",
    backend: str = "auto",
    workers: int = 1,
) -> int | None:
    """Smallest number of subdivisions with which training fits into ``limit`` bytes, None if none does.

    Args:
        cfg: the network.
        limit: bytes.
        batch: images per update; ``[net] batch`` if None.
        precision: one of the backend, or ``auto``.
        backend: that computes.
        workers: that share the subdivisions, of which there must be a multiple.
    """
    batch = batch or cfg.net.integer("batch")
    counts = [parts for parts in range(workers, batch + 1, workers) if batch % parts == 0]
    needs = training_by_subdivisions(cfg, batch, counts, precision=precision, backend=backend)
    return next((parts for parts, need in needs if need.total <= limit), None)


def training_by_subdivisions(
    cfg: CfgFile,
    batch: int,
    counts: Iterable[int],
    *,
    largest: bool = True,
    precision: str = "fp32",
    backend: str = "auto",
) -> Iterator[tuple[int, Memory]]:
    """Numbers of subdivisions in turn, each with the peak memory of training; see :func:`training_memory`."""
    text, size = str(cfg), largest_size(cfg) if largest else _size(cfg)
    if max(size) > _LARGEST_INT:
        raise cfg.net.error("width", f"inputs of {size[0]}x{size[1]} exceed {_LARGEST_INT} pixels per side")
    if batch > _LARGEST_INT:
        raise cfg.net.error("batch", f"{batch} exceeds {_LARGEST_INT}")
    pixels = size[0] * size[1] * cfg.net.integer("channels")
    for parts in counts:
        if batch % parts:
            raise cfg.net.error("batch", f"{batch} is not divisible by {parts} subdivisions")
        mini = batch // parts
        options = EngineOptions(backend, precision, mini, strict=False)
        need = memory_need(text, cfg.path, options, size=size, training=True)
        images = mini * pixels * FLOAT + 2 * batch * pixels
        yield parts, _memory(backend, need, images, TRAINING_PROCESS)


def _memory(backend: str, need: MemoryNeed, images: int, process: int) -> Memory:
    if is_gpu(backend):
        return Memory(parameters=0, plan=need.plan, images=0, process=0)
    return Memory(need.parameters, need.plan, images, process)


def _size(cfg: CfgFile) -> tuple[int, int]:
    return cfg.net.integer("width"), cfg.net.integer("height")


def largest_size(cfg: CfgFile) -> tuple[int, int]:
    """Largest width and height that training uses: with ``random=1`` about 1.4 times those of ``[net]``."""
    net, heads = cfg.net, cfg.heads
    width, height = _size(cfg)
    random = heads[-1].number("random") if heads and "random" in heads[-1] else 0.0
    if not random:
        return width, height
    factor, step = LARGEST if random == 1 else random, max(int(net.number("resize_step")), 1)
    return round(factor * width / step + 1) * step, round(factor * height / step + 1) * step
