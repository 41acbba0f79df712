# SPDX-License-Identifier: Apache-2.0
"""Checks before the first iteration: precision, preflight, memory, weights."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydarknet.cfg import CfgFile
from pydarknet.cfg.augmentation import AugmentConfig
from pydarknet.cfg.memory import smallest_subdivisions, training_memory
from pydarknet.check import PlannedRun, preflight, require_rules
from pydarknet.data.album import Room
from pydarknet.data.splits import Splits
from pydarknet.engine import selftest
from pydarknet.engine.devices import is_gpu
from pydarknet.engine.handle import NetworkInfo
from pydarknet.engine.memory import free_memory
from pydarknet.engine.names import names_from
from pydarknet.engine.network import Network
from pydarknet.engine.trainer import Trainer
from pydarknet.errors import BackendError, DataError, FileError
from pydarknet.runs.config import TrainConfig
from pydarknet.system.atomic import write_text
from pydarknet.system.launcher import launched
from pydarknet.system.memory import gib
from pydarknet.system.notify import Notify
from pydarknet.training import tiles
from pydarknet.training.notices import Notices
from pydarknet.training.starting_weights import report_random_layers, starting_weights

ENGINE_REPORTS = "L-36"  # keys without effect: the trainer logs them, with file and line


def settle_precision(config: TrainConfig, before: TrainConfig | None, notices: Notices) -> str:
    """Report where the training computes, and choose the precision, never ``auto``.

    A run keeps the one that it began with, since another one gives other bits; where the backend of this
    machine lacks it, the run continues in what the backend prefers, and that is reported.

    Args:
        config: the settings.
        before: settings of the run that is resumed.
        notices: receive the device; a notice if the precision changes, or is slow here.

    Raises:
        BackendError: this machine cannot compute in it.
    """
    asked, used = config.precision, before.precision if before else ""
    if asked == "auto" and used:
        asked = used
    try:
        info = engine_info(config, asked)
    except BackendError:
        if asked != used:
            raise
        info = engine_info(config, "auto")
    notices.show(f"computing on {info.place}, {info.precision}, {info.threads} threads")
    if asked != "auto" and info.precision_reason:
        notices(info.precision_reason)
    if used and used != info.precision:
        notices.changed(f"precision {used} -> {info.precision}: results will no longer be bit-identical")
    return info.precision


def settle_augmentation(
    config: TrainConfig, before: TrainConfig | None, cfg: CfgFile, notices: Notices
) -> str:
    """Choose where images are augmented: ``device`` where that is asked for and possible, else ``cpu``.

    A run keeps its choice, since the two round differently.

    Args:
        config: the settings.
        before: settings of the run that is resumed.
        cfg: the network to be trained.
        notices: receive the reason if the device cannot, and a change.
    """
    used = "device" if before and before.augment_on == "device" else "cpu"
    asked = used if before and config.augment_on == "auto" else config.augment_on
    chosen = "cpu"
    if asked == "device":
        reason = "the training does not compute on a GPU"
        if is_gpu(config.engine_backend):
            reason = tiles.why_not(AugmentConfig.of(cfg))
        if reason:
            notices(f"images are augmented on the CPU: {reason}")
        else:
            chosen = "device"
    if before and used != chosen:
        notices.changed(f"augmentation on {used} -> {chosen}: results will no longer be bit-identical")
    return chosen


def engine_info(config: TrainConfig, precision: str) -> NetworkInfo:
    """Where a training computes, and in which precision, reported by the engine's smallest network."""
    where: dict[str, Any] = {
        "backend": config.engine_backend,
        "precision": precision,
        "threads": config.threads,
    }
    with Network.parse(selftest.CFG, **where) as network:
        return network.info


def missing_labels(config: TrainConfig) -> list[str]:
    """Findings of the preflight about label files that were not found; empty if the data has none."""
    found = preflight(CfgFile.load(config.cfg), Path(config.data)).findings
    return [
        f"{finding.rule}: {finding.message} → {finding.hint}"
        for finding in found
        if finding.rule in ("L-20", "L-21")
    ]


