# SPDX-License-Identifier: Apache-2.0
"""First part of a training: everything that is decided before the network is opened."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydarknet.cfg import CfgFile
from pydarknet.cfg.trainable import require
from pydarknet.data import Dataset, read
from pydarknet.data.splits import Splits
from pydarknet.errors import DataError
from pydarknet.runs.config import TrainConfig
from pydarknet.runs.folder import RunFolder
from pydarknet.system.notify import Notify
from pydarknet.training import startup_checks
from pydarknet.training.checkpoint import CheckpointDir
from pydarknet.training.effective_cfg import effective_cfg, set_length


@dataclass(frozen=True)
class Notices:
    """Notices of a session: passed on to the user, and kept for ``run.json``.

    Attributes:
        show: passes text on without keeping it.
        kept: the notices so far.
    """

    show: Notify
    kept: list[str] = field(default_factory=list)

    def __call__(self, text: str) -> None:
        """Pass on and keep a notice."""
        self.kept.append(text)
        self.show(text)


@dataclass(frozen=True)
class Prepared:
    """Data and settings of a session.

    Attributes:
        config: the settings, their precision chosen.
        folder: of the run, which holds the effective cfg.
        checkpoints: its weights and states.
        cfg: the effective cfg.
        dataset: all images.
        splits: the images for training and for validation.
        resumed: the session resumes from the last saved state.
        notices: of this session.
        begun: ``time.monotonic()`` at the start of the session.
    """

    config: TrainConfig
    folder: RunFolder
    checkpoints: CheckpointDir
    cfg: CfgFile
    dataset: Dataset
    splits: Splits
    resumed: bool
    notices: Notices
    begun: float


def base_of(config: TrainConfig) -> str:
    """First part of the names of the weights, as in Darknet: the name of the cfg up to its first dot."""
    return Path(config.cfg).name.partition(".")[0]


def prepare(
    config: TrainConfig, folder: RunFolder, before: TrainConfig | None = None, *, notify: Notify
) -> Prepared:
    """Read the data, choose the precision, write the effective cfg, run the preflight.

    Args:
        config: the settings.
        folder: of the run, locked.
        before: settings that the run in the folder was last started with; None for a new run.
        notify: receives the decisions made.

    Raises:
        DataError: the data cannot be used, or the preflight found an error.
        CfgError: the cfg does not describe a network that can be trained.
        BackendError: this machine cannot compute in the precision.
    """
    begun, notices = time.monotonic(), Notices(notify)
    checkpoints = CheckpointDir(folder.weights, base_of(config), *config.kept)
    checkpoints.clean()
    resumed = before is not None and checkpoints.last.is_file()
    dataset = read(Path(config.data))
    splits = Splits.of(dataset, config.val_fraction, config.seed)
    if splits.unlabelled:
        first = splits.unlabelled[0].image
        notices(f"{len(splits.unlabelled)} images without a label file are left out, the first: {first}")
    if splits.emptied:
        first = splits.emptied[0].image
        notices(f"{len(splits.emptied)} images without a usable box are left out, the first: {first}")
    if not splits.valid:
        notices("there are no validation images, so mAP is not measured")
    config = replace(config, precision=startup_checks.settle_precision(config, before, notices))
    cfg = _cfg(config, folder, splits, resumed, notices)
    return Prepared(config, folder, checkpoints, cfg, dataset, splits, resumed, notices, begun)


def _cfg(config: TrainConfig, folder: RunFolder, splits: Splits, resumed: bool, notices: Notices) -> CfgFile:
    """Make the effective cfg, check it, and write it into the folder."""
    path = folder.file(f"{base_of(config)}.cfg")
    if resumed:
        cfg = CfgFile.load(path)
        set_length(cfg, config, len(splits.train), notices)
    else:
        cfg = effective_cfg(config, len(splits.train), notices)
    require(cfg)
    if len(splits.names) != (classes := cfg.heads[0].integer("classes")):
        raise DataError(
            f"{config.data}: has {len(splits.names)} class names, {cfg.path} has classes={classes}"
        )
    cfg.save(path)
    cfg.path = str(path)
    if not resumed:
        startup_checks.check(config, cfg, folder.path, notices.show)
    startup_checks.report_memory(config, cfg, notices.show)
    return cfg
