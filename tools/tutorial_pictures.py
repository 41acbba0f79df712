# SPDX-License-Identifier: Apache-2.0
"""Draw the pictures of docs/tutorial-datasets.md anew: ``python tools/tutorial_pictures.py``.

They show made-up shapes (tools/shapes.py), so that no picture of somebody else is in the repository.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import cv2

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]


def main() -> None:
    """Write docs/images/tutorial-*.*"""
    from shapes import write_voc

    from pydarknet.data import ops, read
    from pydarknet.data.plots import save_labels
    from pydarknet.data.stats import statistics
    from pydarknet.data.view import contact_sheet

    folder = ROOT / "docs" / "images"
    with tempfile.TemporaryDirectory() as temporary:
        dataset = read(write_voc(Path(temporary), 80))
        save_labels(dataset, statistics(dataset, [(96, 96)]), folder / "tutorial-labels.png")
        sheet = contact_sheet(ops.shuffled(dataset, 4)[:8], dataset.names, tile=160)
        cv2.imwrite(str(folder / "tutorial-sheet.jpg"), sheet, [cv2.IMWRITE_JPEG_QUALITY, 85])


if __name__ == "__main__":
    main()