def check(config: TrainConfig, cfg: CfgFile, folder: Path, notify: Notify) -> None:
    """Run the preflight and write ``preflight.json``; errors end the training unless ``force`` is set.

    Args:
        config: the settings, their precision settled.
        cfg: the network to be trained.
        folder: of the run.
        notify: receives each finding.

    Raises:
        DataError: the preflight found an error.
        ArgumentError: ``ignore`` has a name that is not a rule's.
    """
    require_rules(config.ignore)
    plan = PlannedRun(
        folder=folder,
        clear=config.clear,
        length_given=config.epochs is not None or config.max_batches is not None,
        precision=config.precision,
        backend=config.engine_backend,
    )
    ignored = (*config.ignore, *(("L-19",) if config.val_fraction else ()))  # they are split off
    found = preflight(cfg, Path(config.data), config.weights, plan, ignore=ignored)
    write_text(folder / "preflight.json", found.to_json())
    refused = bool(found.errors) and not config.force
    for finding in found.findings:
        if finding.rule == ENGINE_REPORTS or refused:  # the error below has all of them
            continue
        place = f" ({finding.where})" if finding.line else ""
        notify(f"{finding.severity.value} {finding.rule}: {finding.message}{place}")
    if refused:
        raise DataError(f"the preflight found errors (--force trains anyway):\n{found.to_text()}")


def report_memory(config: TrainConfig, cfg: CfgFile, notify: Notify) -> None:
    """Report the memory that the training takes of its backend's, and that which is free."""
    net, precision, backend = cfg.net, config.precision, config.engine_backend
    batch, parts = net.integer("batch"), net.integer("subdivisions")
    need = training_memory(cfg, precision=precision, backend=backend).total
    whose = "memory of each worker" if launched() > 1 else "memory"
    text = f"{whose}: about {gib(need)} for {batch // parts} images at a time ({precision})"
    free = free_memory(backend)
    if free is not None:
        text += f", {gib(free)} are free"
        least = smallest_subdivisions(cfg, free, precision=precision, backend=backend, workers=launched())
        text += f"; subdivisions={least} would fit too" if least and least < parts else ""
    notify(text)


def open_trainer(
    config: TrainConfig, cfg: CfgFile, names: Sequence[str], folder: Path, resumed: bool, notify: Notify
) -> Trainer:
    """Open the network for training, with its starting weights unless the run is ``resumed``.

    Raises:
        WeightsError: the weights belong to another network.
        DataError: the names given for the weights do not belong to them.
    """
    given = None if resumed or config.weights is None else Path(config.weights)
    if not resumed:
        report_random_layers(config, cfg, notify)
    if given is not None:
        old = names_from(config.weights_names) if config.weights_names else None
        with Network(cfg.path, backend="ref", strict=False) as blank:
            given = starting_weights(given, cfg, names, blank, folder, notify, old)
    network = Network(
        cfg.path,
        given,
        strict=False,
        backend=config.engine_backend,
        precision=config.precision,
        threads=config.threads,
    )
    trainer = network.trainer()
    if given is not None and config.clear:
        trainer.load_state({**trainer.state(), "iteration": 0, "seen": 0})
    elif trainer.iteration:
        notify(
            f"{given}: resuming at iteration {trainer.iteration} ({trainer.seen} images in batches of "
            f"{cfg.net.integer('batch')}); a weights file does not store momentum, best mAP or augmentation "
            "state, so these are reset (--clear starts at 0)"
        )
    return trainer


def cache_room(config: TrainConfig, cfg: CfgFile) -> Room | None:
    """Memory for decoded images besides that of the network; None without ``--cache ram``."""
    if config.cache != "ram":
        return None
    backend = config.engine_backend
    return Room(
        0 if is_gpu(backend) else training_memory(cfg, precision=config.precision, backend=backend).total
    )


def check_cache(
    kind: str, sets: Splits, channels: int, folder: Path, room: Room | None, notify: Notify
) -> None:
    """Check that the decoded images fit into the cache.

    Raises:
        FileError: they do not fit on the disk.
    """
    if kind == "none":
        return
    need = sets.bytes(channels)
    if room is not None:
        if need > room.left:
            notify(
                f"cache ram: {gib(need)} of decoded images, {gib(room.left)} are kept; the others are "
                "decoded every time"
            )
        return
    free = shutil.disk_usage(folder).free + sum(path.stat().st_size for path in folder.glob("cache/*/*.npy"))
    if need > free:
        raise FileError(
            f"{folder}: the decoded images take {gib(need)}, {gib(free)} are free; leave out --cache disk"
        )
