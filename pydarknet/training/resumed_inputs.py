# SPDX-License-Identifier: Apache-2.0
"""Comparison of the inputs of a run that is resumed with those it had: cfg, names, images, initial weights.

Paths do not count, so a run and its data may move.  A difference that would mean another network, or give
boxes the names of other classes, is refused; any other takes effect, is reported, and kept in ``run.json``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydarknet.cfg import CfgFile, keys
from pydarknet.cfg.diff import Change, diff
from pydarknet.cfg.edit import copy
from pydarknet.engine.names import names_from
from pydarknet.errors import ArgumentError, CfgError, DarknetError, DataError
from pydarknet.runs.config import TrainConfig, fixed_changes
from pydarknet.runs.record import RunRecord
from pydarknet.system.notify import Notify
from pydarknet.training.effective_cfg import requested_cfg, set_length, stretch

#: Keys of ``[net]`` that may change between sessions: the rate at each iteration follows from them alone.
SCHEDULE = (
    *("learning_rate", "learning_rate_min", "policy", "burn_in", "power", "max_batches", "steps", "scales"),
    *("step", "scale", "gamma", "sgdr_cycle", "sgdr_mult"),
)
_LENGTH = ("max_batches", "steps", "burn_in", "sgdr_cycle")  # set by --max-batches and --epochs
_MOST_LISTED = 8


def require_same_settings(before: TrainConfig, now: TrainConfig, place: Path, way: str) -> None:
    """Reject settings that would make it another training.

    Args:
        before: settings of the run.
        now: settings of this session.
        place: folder of the run.
        way: the way on, for the message.

    Raises:
        ArgumentError: naming the settings with both values.
    """
    if different := fixed_changes(before, now):
        listed = ", ".join(f"{name} ({old}, not {new})" for name, old, new in different)
        raise ArgumentError(f"{place}: the run there has another {listed}; use another --out; {way}")


def weights_identity(path: Path) -> dict[str, str]:
    """Name and SHA-256 of a weights file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return {"name": path.name, "sha256": digest.hexdigest()}


def require_same_weights(
    before: TrainConfig, now: TrainConfig, record: RunRecord | None, place: Path, way: str
) -> None:
    """Reject initial weights other than those that the run began with, wherever they are now.

    Raises:
        ArgumentError: the weights are others.
    """
    if now.weights is None or str(Path(now.weights).absolute()) == str(before.weights):
        return
    path, old = Path(now.weights), record.weights if record else {}
    if old and path.is_file():
        same = weights_identity(path)["sha256"] == old["sha256"]
    else:
        same = before.weights is not None and Path(before.weights).name == path.name
    if not same:
        begun = f"from {before.weights}" if before.weights else "from random weights"
        raise ArgumentError(
            f"--weights {path}: the run in {place} began {begun}, and resumes from its own state; leave out "
            f"--weights; {way}"
        )


def require_same_names(before: Sequence[str], now: Sequence[str], data: Any, way: str) -> None:
    """Reject other class names, or another order: the network's outputs would get the names of others.

    Args:
        before: class names of the run.
        now: those of the data set.
        data: its path, for the message.
        way: the way on, for the message.

    Raises:
        DataError: naming the first difference.
    """
    if tuple(before) == tuple(now):
        return
    pairs = [(i, a, b) for i, (a, b) in enumerate(zip(before, now, strict=False)) if a != b]
    first = (
        f"class {pairs[0][0]} was {pairs[0][1]!r} and is {pairs[0][2]!r}" if pairs else "the first are equal"
    )
    order = " (the same names in another order)" if sorted(before) == sorted(now) else ""
    raise DataError(
        f"{data}: the class names are not those of the run: it has {len(before)}, the data set {len(now)}; "
        f"{first}{order}. Its boxes would get the names of other classes. Restore names and labels; {way}"
    )


def names_of_run(record: RunRecord | None, names_file: Path) -> tuple[str, ...] | None:
    """Class names of the run: from its state, of an earlier version from its names file; None if unknown."""
    if record:
        return record.names
    return names_from(names_file) if names_file.is_file() else None


def image_changes(before: dict[str, Any], now: dict[str, Any], held_out: bool) -> list[str]:
    """Describe how the training images differ from those of the last session.

    Args:
        before: identity of the images then, see :func:`pydarknet.data.fingerprint.identity`.
        now: identity of the images now.
        held_out: ``--val-fraction`` chose the validation images.
    """
    found = []
    if before["set"] != now["set"]:
        text = f"the training list has changed: {before['count']} -> {now['count']} images"
        if before["count"] == now["count"]:
            text = f"the training list has changed: other names among its {now['count']} images"
        text += "; from now on images are chosen from the new list"
        if held_out:
            text += ", and --val-fraction holds out other images: some were trained on, so mAP is too high"
        found.append(text)
    elif before["order"] != now["order"]:
        found.append("the training list has another order: the choice of images differs from now on")
    if before["set"] == now["set"] and before["labels"] != now["labels"]:
        found.append(
            f"labels of training images have changed: {before['boxes']} -> {now['boxes']} boxes; "
            "the new ones are used from now on"
        )
    return found


