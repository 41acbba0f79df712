# SPDX-License-Identifier: Apache-2.0
"""Rules about the network and its settings: keys, sizes, heads, batch, augmentation."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from pydarknet.cfg import FAMILIES, new
from pydarknet.cfg.edit import head_filters
from pydarknet.cfg.memory import LARGEST, smallest_subdivisions, training_memory
from pydarknet.cfg.model import Section
from pydarknet.cfg.trainable import random_head, size_grid
from pydarknet.check.catalogue import ERROR, NOTE, WARNING, Found, at, rule
from pydarknet.check.inputs import Inputs
from pydarknet.engine.memory import free_memory
from pydarknet.system.launcher import launched
from pydarknet.system.memory import gib


@rule("L-00", ERROR, "the network is not valid", "Fix that line; `pydarknet cfg show` helps.")
def possible(inputs: Inputs) -> Iterator[Found]:
    """The engine, which reads the cfg as a training does, or the start of the training refuses the network.
    What another rule reports for the same line is not repeated."""
    for problem in inputs.problems:
        place = problem.where.partition(" ")[2]
        text = f"{place} {problem.message}".strip()
        yield Found(text, inputs.cfg.path, problem.line)


@rule("L-39", ERROR, "random sizes do not fit the stride", "Set resize_step to the stride.")
def sizes_fit_stride(inputs: Inputs) -> Iterator[Found]:
    """With random=1 a training draws input sizes that are multiples of resize_step (32 by default).  They
    must be multiples of the network's stride, which is 64 in yolov4-p6."""
    head = random_head(inputs.cfg)
    step, stride = size_grid(inputs.cfg)
    if head is not None and step % stride:
        text = f"random={head.get('random')} draws sizes on a grid of {step}, the stride is {stride}"
        yield at(inputs.net, "resize_step", text, str(-(-step // stride) * stride))


@rule("L-02", ERROR, "batch is not divisible by subdivisions", "Choose subdivisions that divide batch.")
def batch_divides(inputs: Inputs) -> Iterator[Found]:
    """A batch is split into equal parts; a remainder would silently be dropped."""
    batch, subdivisions = inputs.net.integer("batch"), inputs.net.integer("subdivisions")
    if subdivisions < 1 or batch % subdivisions:
        below = [n for n in range(1, max(batch, 1) + 1) if batch % n == 0]
        nearest = min(below, key=lambda n: abs(n - subdivisions))
        text = f"batch {batch} is not divisible by subdivisions {subdivisions}"
        yield at(inputs.net, "subdivisions", text, str(nearest))


@rule("L-03", ERROR, "input size is not a multiple of the network's stride", "Use the nearest multiple.")
def size_fits_stride(inputs: Inputs) -> Iterator[Found]:
    """The cells of the heads must tile the input; otherwise layers that are joined differ in size."""
    for side in ("width", "height"):
        pixels = inputs.net.integer(side)
        if pixels > 0 and pixels % inputs.stride:
            nearest = max(round(pixels / inputs.stride), 1) * inputs.stride
            text = f"{side} {pixels} is not a multiple of {inputs.stride}"
            yield at(inputs.net, side, text, str(nearest))


def _wrong_filters(inputs: Inputs) -> Iterator[tuple[Section, Section, int]]:
    """(head, convolution before it, required filters) where they differ."""
    for index, head in enumerate(inputs.cfg.layers):
        if head.type not in ("yolo", "Gaussian_yolo", "region") or not index:
            continue
        above = inputs.cfg.layers[index - 1]
        if above.type == "convolutional" and above.integer("filters") != head_filters(head):
            yield head, above, head_filters(head)


@rule("L-04", ERROR, "filters before a head do not fit", "Set filters = (classes + 5) · number of masks.")
def filters_fit_heads(inputs: Inputs) -> Iterator[Found]:
    """Each anchor of a head needs 4 box values, 1 objectness and one value for each class."""
    for head, above, needed in _wrong_filters(inputs):
        boxes = len(head.integers("mask")) or head.integer("num")
        classes = head.integer("classes")
        text = (
            f"filters is {above.get('filters')}, but the [{head.name}] in line {head.line} needs {needed} = "
            f"({classes} classes + {needed // boxes - classes}) · {boxes} masks"
        )
        yield at(above, "filters", text, str(needed))


def _normalized(inputs: Inputs) -> bool:
    return any(section.integer("batch_normalize", 0) for section in inputs.cfg.layers)


@rule(
    "L-11",
    WARNING,
    "mini-batch of one image with batch normalization",
    "Lower subdivisions as far as memory allows.",
)
def mini_batch_is_not_one(inputs: Inputs) -> Iterator[Found]:
    """Statistics of a single image are unreliable: accuracy suffers, and nan is more likely."""
    batch, subdivisions = inputs.net.integer("batch"), inputs.net.integer("subdivisions")
    if inputs.trains and subdivisions > 1 and batch // subdivisions == 1 and _normalized(inputs):
        text = f"mini-batch is {batch}/{subdivisions} = 1 image, and the network has batch normalization"
        yield at(inputs.net, "subdivisions", text, f"at most {batch // 2}")


@rule("L-12", WARNING, "small effective batch", "Use batch=64; raise subdivisions if memory is short.")
def batch_is_large_enough(inputs: Inputs) -> Iterator[Found]:
    """Gradients of few images are noise.  Darknet's detector refuses to train with a batch of 1."""
    batch = inputs.net.integer("batch")
    if inputs.trains and batch < 8:
        text = f"batch is {batch}: each update sees only {batch} image{'s' if batch > 1 else ''}"
        yield at(inputs.net, "batch", text, "64", ERROR if batch <= 1 else None)


@rule(
    "L-14", WARNING, "training may run out of memory", "Raise subdivisions, lower the size, or set random=0."
)
def memory_suffices(inputs: Inputs) -> Iterator[Found]:
    """The largest training size must fit into the free memory.  With random=1 that is 1.4
    times the size of the cfg: a run that starts well may end minutes later.  An error if the size of the cfg
    is too much already."""
    kind, backend = inputs.run.precision, inputs.run.backend
    limit = inputs.run.memory or free_memory(backend)
    if not (limit and inputs.heads and inputs.trains and inputs.sound):
        return
    peak, usual = (
        training_memory(inputs.cfg, largest=largest, precision=kind, backend=backend).total
        for largest in (True, False)
    )
    if peak <= limit:
        return
    growth = f"random=1: training at {LARGEST:g} times the size" if peak > usual else "training"
    text = f"{growth} takes about {gib(peak)}, {gib(limit)} are free"
    parts = smallest_subdivisions(inputs.cfg, limit, precision=kind, backend=backend, workers=launched())
    hint = f"Set subdivisions={parts} or more, lower the size, or set random=0." if parts else ""
    random = next((head for head in inputs.cfg.heads if head.number("random", 0)), None)
    section, key = (random, "random") if random is not None else (inputs.net, "subdivisions")
    severity = ERROR if usual > limit else WARNING
    yield at(section, key, text, f"at most {gib(limit)}", severity, hint)


# (key, other key, consequence, severity)
_REJECTED = (
    ("letter_box", "mosaic", "training with both is refused, as in Darknet", ERROR),
    ("cutmix", "mosaic", "a detector uses mosaic only", WARNING),
    ("mixup", "mosaic", "mosaic is used and mixup ignored", WARNING),
)
_MIXUP_CUTMIX, _MIXUP_BOTH = 2, 4  # values of mixup


@rule("L-34", WARNING, "settings that exclude each other", "Switch one of them off.")
def compatible_settings(inputs: Inputs) -> Iterator[Found]:
    """Combinations that are refused, which is an error, or silently reduced to one of the two."""
    net = inputs.net
    for key, other, outcome, severity in _REJECTED:
        if net.integer(key) and net.integer(other):
            yield at(net, key, f"{key} and {other} are both on: {outcome}", severity=severity)
    alone = not net.integer("cutmix") and not net.integer("mosaic") and bool(inputs.cfg.heads)
    if net.integer("cutmix") and not net.integer("mosaic") and inputs.cfg.heads:
        yield at(net, "cutmix", "cutmix is for classifiers; a detector trains without it", "mosaic=1")
    if alone and net.integer("mixup") == _MIXUP_CUTMIX:
        yield at(
            net,
            "mixup",
            "mixup=2 is cutmix, which is for classifiers; a detector trains without it",
            "mosaic=1",
        )
    if alone and net.integer("mixup") == _MIXUP_BOTH:
        yield at(net, "mixup", "mixup=4 is mosaic and cutmix; a detector uses mosaic only", "mosaic=1")
    mini = net.integer("batch") // max(net.integer("subdivisions"), 1)
    if net.integer("contrastive") and mini < 2:
        text = f"contrastive needs a mini-batch of at least 2, found {mini}"
        yield at(net, "contrastive", text, severity=ERROR)


@rule(
    "L-35", NOTE, "input size far from the published one", "Choose another model, or retrain from the start."
)
def size_near_published(inputs: Inputs) -> Iterator[Found]:
    """Anchors and weights of a family suit the sizes that it was trained with (with random=1 those are
    1/1.4 to 1.4 times the published size); beyond 1.5 times these they do not fit."""
    width = inputs.net.integer("width")
    types = tuple(node.type for node in inputs.nodes)
    for name, plan in FAMILIES.items():
        layers, spread = _published(name)
        low, high = plan.size / spread * 0.5, plan.size * spread * 1.5
        if layers == types and not low <= width <= high:
            text = f"width {width} is far from the {plan.size} of the published {name}"
            yield at(inputs.net, "width", text, f"{low:.0f} … {high:.0f}")
            return


@lru_cache(maxsize=64)
def _published(family: str) -> tuple[tuple[str, ...], float]:
    """Types of the layers of a family, and how far its training size varied from the published size."""
    cfg = new(family)
    random = any(head.number("random", 0) for head in cfg.heads)
    return tuple(section.type for section in cfg.layers), LARGEST if random else 1.0
