# SPDX-License-Identifier: Apache-2.0
"""Progress bars for the stages of a command."""

from __future__ import annotations

import sys
from typing import Any

from pydarknet.cli._impl.common_options import is_quiet


class Bars:
    """A :data:`pydarknet.system.notify.Progress` that draws one bar per stage; a context manager.

    Args:
        quiet: draw nothing; otherwise bars are drawn if standard error is a terminal.
        leave: keep finished bars on the screen.
        unit: the things that are counted.
    """

    def __init__(self, *, quiet: bool = False, leave: bool = True, unit: str = "images") -> None:
        self._quiet, self._leave, self._unit, self._stage = quiet, leave, unit, ""
        self._bar: Any = None

    def __enter__(self) -> Bars:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Move the bar of a stage to ``done``; a new stage closes the bar before."""
        from tqdm import tqdm

        if stage != self._stage:
            self.__exit__()
            self._stage = stage
            self._bar = tqdm(
                total=total,
                desc=stage,
                unit=f" {self._unit}",
                disable=True if self._quiet or is_quiet() else None,  # None: only on a terminal
                leave=self._leave,
                file=sys.stderr,
            )
        self._bar.update(done - self._bar.n)
