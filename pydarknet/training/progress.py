# SPDX-License-Identifier: Apache-2.0
"""Progress bar of a training, on a terminal or in a notebook; elsewhere, optionally, some lines of text."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pydarknet.training.hooks import Hook, Step

if TYPE_CHECKING:
    from pydarknet.training.loop import TrainingLoop


class Bar(Hook):
    """Shows iterations, loss and mAP.

    Args:
        lines: to print in the whole training if standard error is not a terminal.
    """

    def __init__(self, lines: int = 0) -> None:
        self._lines = lines

    def start(self, training: TrainingLoop) -> None:
        """Start the bar at the present iteration."""
        from tqdm.auto import tqdm

        is_widget = any(base.__name__ == "tqdm_notebook" for base in tqdm.__mro__)
        self._bar = tqdm(
            total=training.config.max_batches,
            initial=training.iteration,
            desc="training",
            disable=not is_widget and not sys.stderr.isatty(),
        )

    def after_step(self, training: TrainingLoop, step: Step) -> None:
        """Advance the bar."""
        found = "" if step.last_map is None else f", mAP {step.last_map:.1%}"
        text = f"loss {step.avg_loss:.2f}{found}"
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.update()
        every = max(training.config.max_batches // self._lines, 1) if self._lines else 0
        if self._bar.disable and every and step.iteration % every == 0:
            print(f"{step.iteration}/{training.config.max_batches}: {text}")

    def end(self, training: TrainingLoop, reason: str) -> None:  # noqa: ARG002
        """Close the bar and leave it on the screen."""
        self._bar.close()


def notify(text: str) -> None:
    """Print a notice above the bar."""
    from tqdm import tqdm

    tqdm.write(text, file=sys.stdout)
