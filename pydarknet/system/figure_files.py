# SPDX-License-Identifier: Apache-2.0
"""Figures of matplotlib as files, with text in any script."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import IO, TYPE_CHECKING

from pydarknet.system.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save(figure: Figure, place: Path | IO[bytes], dpi: int = 100) -> None:
    """Write a figure as PNG, or in the format of the path's suffix.

    Characters that the font lacks become boxes; matplotlib's warnings about them are suppressed. Bytes of
    file names that are not UTF-8, which matplotlib does not accept, are written as ``\\udcXX``.
    """
    for artist in figure.findobj(lambda artist: hasattr(artist, "set_text")):
        artist.set_text(printable(artist.get_text()))  # type: ignore[attr-defined]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        figure.savefig(place, dpi=dpi)
