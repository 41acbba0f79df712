# SPDX-License-Identifier: Apache-2.0
"""Figures of matplotlib as files, with text in any script."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save(figure: Figure, place: Path | IO[bytes], dpi: int = 100) -> None:
    """Write a figure as PNG, or in the format of the path's suffix.

    Characters that the font lacks become boxes; matplotlib's warnings about them are suppressed.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        figure.savefig(place, dpi=dpi)
