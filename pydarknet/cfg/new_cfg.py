# SPDX-License-Identifier: Apache-2.0
"""Create a cfg for a request (``pydarknet cfg new``) from the data, the free memory and the time.

``generate.new`` only computes; the decisions that need files or the machine are made here, and each
is reported in a note.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pydarknet.cfg.families import Family, family
from pydarknet.cfg.generate import Anchors, new, training_length
from pydarknet.cfg.memory import smallest_subdivisions
from pydarknet.cfg.model import CfgFile, Value
from pydarknet.engine.memory import free_memory
from pydarknet.errors import CfgError
from pydarknet.system.memory import gib

if TYPE_CHECKING:
    from pydarknet.data import Dataset


BACKWARD = 2  # cost of the backward pass in forward passes


@dataclass(frozen=True)
class Request:
    """The options of ``pydarknet cfg new``; None: chosen automatically.

    Attributes:
        model: name of the family.
        classes: number of classes; from ``data`` if None.
        size: input (width, height) in pixels; the published one if None.
        data: data set in any format that :func:`pydarknet.data.read` knows.
        images: number of training images; from ``data`` if None.
        batch: images per weight update.
        subdivisions: a number, ``published``, or ``auto`` for the fewest that fit into memory.
        memory: bytes for ``subdivisions="auto"``; the free memory if None.
        anchors: ``published``, ``auto``, or the path of a file.
        augment: ``none``, ``low``, ``med`` or ``high``; published settings if None.
        max_batches: iterations; by rule if None.
        fit_hours: shorten the training to this time.
        sec_per_iter: seconds that one iteration takes; estimated by running the network if None.
        settings: other values by ``key`` or ``section.key``.
    """

    model: str
    classes: int | None = None
    size: tuple[int, int] | None = None
    data: Path | None = None
    images: int | None = None
    batch: int = 64
    subdivisions: str = "published"
    memory: int | None = None
    anchors: str = "published"
    augment: str | None = None
    max_batches: int | None = None
    fit_hours: float | None = None
    sec_per_iter: float | None = None
    settings: dict[str, Value] = field(default_factory=dict)


def make(request: Request) -> tuple[CfgFile, list[str]]:
    """The cfg for a request, and notes on the decisions.

    Raises:
        CfgError: the request contradicts itself or does not fit the family.
        DataError: the data set cannot be read.
    """
    plan = family(request.model)
    size = request.size or (plan.size, plan.size)
    notes = _size_notes(plan, size)
    dataset = _training_part(request.data) if request.data else None
    classes = request.classes or (len(dataset.names) if dataset else 0)
    if not classes:
        raise CfgError("the number of classes is not known; give --classes or --data")
    if dataset and classes != len(dataset.names):
        raise CfgError(f"--classes is {classes}, but {request.data} has {len(dataset.names)} class names")
    images = request.images or (len(dataset) if dataset else None)
    anchors = _anchors(request, plan, size, dataset, notes)
    length = request.max_batches or training_length(classes, images)

    def build(subdivisions: int | None, length: int = length) -> CfgFile:
        return new(
            request.model,
            classes,
            size,
            batch=request.batch,
            subdivisions=subdivisions,
            max_batches=length,
            anchors=anchors,
            augment=request.augment,
            settings=request.settings,
        )

    subdivisions = _subdivisions(request, build, notes)
    cfg = build(subdivisions)
    if request.fit_hours:
        cfg = build(subdivisions, _fit(request, cfg, length, notes))
    if plan.pretrained:
        file, layers = plan.pretrained
        notes.append(
            f"pre-trained for --weights: {file} (the first {layers} layers; pydarknet weights get {file})"
        )
    return cfg, notes


def _training_part(path: Path) -> Dataset:
    from pydarknet.data import read

    dataset = read(path)
    return dataset.only("train") if "train" in dataset.splits else dataset


def _size_notes(plan: Family, size: tuple[int, int]) -> list[str]:
    """A hint if the size is far from the one that the family was made for."""
    factor = max(size) / plan.size
    if 0.5 <= factor <= 1.5:
        return []
    suited = ("yolov4-p5", "yolov4-p6") if factor > 1 else ("yolov4-tiny",)
    names = " and ".join(name for name in suited if name != plan.name)
    verb = "are" if " and " in names else "is"
    better = f"; {names} {verb} made for {'large images' if factor > 1 else 'small ones'}" if names else ""
    return [
        f"hint: {plan.name} was published for {plan.size}×{plan.size}, "
        f"{factor:.2g} times that is far off{better}"
    ]


def _anchors(
    request: Request, plan: Family, size: tuple[int, int], dataset: Dataset | None, notes: list[str]
) -> Anchors | None:
    """None for the published anchors."""
    from pydarknet.cfg import anchors

    scale = (size[0] / plan.size, size[1] / plan.size)
    if request.anchors == "published":
        largest = max(plan.anchors, key=lambda pair: pair[0] * pair[1])
        if largest[0] > size[0] or largest[1] > size[1]:
            notes.append(
                f"hint: anchors up to {largest[0]}×{largest[1]} are larger than the input; "
                "--anchors auto adapts them (keep them to use fully trained weights)"
            )
        return None
    if request.anchors != "auto":
        pairs = anchors.read(Path(request.anchors))
        return sorted(pairs, key=lambda pair: pair[0] * pair[1])
    scaled = [(max(round(w * scale[0]), 1), max(round(h * scale[1]), 1)) for w, h in plan.anchors]
    if dataset is None:
        notes.append(f"anchors: the published ones, scaled from {plan.size} pixels")
        return scaled if scale != (1, 1) else None
    boxes = anchors.sizes_of(dataset, *size, letter_box=bool(plan.net.get("letter_box")))
    found = anchors.kmeans(boxes, len(plan.anchors))
    new_fit, old_fit = anchors.judge(boxes, found.anchors), anchors.judge(boxes, plan.anchors)
    notes.append(f"anchors: {anchors.recommend(new_fit, old_fit)}")
    if not anchors.worthwhile(new_fit, old_fit):
        return None
    return [(round(w), round(h)) for w, h in found.anchors]


def _fit(request: Request, cfg: CfgFile, length: int, notes: list[str]) -> int:
    """The longest training that fits into the hours, at most ``length`` iterations."""
    assert request.fit_hours
    seconds = request.sec_per_iter
    if seconds is None:
        seconds = estimated_seconds(cfg)
        notes.append(f"an iteration takes about {seconds:.3g} s here: {BACKWARD + 1} times a forward pass")
    possible = int(request.fit_hours * 3600 / seconds)
    if possible >= length:
        notes.append(f"{length} iterations take {length * seconds / 3600:.1f} hours")
        return length
    if possible < 1:
        raise CfgError(f"not one iteration of {seconds:.4g} s fits into {request.fit_hours:g} hours")
    notes.append(f"shortened from {length} to {possible} iterations, {possible * request.batch} images")
    return possible


def estimated_seconds(cfg: CfgFile) -> float:
    """Seconds per training iteration, from a measured forward pass: the backward pass costs twice as much.

    Loading and augmenting images is not counted.
    """
    from pydarknet.engine.network import Network

    with Network.parse(str(cfg)) as network:
        image = np.zeros((1, *network.layers[0].in_shape), np.float32)
        network.predict(image)
        times = []
        for _ in range(3):
            start = time.perf_counter()
            network.predict(image)
            times.append(time.perf_counter() - start)
    return min(times) * (1 + BACKWARD) * cfg.net.integer("batch")


def _subdivisions(request: Request, build: Callable[[int | None], CfgFile], notes: list[str]) -> int | None:
    if request.subdivisions == "published":
        return None
    if request.subdivisions != "auto":
        if not request.subdivisions.isdigit():
            raise CfgError(f"subdivisions is {request.subdivisions!r}, expected a number, published or auto")
        return int(request.subdivisions)
    limit = request.memory or free_memory()
    if limit is None:
        raise CfgError("the free memory of this system is unknown; set --memory, for example 6G")
    found = smallest_subdivisions(build(1), limit, request.batch)
    if found is None:
        raise CfgError(f"not even one image at a time fits into {gib(limit)}; take a smaller model or size")
    notes.append(f"subdivisions: {found}, the smallest number that fits into {gib(limit)}")
    return found
