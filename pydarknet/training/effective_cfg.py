# SPDX-License-Identifier: Apache-2.0
"""Effective cfg: that of the user with the settings of a training written into it."""

from __future__ import annotations

import math

from pydarknet.cfg import CfgFile
from pydarknet.cfg.edit import copy
from pydarknet.cfg.generate import apply_setting, check_size
from pydarknet.cfg.memory import smallest_subdivisions
from pydarknet.cfg.schedule import rescale
from pydarknet.cfg.trainable import stride_of
from pydarknet.engine.devices import is_gpu
from pydarknet.engine.memory import free_memory
from pydarknet.errors import ArgumentError
from pydarknet.runs.config import TrainConfig
from pydarknet.system.launcher import launched, launched_here
from pydarknet.system.memory import gib
from pydarknet.system.notify import Notify

MEMORY_SHARE = 0.8  # of the free memory that subdivisions=auto may use


def effective_cfg(requested: CfgFile, config: TrainConfig, images: int, notify: Notify) -> CfgFile:
    """Make the cfg as it is trained: the result of :func:`requested_cfg` with the length of the training.

    Args:
        requested: the user's cfg with the settings; unchanged.
        config: the settings.
        images: number of training images, for ``epochs``.
        notify: receives the decisions that were not the user's.

    Raises:
        CfgError: no length is set.
    """
    cfg = copy(requested)
    set_length(cfg, config, images, notify)
    if cfg.net.integer("max_batches") < 1:
        raise cfg.net.error("max_batches", "training length is not set; set max_batches, or give --epochs")
    return cfg


def requested_cfg(
    config: TrainConfig, notify: Notify, source: CfgFile | None = None, parts: int | None = None
) -> CfgFile:
    """Load the cfg and write the settings into it, except the length.

    Args:
        config: the settings.
        notify: receives the decisions that were not the user's.
        source: the cfg, if it is not read from its file.
        parts: ``subdivisions`` to take for ``auto``, if they are known.

    Raises:
        CfgError: a value does not fit the network.
    """
    cfg = source or CfgFile.load(config.cfg)
    net = cfg.net
    for setting in config.settings:
        name, _, value = setting.partition("=")
        apply_setting(cfg, name.strip(), value.strip())
    if config.size is not None:
        check_size(cfg.path, config.size, stride_of(cfg))
        net.set("width", config.size[0])
        net.set("height", config.size[1])
    if config.batch is not None:
        net.set("batch", config.batch)
    if config.lr is not None:
        net.set("learning_rate", config.lr)
    if config.subdivisions == "auto" and parts is not None:
        net.set("subdivisions", parts)
    elif config.subdivisions == "auto":
        _choose_subdivisions(cfg, config, notify)
    elif config.subdivisions is not None:
        net.set("subdivisions", int(config.subdivisions))
    batch, divisions = net.integer("batch"), net.integer("subdivisions")
    if batch < 1:
        raise net.error("batch", f"found {batch}, expected at least 1")
    if divisions < 1 or batch % divisions:
        raise net.error("subdivisions", f"batch {batch} cannot be cut into {divisions} equal subdivisions")
    if config.freeze is not None:
        _freeze(cfg, config.freeze, notify)
    return cfg


def set_length(cfg: CfgFile, config: TrainConfig, images: int, notify: Notify) -> None:
    """Set the length that the settings ask for; without one, that of the cfg stays."""
    length = config.max_batches
    if config.epochs is not None:
        length = max(1, math.ceil(config.epochs * images / cfg.net.integer("batch")))
    if length is not None:
        stretch(cfg, length, notify)


def stretch(cfg: CfgFile, length: int, notify: Notify) -> None:
    """Change the number of iterations and scale the steps; burn-in takes a quarter at most."""
    net = cfg.net
    before = net.integer("max_batches")
    if length == before:
        return
    old, new = rescale(net, length)
    net.set("max_batches", length)
    notify(f"max_batches {before} -> {length}")
    if new != old:
        notify(f"steps {_listed(old)} -> {_listed(new)}: they keep their share of the training")
    if net.integer("burn_in") > length // 4 and length < before:
        net.set("burn_in", length // 4)
        notify(f"burn_in -> {length // 4}: a quarter of a short training")


def _listed(numbers: list[int]) -> str:
    return ",".join(map(str, numbers)) or "none"


def _choose_subdivisions(cfg: CfgFile, config: TrainConfig, notify: Notify) -> None:
    batch, workers, backend = cfg.net.integer("batch"), launched(), config.engine_backend
    if batch % workers:
        raise ArgumentError(
            f"found batch={batch} with {workers} workers, expected a multiple of {workers}, so that each "
            f"computes as many mini-batches: use a batch that is a multiple of {workers}"
        )
    free = free_memory(backend)
    if free is None:
        raise ArgumentError("the free memory of this system is unknown; give subdivisions as a number")
    found = smallest_subdivisions(
        cfg,
        int(free * MEMORY_SHARE),
        precision=config.precision,
        backend=backend,
        workers=workers,
    )
    if found is None:
        raise ArgumentError(
            f"the network does not fit into {gib(free)} even with one image at a time; "
            "take a smaller size or network"
        )
    cfg.net.set("subdivisions", found)
    is_shared = launched_here() > 1 and not is_gpu(backend)
    share = f", the share of each of {launched_here()} workers" if is_shared else ""
    room = f"{MEMORY_SHARE:.0%} of {gib(free)}{share}"
    notify(f"subdivisions {found}: the smallest that fits into {room}")


def _freeze(cfg: CfgFile, what: str, notify: Notify) -> None:
    """Set ``stopbackward`` in the last frozen layer: it freezes all layers up to it."""
    count = backbone(cfg) if what == "backbone" else int(what)
    if not 1 <= count < len(cfg.layers):
        raise ArgumentError(f"cannot freeze {count} layers; the network has {len(cfg.layers)}")
    cfg.layers[count - 1].set("stopbackward", 1)
    notify(f"layers 0 to {count - 1} are frozen")


def backbone(cfg: CfgFile) -> int:
    """Count the layers before the convolution that precedes the first head or upsampling.

    For yolov4-tiny these are the 29 of ``yolov4-tiny.conv.29``.
    """
    ends = ("upsample", "yolo", "Gaussian_yolo", "region")
    return max(1, next(i for i, section in enumerate(cfg.layers) if section.type in ends) - 1)
