# SPDX-License-Identifier: Apache-2.0
"""First part of a training: everything that is decided before the network is opened."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from pydarknet.cfg import CfgFile
from pydarknet.cfg.trainable import require
from pydarknet.data import Dataset, read
from pydarknet.data.fingerprint import identity
from pydarknet.data.splits import Splits
from pydarknet.errors import DataError, FileError
from pydarknet.runs.config import TrainConfig
from pydarknet.runs.folder import RunFolder
from pydarknet.runs.record import STATE, RunRecord, new_run, read_record, state_of
from pydarknet.system.notify import Notify
from pydarknet.training import resumed_inputs, startup_checks
from pydarknet.training.checkpoint import CheckpointDir
from pydarknet.training.effective_cfg import effective_cfg, requested_cfg
from pydarknet.training.notices import Notices
from pydarknet.training.resumed_inputs import ResumedCfg, weights_identity


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
    """Choose the device and the precision, read the data, write the effective cfg, run the preflight.

    Args:
        config: the settings.
        folder: of the run, locked.
        before: settings that the run in the folder was last started with; None for a new run.
        notify: receives the decisions made.

    Raises:
        DataError: the data cannot be used, or the preflight found an error.
        CfgError: the cfg does not describe a network that can be trained.
        ArgumentError: settings or cfg are those of another training than the run's.
        FileError: the saved state is damaged or missing.
        BackendError: this machine cannot compute on the device, or in the precision.
    """
    begun, notices = time.monotonic(), Notices(notify)
    config = replace(config, precision=startup_checks.settle_precision(config, before, notices))
    state = state_of(folder.weights, base_of(before or config))
    base = state.name.removesuffix(STATE) if state else base_of(config)
    checkpoints = CheckpointDir(folder.weights, base, *config.kept)
    checkpoints.clean()
    if state is None:
        _require_no_weights(config, folder)
    dataset, splits = _read(config, folder, state is not None, notices)
    resumed = state is not None and before is not None
    if resumed:
        assert before is not None
        cfg = _resumed_cfg(config, before, folder, checkpoints, splits, notices)
    else:
        cfg = _new_cfg(config, folder, checkpoints, splits, notices)
    where = startup_checks.settle_augmentation(config, before if resumed else None, cfg, notices)
    config = replace(config, augment_on=where)
    assert checkpoints.run is not None
    checkpoints.run = replace(checkpoints.run, config=config.to_json())
    startup_checks.report_memory(config, cfg, notices.show)
    return Prepared(config, folder, checkpoints, cfg, dataset, splits, resumed, notices, begun)


def _require_no_weights(config: TrainConfig, folder: RunFolder) -> None:
    """Refuse to train over weights whose state was deleted."""
    for path in sorted(folder.weights.glob("*_last.weights")):
        way = _way_on(config, path, folder)
        state = path.with_name(path.name.replace("_last.weights", STATE))
        raise FileError(f"{state}: not found, so the run cannot be resumed, and its weights are kept; {way}")


def _way_on(config: TrainConfig, weights: Path, folder: RunFolder) -> str:
    command = new_run(config.cfg, config.data, weights)
    return f"{command}; --restart moves {folder.path} aside and begins again"


def _read(config: TrainConfig, folder: RunFolder, resumed: bool, notices: Notices) -> tuple[Dataset, Splits]:
    if resumed and not Path(config.data).exists():
        raise DataError(
            f"{config.data}: not found; if the data set has moved, give its new place: "
            f"pydarknet train --resume {folder.path} --data NEW"
        )
    dataset = read(Path(config.data))
    try:
        splits = Splits.of(dataset, config.val_fraction, config.seed)
    except DataError as error:
        raise DataError("\n".join([str(error), *startup_checks.missing_labels(config)])) from None
    if splits.unlabelled:
        first = splits.unlabelled[0].image
        notices(f"{len(splits.unlabelled)} images without a label file are left out, the first: {first}")
    if splits.emptied:
        first = splits.emptied[0].image
        notices(f"{len(splits.emptied)} images without a usable box are left out, the first: {first}")
    if not splits.valid:
        notices("there are no validation images, so mAP is not measured")
    return dataset, splits


def _new_cfg(
    config: TrainConfig, folder: RunFolder, checkpoints: CheckpointDir, splits: Splits, notices: Notices
) -> CfgFile:
    """Make the effective cfg of a new run, check it, and write it into the folder."""
    requested = requested_cfg(config, notices)
    cfg = effective_cfg(requested, config, len(splits.train), notices)
    _accept(config, cfg, splits, folder.file(f"{checkpoints.base}.cfg"))
    startup_checks.check(config, cfg, folder.path, notices.show)
    weights = Path(config.weights) if config.weights is not None else None
    checkpoints.run = RunRecord(
        config.to_json(),
        str(cfg),
        str(requested),
        splits.names,
        identity(splits.train),
        weights_identity(weights) if weights and weights.is_file() else {},
    )
    return cfg


def _resumed_cfg(
    config: TrainConfig,
    before: TrainConfig,
    folder: RunFolder,
    checkpoints: CheckpointDir,
    splits: Splits,
    notices: Notices,
) -> CfgFile:
    """Compare the inputs with those of the run, and make its cfg for this session."""
    base, record = checkpoints.base, read_record(checkpoints.last)
    path, way = folder.file(f"{base}.cfg"), _way_on(config, checkpoints.weights("last"), folder)
    resumed_inputs.require_same_settings(before, config, folder.path, way)
    resumed_inputs.require_same_weights(before, config, record, folder.path, way)
    if names := resumed_inputs.names_of_run(record, folder.file(f"{base}.names")):
        resumed_inputs.require_same_names(names, splits.names, config.data, way)
    images = identity(splits.train)
    if record:
        found = resumed_inputs.image_changes(record.images, images, config.val_fraction is not None)
        for text in found:
            notices.changed(text)
    resumed = ResumedCfg(config, before, record, path, way)
    cfg = resumed.own(notices)
    requested = resumed.requested(cfg, notices)
    resumed.apply(cfg, requested, len(splits.train), notices.changed)
    _accept(config, cfg, splits, path)
    weights = record.weights if record else {}
    checkpoints.run = RunRecord(config.to_json(), str(cfg), str(requested), splits.names, images, weights)
    return cfg


def _accept(config: TrainConfig, cfg: CfgFile, splits: Splits, path: Path) -> None:
    """Check that a cfg can be trained with the data, and write it into the folder of the run."""
    require(cfg)
    if len(splits.names) != (classes := cfg.heads[0].integer("classes")):
        raise DataError(
            f"{config.data}: has {len(splits.names)} class names, {cfg.path} has classes={classes}"
        )
    cfg.save(path)
    cfg.path = str(path)
