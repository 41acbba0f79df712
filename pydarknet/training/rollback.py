# SPDX-License-Identifier: Apache-2.0
"""``--on-nan rollback``: after a loss or weight that is not finite, resume from earlier with a lower rate.

Two states of different iterations are kept besides the last one.  A rollback takes the older, since the newer
may already be diverging.  It writes that state, with the new rate, in place of the last one, and the run is
resumed: so a crash in between loses nothing, and a run that was killed ends as one that was not.  Only
iterations that are multiples of ``last_every`` are kept, so that stopping and resuming a run does not change
which states it can roll back to.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydarknet.system.atomic import replacing
from pydarknet.training import checkpoint
from pydarknet.training.checkpoint import Checkpoint, CheckpointDir
from pydarknet.training.hooks import Hook, Step

if TYPE_CHECKING:
    from pydarknet.training.loop import TrainingLoop

MOST = 3  # rollbacks of a run before it fails
GENERATIONS = 2


class RollbackPoints(Hook):
    """Keeps the states to roll back to; comes after the hook that saves.

    Args:
        checkpoints: where the states are.
        every: keep states of iterations that are multiples of this.
    """

    def __init__(self, checkpoints: CheckpointDir, every: int) -> None:
        self.checkpoints, self._every = checkpoints, every

    def start(self, training: TrainingLoop) -> None:
        """Save a state before the first iteration too; delete the points of an abandoned branch."""
        for iteration, path in rollback_points(self.checkpoints):
            if iteration > training.iteration:
                path.unlink(missing_ok=True)
        if not self.checkpoints.last.is_file():
            self.checkpoints.save_state(training.trainer, training.meta())
        self._keep(training.iteration)

    def after_step(self, training: TrainingLoop, step: Step) -> None:  # noqa: ARG002
        """Keep the state if one was saved now."""
        self._keep(step.iteration)

    def end(self, training: TrainingLoop, reason: str) -> None:  # noqa: ARG002
        """Delete the points of a finished run."""
        if reason == "finished":
            for _, path in rollback_points(self.checkpoints):
                path.unlink(missing_ok=True)

    def _keep(self, iteration: int) -> None:
        if iteration % self._every and rollback_points(self.checkpoints):
            return
        place = self.checkpoints.folder / f"{self.checkpoints.base}_back-{iteration}.state"
        if not place.exists():
            with replacing(place) as temporary:
                try:
                    os.link(self.checkpoints.last, temporary)
                except OSError:  # not every drive has hard links
                    shutil.copyfile(self.checkpoints.last, temporary)
        for _, path in rollback_points(self.checkpoints)[:-GENERATIONS]:
            path.unlink(missing_ok=True)


def rollback_points(checkpoints: CheckpointDir) -> list[tuple[int, Path]]:
    """List (iteration, file) of the states to roll back to, the oldest first."""
    pattern = re.compile(re.escape(checkpoints.base) + r"_back-(\d+)\.state")
    found = ((pattern.fullmatch(path.name), path) for path in checkpoints.folder.iterdir())
    return sorted((int(match[1]), path) for match, path in found if match)


def roll_back(
    checkpoints: CheckpointDir, training: TrainingLoop, judges: Sequence[Hook], factor: float
) -> str:
    """Make an earlier state the last one, with its learning rate multiplied.

    Args:
        checkpoints: where the states are.
        training: the loop that failed.
        judges: hooks whose ``best`` is kept, since its weights are on disk.
        factor: of the learning rate.

    Returns:
        A description for the user; empty if no rollback is left, or no state to roll back to.
    """
    kept, now = rollback_points(checkpoints), training.state()
    rollbacks = now["rollbacks"] + 1
    if rollbacks > MOST or not kept:
        return ""
    iteration, path = kept[0]
    saved = checkpoint.load(path)
    rate = now["rate_factor"] * factor
    saved.meta["training"] |= {"rate_factor": rate, "rollbacks": rollbacks}
    for hook in judges:
        if hook.name in saved.meta["hooks"]:
            saved.meta["hooks"][hook.name]["best"] = hook.state()["best"]
    checkpoint.save(checkpoints.last, Checkpoint(saved.trainer, saved.meta, saved.run))
    for _, newer in kept[1:]:
        newer.unlink(missing_ok=True)
    return (
        f"back to iteration {iteration}, with {rate:g} times the learning rate of the cfg "
        f"(time {rollbacks} of at most {MOST})"
    )
