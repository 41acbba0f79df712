# SPDX-License-Identifier: Apache-2.0
"""From settings to a network that can be trained: the effective cfg, its length, the first weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from pydarknet.cfg import CfgFile, walk
from pydarknet.cfg.generate import apply_setting, check_size
from pydarknet.cfg.memory import smallest_subdivisions
from pydarknet.engine.memory import free_memory
from pydarknet.engine.names import names_beside
from pydarknet.engine.network import Network
from pydarknet.errors import ArgumentError, CfgError, DataError, WeightsError
from pydarknet.runs.config import TrainConfig
from pydarknet.weights import file as weights_file
from pydarknet.weights import fit
from pydarknet.weights.surgery import Transplant, classes_of, donor, transplant

Say = Callable[[str], None]

MEMORY_SHARE = 0.8  # of the free memory that subdivisions=auto makes use of


def effective_cfg(config: TrainConfig, images: int, say: Say) -> CfgFile:
    """The cfg with the settings of the user written into it.

    Args:
        config: the settings.
        images: to train on, for ``epochs``.
        say: takes a line for every decision that was not the user's.

    Raises:
        CfgError: a value does not fit the network.
    """
    cfg = CfgFile.load(config.cfg)
    net = cfg.net
    for setting in config.settings:
        name, _, value = setting.partition("=")
        apply_setting(cfg, name.strip(), value.strip())
    if config.size is not None:
        check_size(cfg.path, config.size, walk(cfg, 2048, 2048, problems=[]).stride)
        net.set("width", config.size[0])
        net.set("height", config.size[1])
    if config.batch is not None:
        net.set("batch", config.batch)
    if config.lr is not None:
        net.set("learning_rate", config.lr)
    if config.subdivisions == "auto":
        _choose_subdivisions(cfg, config, say)
    elif config.subdivisions is not None:
        net.set("subdivisions", int(config.subdivisions))
    batch, parts = net.integer("batch"), net.integer("subdivisions")
    if parts < 1 or batch % parts:
        raise net.error("subdivisions", f"batch {batch} cannot be cut into {parts} equal subdivisions")
    if config.freeze is not None:
        _freeze(cfg, config.freeze, say)
    set_length(cfg, config, images, say)
    if net.integer("max_batches") < 1:
        raise net.error("max_batches", "how long to train is not said; set it, or give --epochs")
    return cfg


def set_length(cfg: CfgFile, config: TrainConfig, images: int, say: Say) -> None:
    """The length that the settings ask for, the same at every start; without one, that of the cfg stays."""
    length = config.max_batches
    if config.epochs is not None:
        length = max(1, math.ceil(config.epochs * images / cfg.net.integer("batch")))
    if length is not None:
        stretch(cfg, length, say)


def stretch(cfg: CfgFile, length: int, say: Say) -> None:
    """Another number of iterations; steps keep their share of the way, burn-in takes a quarter at most."""
    net = cfg.net
    before = net.integer("max_batches")
    if length == before:
        return
    net.set("max_batches", length)
    say(f"max_batches {before} -> {length}")
    if steps := net.integers("steps"):
        if before > 0:
            moved = [round(step * length / before) for step in steps]
        else:
            moved = [length * 8 // 10 + i * max(length // 10 // len(steps), 1) for i in range(len(steps))]
        if moved != steps:
            net.set("steps", moved)
            say(f"steps {_listed(steps)} -> {_listed(moved)}: they keep their share of the way")
    if net.integer("burn_in") > length // 4 and length < before:
        net.set("burn_in", length // 4)
        say(f"burn_in -> {length // 4}: a quarter of a short training")


def _listed(numbers: list[int]) -> str:
    return ",".join(map(str, numbers))


def _choose_subdivisions(cfg: CfgFile, config: TrainConfig, say: Say) -> None:
    backend = config.backend
    free = free_memory(backend)
    if free is None:
        raise ArgumentError("this system does not say how much memory is free; give subdivisions as a number")
    found = smallest_subdivisions(cfg, int(free * MEMORY_SHARE), precision=config.precision, backend=backend)
    if found is None:
        raise ArgumentError(
            f"the network does not fit into {free / 2**30:.1f} GiB even with one image at a time; "
            "take a smaller size or network"
        )
    cfg.net.set("subdivisions", found)
    say(f"subdivisions {found}: the smallest that fits into {MEMORY_SHARE:.0%} of {free / 2**30:.1f} GiB")


def _freeze(cfg: CfgFile, what: str, say: Say) -> None:
    """Mark the last frozen layer: Darknet's ``stopbackward`` freezes all up to it."""
    count = backbone(cfg) if what == "backbone" else int(what)
    if not 1 <= count < len(cfg.layers):
        raise ArgumentError(f"cannot freeze {count} layers; the network has {len(cfg.layers)}")
    cfg.layers[count - 1].set("stopbackward", 1)
    say(f"layers 0 to {count - 1} are frozen")


