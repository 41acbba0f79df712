# SPDX-License-Identifier: Apache-2.0
"""Memory that a network will need, computed from its cfg.

A sum of named terms over the shape walk; not a measurement.  Every term is in bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from pydarknet.cfg.keys import HEADS
from pydarknet.cfg.model import CfgFile
from pydarknet.cfg.shapes import Walk, walk
from pydarknet.engine.precisions import bytes_per_value

FLOAT = 4
LARGEST = 1.4  # `random=1` enlarges width and height up to this


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes by purpose.

    Attributes:
        parameters: weights, biases and batch-norm statistics.
        packed: the weights once more, as the processor wants them, in the precision of the computation;
            in training for both directions, and their gradients likewise.
        updates: gradients, which carry the momentum; Adam's two moments; the moving average.
        outputs: outputs of the layers for one mini-batch.
        gradients: gradients of the outputs; buffers are reused as soon as they are free.
        saved: kept for the backward pass: outputs of the convolutions before batch norm.
        workspace: scratch memory for the largest layer.
        images: images and labels that wait for their turn.
        process: Python, NumPy, OpenCV and the engine itself.
    """

    parameters: int
    packed: int
    updates: int
    outputs: int
    gradients: int
    saved: int
    workspace: int
    images: int
    process: int

    @property
    def total(self) -> int:
        """All of it."""
        return sum(getattr(self, field.name) for field in fields(self))


PROCESS = 47 * 2**20  # Python, NumPy, OpenCV and the engine with a network of one layer, measured
TRAINING_PROCESS = 60 * 2**20  # with the code that oneDNN generates for the backward pass, measured


def training_memory(
    cfg: CfgFile,
    batch: int | None = None,
    subdivisions: int | None = None,
    *,
    largest: bool = True,
    precision: str = "fp32",
) -> Memory:
    """Peak memory of training on the cpu backend.

    Args:
        cfg: the network.
        batch: images per update; ``[net] batch`` if None.
        subdivisions: parts of a batch; ``[net] subdivisions`` if None.
        largest: count the largest size that ``random=1`` may choose.
        precision: one of ``PRECISIONS``; with ``bf16`` and ``fp16`` activations and packed weights take half.

    Raises:
        CfgError: the network is impossible, or the batch does not divide.
    """
    net = cfg.net
    batch = batch or net.integer("batch")
    subdivisions = subdivisions or net.integer("subdivisions")
    if batch % subdivisions:
        raise net.error("batch", f"{batch} is not divisible by {subdivisions} subdivisions")
    mini = batch // subdivisions
    nodes = walk(cfg, *largest_size(cfg)) if largest else walk(cfg)
    size = bytes_per_value(precision)
    outputs = sum(node.outputs for node in nodes) * mini * size
    trained = sum(count for node in nodes for name, count in node.arrays if "rolling" not in name)
    copies = 1 + 2 * (net.integer("adam") != 0) + (net.number("ema_alpha") != 0)
    return Memory(
        parameters=nodes.floats * FLOAT,
        packed=2 * nodes.floats * size + 2 * nodes.floats * FLOAT,
        updates=copies * trained * FLOAT,
        outputs=outputs,
        gradients=outputs // 2,
        saved=_normalized(nodes) * mini * size,
        workspace=0,
        images=2 * mini * nodes[0].inputs * FLOAT + 2 * batch * nodes[0].inputs,
        process=TRAINING_PROCESS,
    )


def inference_memory(cfg: CfgFile, batch: int = 1, precision: str = "fp32") -> Memory:
    """Peak memory of detection, with buffers that are reused as soon as they are free.

    Args:
        cfg: the network.
        batch: images at once.
        precision: one of ``PRECISIONS``; with ``bf16`` and ``fp16`` activations and packed weights take half.

    Raises:
        CfgError: the network is impossible.
    """
    nodes = walk(cfg)
    size = bytes_per_value(precision)
    largest = max((count for node in nodes for _, count in node.arrays), default=0)
    return Memory(
        parameters=nodes.floats * FLOAT,
        packed=nodes.floats * size,
        updates=0,
        outputs=_live(nodes) * batch * size,
        gradients=0,
        saved=0,
        workspace=largest * FLOAT,  # the weights of a layer on their way into the packed form
        images=batch * nodes[0].inputs * FLOAT if nodes else 0,
        process=PROCESS,
    )


def smallest_subdivisions(
    cfg: CfgFile, limit: int, batch: int | None = None, *, precision: str = "fp32"
) -> int | None:
    """Smallest number of subdivisions with which training fits into ``limit`` bytes, None if none does."""
    batch = batch or cfg.net.integer("batch")
    for parts in range(1, batch + 1):
        if batch % parts == 0 and training_memory(cfg, batch, parts, precision=precision).total <= limit:
            return parts
    return None


def largest_size(cfg: CfgFile) -> tuple[int, int]:
    """Largest width and height that training uses: with ``random=1`` about 1.4 times those of ``[net]``."""
    net, heads = cfg.net, cfg.heads
    width, height = net.integer("width"), net.integer("height")
    random = heads[-1].number("random") if heads and "random" in heads[-1] else 0.0
    if not random:
        return width, height
    factor, step = LARGEST if random == 1 else random, max(int(net.number("resize_step")), 1)
    return round(factor * width / step + 1) * step, round(factor * height / step + 1) * step


def _normalized(nodes: Walk) -> int:
    """Floats per image in front of batch norms."""
    return sum(
        node.outputs
        for node in nodes
        if node.type == "convolutional" and node.section.integer("batch_normalize")
    )


def _live(nodes: Walk) -> int:
    """Most floats per image that are needed at the same time."""
    last_use = {node.index: node.index + 1 for node in nodes}
    for node in nodes:
        for source in node.sources:
            last_use[source] = max(last_use[source], node.index)
        if node.type in HEADS:
            last_use[node.index] = len(nodes)
    peak = 0
    for node in nodes:
        live = sum(other.outputs for other in nodes[: node.index + 1] if last_use[other.index] >= node.index)
        peak = max(peak, live)
    return peak
