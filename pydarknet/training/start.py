# SPDX-License-Identifier: Apache-2.0
"""Second part of a training: the network, the loader, and the loop with its hooks."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydarknet.cfg.augmentation import AugmentConfig
from pydarknet.data.album import ImageCache, Room
from pydarknet.engine.devices import gpu_number, is_gpu
from pydarknet.engine.trainer import Trainer
from pydarknet.runs.config import TrainConfig
from pydarknet.system import extras
from pydarknet.training import checkpoint, darknet_log, plots, startup_checks, tables
from pydarknet.training.checkpoint import Checkpoint
from pydarknet.training.checkpoint_hook import CheckpointHook, TimeLimitHook
from pydarknet.training.communicator import Communicator
from pydarknet.training.diagnostics import Diagnostics
from pydarknet.training.eta import eta_hook
from pydarknet.training.evaluator import Evaluator, Schedule, measure_on, measure_together
from pydarknet.training.hooks import Hook, IsolatedHook
from pydarknet.training.loader import Loader, make_loader
from pydarknet.training.loop import LoopConfig, TrainingLoop
from pydarknet.training.monitor import Monitor
from pydarknet.training.prepare import Prepared
from pydarknet.training.rollback import RollbackPoints
from pydarknet.training.validation_loss import protocol
from pydarknet.training.workers import Leader, Task, require_divisible


@dataclass(frozen=True)
class Started:
    """A training that is ready to run; close it afterwards, or use it as a context manager.

    Attributes:
        prepared: data and settings.
        trainer: of the network that is trained.
        loader: of its training images.
        loop: the training.
        evaluator: its evaluations.
        monitor: its choice of the best.
        resources: closes the network and the loader.
        workers: number of processes that share the mini-batches.
    """

    prepared: Prepared
    trainer: Trainer
    loader: Loader
    loop: TrainingLoop
    evaluator: Evaluator
    monitor: Monitor
    resources: contextlib.ExitStack
    workers: int = 1

    def __enter__(self) -> Started:
        return self

    def __exit__(self, *_: object) -> None:
        self.resources.close()


def start(
    prepared: Prepared,
    hooks: Sequence[Hook] = (),
    echo: bool = False,
    communicator: Communicator | None = None,
) -> Started:
    """Open the network, restore the saved state, start the loader, and the other workers if there are any.

    Args:
        prepared: data and settings.
        hooks: of the caller.
        echo: print the log to standard output.
        communicator: of several workers, of which this is number 0.

    Raises:
        ArgumentError: the mini-batches cannot be divided among the workers.
        DataError: the saved state is damaged.
        WeightsError: the weights belong to another network.
        FileError: the decoded images do not fit on the disk.
    """
    config, cfg, splits = prepared.config, prepared.cfg, prepared.splits
    if communicator:
        require_divisible(cfg, communicator.size)
        config = replace(config, threads=config.threads or communicator.threads)
        prepared.notices.show(f"{communicator.size} workers, each in {config.threads} threads")
    saved = checkpoint.load(prepared.checkpoints.last) if prepared.resumed else None
    with contextlib.ExitStack() as stack:
        trainer = startup_checks.open_trainer(
            config, cfg, splits.names, prepared.folder.path, prepared.resumed, prepared.notices
        )
        stack.callback(trainer.network.close)
        if saved:
            trainer.load_state(saved.trainer)
        room = startup_checks.cache_room(config, cfg)
        loader = _loader(prepared, room, communicator)
        stack.callback(loader.close)
        leader = Leader(communicator, trainer, _task(prepared, trainer, saved)) if communicator else None
        if leader and is_gpu(config.engine_backend):
            prepared.notices.show(f"gradients are summed by {leader.gradients.by}")
        evaluator = _evaluator(prepared, trainer, loader, room, leader)
        monitor = Monitor(config, len(splits.train), prepared.notices)
        ordered = _hooks(prepared, trainer, loader, evaluator, monitor, hooks, echo)
        facts = LoopConfig(config, cfg, prepared.folder, prepared.checkpoints.base, len(splits.train))
        loop = TrainingLoop(trainer, facts, loader, ordered, leader)
        if saved:
            loop.load_meta(saved.meta)
        workers = communicator.size if communicator else 1
        return Started(prepared, trainer, loader, loop, evaluator, monitor, stack.pop_all(), workers)


def _loader(prepared: Prepared, room: Room | None, communicator: Communicator | None) -> Loader:
    config, folder = prepared.config, prepared.folder
    channels = AugmentConfig.of(prepared.cfg).channels
    notify, train = prepared.notices.show, prepared.splits.train
    startup_checks.check_cache(config.cache, prepared.splits, channels, folder.path, room, notify)
    images = ImageCache(train, channels, config.cache, folder.file("cache") / "train", config.max_bad, room)
    return make_loader(images, prepared.cfg, config, communicator)


def _task(prepared: Prepared, trainer: Trainer, saved: Checkpoint | None) -> Task:
    """Input of the other workers."""
    factor = saved.meta["training"]["rate_factor"] if saved else 1.0
    rate = prepared.cfg.net.number("learning_rate") * factor if factor != 1 else None
    splits = prepared.splits
    return Task(prepared.config, str(prepared.cfg), splits.train, splits.valid, trainer.state(), rate)


def _evaluator(
    prepared: Prepared, trainer: Trainer, loader: Loader, room: Room | None, leader: Leader | None
) -> Evaluator:
    config, cfg, splits = prepared.config, prepared.cfg, prepared.splits
    schedule = Schedule.of(config, cfg, len(splits.train), len(splits.valid), trainer.iteration)
    cache, channels = prepared.folder.file("cache") / "valid", cfg.net.integer("channels")
    valid = ImageCache(splits.valid, channels, config.cache, cache, config.max_bad, room)
    if leader:
        return Evaluator(schedule, measure_together(valid, splits.names, trainer.network, cfg, leader))
    return Evaluator(schedule, measure_on(valid, splits.names, trainer.network, cfg, loader.mini))


def _hooks(
    prepared: Prepared,
    trainer: Trainer,
    loader: Loader,
    evaluator: Evaluator,
    monitor: Monitor,
    hooks: Sequence[Hook],
    echo: bool,
) -> list[Hook]:
    """Hooks in the order of their calls: those that judge, those that save, those that report."""
    config, splits, checkpoints = prepared.config, prepared.splits, prepared.checkpoints
    notify, schedule, clock = prepared.notices, evaluator.schedule, darknet_log.Clock()
    log = darknet_log.DarknetLog(clock, evaluator, echo)
    weights = (
        "none, the training began with random ones" if config.weights is None else f"from {config.weights}"
    )
    judging = [evaluator, TimeLimitHook(config.max_hours, prepared.begun), monitor]
    callers = [IsolatedHook(hook) for hook in (*hooks, *_optional_hooks(config))]
    measured = protocol(trainer.network, splits)
    saving: list[Hook] = [CheckpointHook(checkpoints, schedule, log, monitor, measured, notify)]
    if config.rollback is not None:
        saving.append(RollbackPoints(checkpoints, schedule.last_every))
    reporting: list[Hook] = [clock, tables.Evaluations(monitor, notify.show), log]
    reporting.append(tables.Tables(clock, gpu_number(config.engine_backend)))
    if config.plots:
        reporting.append(plots.Plots(prepared.dataset, loader, config.dump_batches, notify))
    reporting.append(eta_hook(notify, config.max_hours))
    return [*judging, *callers, Diagnostics(splits.train, weights, log, notify.show), *saving, *reporting]


def _optional_hooks(config: TrainConfig) -> list[Hook]:
    wanted = {"tensorboard": config.tensorboard, "mlflow": config.mlflow}
    return [extras.load("pydarknet.hooks", name)() for name, on in wanted.items() if on]