def backbone(cfg: CfgFile) -> int:
    """Layers before the convolution in front of the first head or upsampling.

    For yolov4-tiny these are the 29 of ``yolov4-tiny.conv.29``.
    """
    ends = ("upsample", "yolo", "Gaussian_yolo", "region")
    return max(1, next(i for i, section in enumerate(cfg.layers) if section.type in ends) - 1)


# -- weights


def starting_weights(
    path: Path,
    cfg: CfgFile,
    names: Sequence[str],
    network: Network,
    folder: Path,
    say: Say,
    old_names: Sequence[str] | None = None,
) -> Path:
    """The weights file to load: the given one if it fits, else one made of all that fits.

    A file of the same network for other classes keeps every layer; in those in front of the heads the rows of
    boxes, of objectness and of classes with equal names.

    Args:
        path: what the user gave.
        cfg: the network to be trained.
        names: of its classes.
        network: the same, freshly made; its random values fill what the file does not have.
        folder: where a new file may be written.
        say: takes what was and what was not taken over.
        old_names: of the classes in the file; by default those of a ``.names`` file beside it.

    Raises:
        WeightsError: the file is of another network.
        DataError: ``old_names`` are not as many as the classes of the file.
    """
    file, nodes = weights_file.load(path), walk(cfg)
    lie = fit(len(file.values), nodes)
    known = tuple(old_names or names_beside(path, path) or ())
    source: CfgFile | None = cfg
    if not lie.good or file.rest:
        source = donor(cfg, len(file.values))
        if source is None or file.rest:
            raise WeightsError(f"{path}: {lie}; it belongs to another network, or is incomplete")
    classes = classes_of(source) if source and source.heads else 0
    if len(known) != classes:
        if old_names and (lie.complete or source is not cfg):
            raise DataError(f"{path}: is of {classes} classes, but {len(known)} names were given for it")
        known = ()
    if source is cfg and (not lie.complete or known in ((), tuple(names))):
        rest = "" if lie.complete else ", the rest is new"
        say(f"{path.name}: {lie.layers} of {lie.total} layers loaded{rest}")
        return path
    assert source is not None
    made = folder / "start.weights"
    network.save_weights(made)
    fresh = np.array(weights_file.load(made).values)
    found = transplant(file, source, cfg, fresh, known, names)
    weights_file.save(made, weights_file.Header(), found.parts)
    say(_told(path, found, classes, len(names), known))
    return made


def _told(path: Path, found: Transplant, before: int, now: int, known: Sequence[str]) -> str:
    text = (
        f"{path.name}: of {before} classes, the cfg has {now}; {found.whole} of {found.total} layers with "
        f"weights loaded; {found.total - found.whole} in front of the heads keep the rows of boxes and "
        "objectness"
    )
    if not known:
        return f"{text}, all classes are new (--weights-names FILE tells which ones the file knows)"
    text += f" and of {_words(found.kept)}" if found.kept else ", of no class"
    text += f"; new: {_words(found.new)}" if found.new else ""
    return text + (f"; forgotten: {_words(found.dropped)}" if found.dropped else "")


def _words(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def require_network(cfg: CfgFile) -> None:
    """Refuse cfgs that describe no network that can be trained.

    Raises:
        CfgError: naming the first thing that is wrong.
    """
    walk(cfg)
    if len({head.integer("classes") for head in cfg.heads}) > 1:
        raise CfgError(f"{cfg.path}: the heads have different numbers of classes")
    if len({head.integer("max") for head in cfg.heads}) > 1:
        raise CfgError(f"{cfg.path}: the heads have different values of max; use one")
