# SPDX-License-Identifier: Apache-2.0
"""``--on-nan rollback``: after a loss or weight that is not finite, go on from earlier with a lower rate.

Two states of different iterations are kept besides the last one.  The older is gone back to, for the newer
may be on its way to ruin already.  Going back is nothing but writing it, with the new rate, in place of the
last state, and resuming: so a crash in between loses nothing, and a run that was killed ends as one that was
not.  Only iterations that are multiples of ``last_every`` are kept: what a run is stopped and continued at
has no say in where it goes back to.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from pydarknet.system.atomic import replacing
from pydarknet.training import checkpoint
from pydarknet.training.checkpoint import Checkpoint, Shelf
from pydarknet.training.hooks import Hook, Step

if TYPE_CHECKING:
    from pydarknet.training.loop import Training

MOST = 3  # times that a run goes back before it gives up
GENERATIONS = 2


class Anchors(Hook):
    """Keeps the states to go back to; comes after the hook that saves.

    Args:
        shelf: where the states are.
    """

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf

    def start(self, training: Training) -> None:
        """Before the first iteration there must be a state too; those of a way that was left go."""
        for iteration, path in anchors(self.shelf):
            if iteration > training.iteration:
                path.unlink(missing_ok=True)
        if not self.shelf.last.is_file():
            self.shelf.save_state(training.network, training.meta())
        self._keep(training)

    def after_step(self, training: Training, step: Step) -> None:  # noqa: ARG002
        """Keep what was saved now."""
        self._keep(training)

    def end(self, training: Training, reason: str) -> None:  # noqa: ARG002
        """A finished run needs none."""
        if reason == "finished":
            for _, path in anchors(self.shelf):
                path.unlink(missing_ok=True)

    def _keep(self, training: Training) -> None:
        if training.iteration % training.last_every and anchors(self.shelf):
            return
        place = self.shelf.folder / f"{self.shelf.base}_back-{training.iteration}.state"
        if not place.exists():
            with replacing(place) as temporary:
                try:
                    os.link(self.shelf.last, temporary)
                except OSError:  # not every drive has hard links
                    shutil.copyfile(self.shelf.last, temporary)
        for _, path in anchors(self.shelf)[:-GENERATIONS]:
            path.unlink(missing_ok=True)


def anchors(shelf: Shelf) -> list[tuple[int, Path]]:
    """(iteration, file) of the states to go back to, the oldest first."""
    pattern = re.compile(re.escape(shelf.base) + r"_back-(\d+)\.state")
    found = ((pattern.fullmatch(path.name), path) for path in shelf.folder.iterdir())
    return sorted((int(match[1]), path) for match, path in found if match)


def go_back(shelf: Shelf, training: Training, factor: float) -> str:
    """Make an earlier state the last one, its rate multiplied.

    Returns what was done, or "" if nothing can be.

    Args:
        shelf: where the states are.
        training: that came to nothing.
        factor: for the learning rate.
    """
    kept = anchors(shelf)
    if training.rollbacks >= MOST or not kept:
        return ""
    iteration, path = kept[0]
    saved = checkpoint.load(path)
    rollbacks, rate = training.rollbacks + 1, training.rate_factor * factor
    saved.meta["training"] |= {"rate_factor": rate, "rollbacks": rollbacks, "best": training.best}
    for hook in training.hooks:  # what was the best is so still, and its weights are on disk
        if hook.name == "monitor" and "monitor" in saved.meta["hooks"]:
            saved.meta["hooks"]["monitor"]["best"] = hook.state()["best"]
    checkpoint.save(shelf.last, Checkpoint(saved.network, saved.meta))
    for _, newer in kept[1:]:
        newer.unlink(missing_ok=True)
    return (
        f"back to iteration {iteration}, with {rate:g} times the learning rate of the cfg "
        f"(time {rollbacks} of at most {MOST})"
    )
