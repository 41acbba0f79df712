# SPDX-License-Identifier: Apache-2.0
"""Make a cfg from a family and a few numbers: classes, size, images, batch.

Everything that follows from them is computed: filters before the heads, the length of the training
and its steps, the learning rate for the batch, the anchors of each head.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydarknet.cfg import keys
from pydarknet.cfg.families import Drawing, Family, family
from pydarknet.cfg.model import CfgFile, Value
from pydarknet.errors import CfgError

USUAL_STRIDE = 32  # of nearly all published networks
BATCH = 64  # images per update with which all families were published

Anchors = Sequence[tuple[float, float]]

# How strongly images are varied while training; None leaves a head's published value.
AUGMENT: dict[str, dict[str, dict[str, Value]]] = {
    "none": {
        "net": {"saturation": 1, "exposure": 1, "hue": 0, "flip": 0, "mosaic": 0},
        "yolo": {"jitter": 0, "resize": 1, "random": 0},
    },
    "low": {
        "net": {"saturation": 1.2, "exposure": 1.2, "hue": 0.02, "flip": 1, "mosaic": 0},
        "yolo": {"jitter": 0.1, "resize": 1, "random": 0},
    },
    "med": {
        "net": {"saturation": 1.5, "exposure": 1.5, "hue": 0.1, "flip": 1, "mosaic": 0},
        "yolo": {"jitter": 0.2, "resize": 1.2, "random": 0},
    },
    "high": {
        "net": {"saturation": 1.5, "exposure": 1.5, "hue": 0.1, "flip": 1, "mosaic": 1},
        "yolo": {"jitter": 0.3, "resize": 1.5, "random": 1},
    },
}


def new(  # noqa: PLR0913  one argument for each thing that a user decides
    model: str,
    classes: int = 80,
    size: int | tuple[int, int] | None = None,
    *,
    images: int | None = None,
    batch: int = BATCH,
    subdivisions: int | None = None,
    max_batches: int | None = None,
    anchors: Anchors | None = None,
    augment: str | None = None,
    settings: dict[str, Value] | None = None,
) -> CfgFile:
    """A complete cfg for a family.

    Args:
        model: name of the family, for example ``"yolov4-tiny"``.
        classes: number of classes.
        size: input size in pixels, one number or (width, height); the published one if None.
        images: number of training images, which may lengthen the training.
        batch: images per weight update; the published learning rate is scaled with it.
        subdivisions: parts that a batch is cut into; the published number if None.
        max_batches: length of the training in iterations; by rule if None.
        anchors: (width, height) pairs in pixels, the same number for every head; published ones if None.
        augment: ``none``, ``low``, ``med`` or ``high``; published settings if None.
        settings: further values, ``{"momentum": 0.9}`` for ``[net]`` or ``{"yolo.ignore_thresh": 0.6}``.

    Raises:
        CfgError: a value does not fit the family or a key is unknown.
    """
    plan = family(model)
    width, height = _size(plan, size)
    if classes < 1:
        raise CfgError(f"{model}: classes is {classes}, expected at least 1")
    subdivisions = subdivisions or min(plan.subdivisions, batch)
    if batch < 1 or batch % subdivisions:
        raise CfgError(f"{model}: batch {batch} is not divisible by subdivisions {subdivisions}")
    iterations = max_batches or training_length(classes, images)

    cfg = CfgFile(f"{model}.cfg")
    net = cfg.add("net", f"{model}: {classes} classes, {width}×{height}\n{plan.source}")
    for key, value in {
        "batch": batch,
        "subdivisions": subdivisions,
        "width": width,
        "height": height,
        "channels": 3,
        "momentum": plan.momentum,
        "decay": 0.0005,
        "saturation": 1.5,
        "exposure": 1.5,
        "hue": 0.1,
        **plan.net,
        **schedule(iterations, plan.learning_rate * batch / BATCH),
    }.items():
        net.set(key, value)
    masks = plan.masks if anchors is None else split_masks(len(anchors), plan.head_strides)
    plan.draw(Drawing(cfg, classes, plan.anchors if anchors is None else anchors, masks, plan.head))
    if augment is not None:
        _augment(cfg, augment)
    for name, value in (settings or {}).items():
        apply_setting(cfg, name, value)
    random = any(head.number("random", 0.0) for head in cfg.heads)
    if random and "resize_step" not in net and net.integer("resize_step") % plan.stride:
        net.set("resize_step", plan.stride)
    return CfgFile.parse(str(cfg), cfg.path)


def training_length(classes: int, images: int | None = None) -> int:
    """Iterations to train for: 2000 for each class, one for each image, 6000 at least."""
    return max(2000 * classes, images or 0, 6000)


def schedule(iterations: int, learning_rate: float) -> dict[str, Value]:
    """``[net]`` keys of a training of that length: rate ÷ 10 at 80 % and at 90 %, a burn-in before.

    The burn-in takes 1000 iterations, in short trainings a quarter of them.  Of fewer than ten iterations
    both steps may be one, which then divides by 100; a single iteration has none.
    """
    values: dict[str, Value] = {
        "learning_rate": float(f"{learning_rate:.6g}"),
        "burn_in": min(1000, iterations // 4),
        "max_batches": iterations,
    }
    steps = sorted({iterations * 8 // 10, iterations * 9 // 10} - {0})
    if not steps:
        return {**values, "policy": "constant"}
    return {**values, "policy": "steps", "steps": steps, "scales": [0.1, 0.1] if len(steps) > 1 else [0.01]}


def split_masks(count: int, strides: Sequence[int]) -> list[list[int]]:
    """Deal sorted anchors out to the heads: the smallest to the head with the smallest stride.

    Args:
        count: number of anchors; they must be sorted by area.
        strides: stride of each head in the order of the file.

    Raises:
        CfgError: the anchors do not divide among the heads.
    """
    if count < 1 or count % len(strides):
        raise CfgError(f"{count} anchors cannot be divided among {len(strides)} heads")
    each = count // len(strides)
    rank = {stride: place for place, stride in enumerate(sorted(strides))}
    return [list(range(rank[stride] * each, (rank[stride] + 1) * each)) for stride in strides]


def apply_setting(cfg: CfgFile, name: str, value: Value) -> None:
    """Set ``key`` of ``[net]``, or ``section.key`` of every such section.

    Raises:
        CfgError: there is no such section or key; the message gives the closest.
    """
    section_name, _, key = name.rpartition(".")
    sections = [section for section in cfg.sections if section.type == keys.canonical(section_name or "net")]
    if not sections:
        raise CfgError(f"setting {name!r}: the network has no [{section_name}]")
    if keys.lookup(sections[0].type, key) is None:
        close = keys.suggest(sections[0].type, key)
        other = next((s.type for s in cfg.sections if not section_name and keys.lookup(s.type, key)), "")
        hint = f"; did you mean {f'{other}.{key}' if other else close!r}?" if other or close else ""
        raise CfgError(f"setting {name!r}: [{sections[0].name}] has no key {key!r}{hint}")
    for section in sections:
        section.set(key, value)


def _size(plan: Family, size: int | tuple[int, int] | None) -> tuple[int, int]:
    width, height = (size, size) if isinstance(size, int) else size or (plan.size, plan.size)
    check_size(plan.name, (width, height), plan.stride)
    return width, height


def check_size(name: str, size: tuple[int, int], stride: int) -> None:
    """Refuse an input size that the network cannot take.

    Args:
        name: of the network, for the message.
        size: (width, height) in pixels.
        stride: both must be multiples of it.

    Raises:
        CfgError: one is not; the message names the nearest that are.
    """
    for side, pixels in zip(("width", "height"), size, strict=True):
        below = pixels // stride * stride
        if pixels < stride or below != pixels:
            nearest = f"{below} or {below + stride}" if below else str(stride)
            raise CfgError(f"{name}: {side} {pixels} is not a multiple of {stride}; take {nearest}")


def _augment(cfg: CfgFile, level: str) -> None:
    if level not in AUGMENT:
        raise CfgError(f"augment is {level!r}, expected one of {', '.join(AUGMENT)}")
    for section, values in AUGMENT[level].items():
        for key, value in values.items():
            if key == "mosaic" and cfg.net.integer("letter_box"):
                continue  # Darknet refuses to train with both
            apply_setting(cfg, f"{section}.{key}", value)