class ResumedCfg:
    """The cfg of a resumed run, with what the user changed since the last session.

    Args:
        config: settings of this session.
        before: settings of the run.
        record: of its last state; None if an earlier version saved it.
        path: of its cfg in its folder.
        way: the way on, for messages.
    """

    def __init__(
        self, config: TrainConfig, before: TrainConfig, record: RunRecord | None, path: Path, way: str
    ) -> None:
        self._config, self._before, self._record, self._path, self._way = config, before, record, path, way

    def own(self, notify: Notify) -> CfgFile:
        """The cfg that was trained; that of the saved state, not the file, if they differ.

        Raises:
            CfgError: the file is missing or damaged, and the state, of an earlier version, has no copy.
        """
        if self._record is None:
            try:
                return CfgFile.load(self._path)
            except CfgError as error:
                raise CfgError(f"{error}; {self._way}") from None
        own = CfgFile.parse(self._record.cfg, str(self._path))
        try:
            edits = diff(own, CfgFile.load(self._path))
        except (DarknetError, ValueError, IndexError):
            notify(f"{self._path}: is missing or damaged; it is written again from the saved state")
            return own
        if edits:
            notify(
                f"{self._path}: changes in this file have no effect and are undone "
                f"({_listed(edits, '; ')}); change {self._config.cfg}, or use --set"
            )
        return own

    def requested(self, own: CfgFile, notify: Notify) -> CfgFile:
        """The user's cfg with the settings written into it, as it is now."""
        config, source = self._config, None
        if not Path(config.cfg).is_file() and str(config.cfg) == str(self._before.cfg):
            notify(f"{config.cfg}: not found; the copy in the folder of the run is used")
            source = CfgFile.parse(self._record.requested, str(config.cfg)) if self._record else copy(own)
        parts = own.net.integer("subdivisions")  # auto was decided when the run began
        return requested_cfg(config, notify, source, parts)

    def apply(self, own: CfgFile, requested: CfgFile, images: int, notify: Notify) -> list[str]:
        """Write permitted changes into the cfg of the run; returns their descriptions.

        Args:
            own: the cfg of the run; changed.
            requested: the user's cfg with the settings, as it is now.
            images: number of training images, for ``epochs``.
            notify: receives the descriptions.

        Raises:
            ArgumentError: a change that would mean another network or other training data.
        """
        record = self._record
        changes = diff(CfgFile.parse(record.requested) if record else own, requested)
        if record is None:  # the length of the run may have been set by an option
            changes = [change for change in changes if change.layer >= 0 or change.key not in _LENGTH]
        self._refuse(changes)
        told: list[str] = []

        def report(text: str) -> None:
            told.append(text)
            notify(text)

        wanted = {change.key for change in changes if change.layer < 0}
        if wanted & set(SCHEDULE):
            self._reschedule(own, requested, wanted, images, report)
        if "subdivisions" in wanted:
            old, new = own.net.integer("subdivisions"), requested.net.integer("subdivisions")
            own.net.set("subdivisions", new)
            report(f"subdivisions {old} -> {new}: results will no longer be bit-identical")
        set_length(own, self._config, images, report)
        return told

    def _reschedule(
        self, own: CfgFile, requested: CfgFile, wanted: set[str], images: int, report: Callable[[str], None]
    ) -> None:
        target = copy(requested)
        if self._config.max_batches is not None or self._config.epochs is not None:
            set_length(target, self._config, images, _ignore)
            wanted = wanted | set(_LENGTH)
        elif "max_batches" not in wanted:
            stretch(target, own.net.integer("max_batches"), _ignore)
        for change in diff(own, target):
            if change.layer < 0 and change.key in wanted and change.key in SCHEDULE:
                value = target.net.get(change.key)
                if value is None:
                    own.net.remove(change.key)
                else:
                    own.net.set(change.key, value)
                report(f"{change.key} {change.old} -> {change.new}: the new schedule applies from now on")

    def _refuse(self, changes: Sequence[Change]) -> None:
        refused = [change for change in changes if not _permitted(change)]
        if not refused:
            return
        raise ArgumentError(
            f"{self._config.cfg}: is not the cfg that the run in {self._path.parent} was begun with:\n"
            f"{_listed(refused, chr(10))}\n"
            "A run keeps its network, batch, augmentation and losses; only the schedule and subdivisions may "
            "change (--lr, --max-batches, --subdivisions, --set steps=..., or the cfg). "
            f"Restore the values on the left; {self._way}"
        )


def _permitted(change: Change) -> bool:
    """Whether a change may take effect in a run, or has none at all."""
    row = keys.lookup(change.section, change.key) if change.key else None
    if row is not None and row.use in ("ignored", "unsupported"):
        return True
    return change.layer < 0 and change.key in (*SCHEDULE, "subdivisions")


def _listed(changes: Sequence[Change], separator: str) -> str:
    rest = [f"and {len(changes) - _MOST_LISTED} more"] if len(changes) > _MOST_LISTED else []
    return separator.join([str(change) for change in changes[:_MOST_LISTED]] + rest)


def _ignore(text: str) -> None:
    """Ignore a notice."""
