# SPDX-License-Identifier: Apache-2.0
"""Change a whole cfg: update dependent values together; comments and order stay.

All functions return a changed copy and leave their argument unchanged.
"""

from __future__ import annotations

from pydarknet.cfg.generate import check_size
from pydarknet.cfg.model import CfgFile, Section
from pydarknet.cfg.schedule import rescale
from pydarknet.cfg.shapes import walk
from pydarknet.errors import CfgError


def copy(cfg: CfgFile) -> CfgFile:
    """An independent copy; its lines are numbered again."""
    return CfgFile.parse(str(cfg), cfg.path)


def retune(
    cfg: CfgFile,
    *,
    batch: int | None = None,
    subdivisions: int | None = None,
    max_batches: int | None = None,
    classes: int | None = None,
    size: tuple[int, int] | None = None,
) -> CfgFile:
    """Change the training and everything that follows from the change.

    * ``batch``: the learning rate is scaled with it; the mini-batch does not grow unless
      ``subdivisions`` is given too.
    * ``max_batches``: ``steps`` keep their share of the training, see
      :func:`~pydarknet.cfg.schedule.rescale`; ``burn_in`` takes at most a quarter.
    * ``classes``: written into every head, and the filters before each head.
    * ``size``: (width, height) in pixels.

    Raises:
        CfgError: the batch is not divisible by the subdivisions, a value is not positive, or the size is not
            a multiple of the network's stride.
    """
    result = copy(cfg)
    net = result.net
    for name, value in (("batch", batch), ("subdivisions", subdivisions), ("max_batches", max_batches)):
        if value is not None and value < 1:
            raise CfgError(f"{name} is {value}, expected at least 1")
    if batch is not None or subdivisions is not None:
        _retune_batch(net, batch or net.integer("batch"), subdivisions)
    if max_batches is not None:
        _retune_length(net, max_batches)
    if classes is not None:
        _retune_classes(result, classes)
    if size is not None:
        check_size(cfg.path, size, walk(result).stride)
        net.set("width", size[0])
        net.set("height", size[1])
    return result


def _retune_batch(net: Section, batch: int, subdivisions: int | None) -> None:
    old = net.integer("batch")
    if old < 1:
        raise net.error("batch", f"found {old}, expected at least 1; correct it in the file")
    if subdivisions is None:
        mini = max(old // max(net.integer("subdivisions"), 1), 1)
        subdivisions = next(
            count for count in range(1, batch + 1) if not batch % count and batch // count <= mini
        )
    if batch % subdivisions:
        raise CfgError(f"batch {batch} is not divisible by subdivisions {subdivisions}")
    if batch != old:
        rate = net.number("learning_rate") * batch / old
        net.set("learning_rate", float(f"{rate:.3g}"))
    net.set("batch", batch)
    net.set("subdivisions", subdivisions)


def _retune_length(net: Section, max_batches: int) -> None:
    old = net.integer("max_batches")
    rescale(net, max_batches)
    if "sgdr_cycle" in net and old:
        net.set("sgdr_cycle", max(round(net.integer("sgdr_cycle") * max_batches / old), 1))
    if net.integer("burn_in") > max_batches // 4:
        net.set("burn_in", max_batches // 4)
    net.set("max_batches", max_batches)


def _retune_classes(cfg: CfgFile, classes: int) -> None:
    if classes < 1:
        raise CfgError(f"classes is {classes}, expected at least 1")
    for index, head in enumerate(cfg.layers):
        if head.type not in ("yolo", "Gaussian_yolo", "region"):
            continue
        above = cfg.layers[index - 1]
        if above.type != "convolutional":
            raise head.error("classes", f"stands below [{above.name}], expected a [convolutional] to resize")
        if "classes" in head and "counters_per_class" in head:
            head.remove("counters_per_class")
        head.set("classes", classes)
        above.set("filters", head_filters(head))


def head_filters(head: Section) -> int:
    """Channels that a head needs in front of it: (classes + 5)·anchors, 9 instead of 5 for Gaussian."""
    boxes = (
        head.integer("num") if head.type == "region" else len(head.integers("mask")) or head.integer("num")
    )
    box = head.integer("coords") + 1 if head.type == "region" else 9 if head.type == "Gaussian_yolo" else 5
    return (head.integer("classes") + box) * boxes
