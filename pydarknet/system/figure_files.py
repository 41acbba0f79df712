# SPDX-License-Identifier: Apache-2.0
"""Figures of matplotlib as files, whatever is written in them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save(figure: Figure, place: Path | IO[bytes], dpi: int = 100) -> None:
    """Write a figure as a PNG, or as the ending of the path says.

    Names in scripts that the font does not have become boxes; matplotlib would warn of each of their letters,
    about which nobody can do anything here.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        figure.savefig(place, dpi=dpi)
