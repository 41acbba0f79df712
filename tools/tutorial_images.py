# SPDX-License-Identifier: Apache-2.0
"""Draw the images of docs/tutorial-datasets.md: ``python tools/tutorial_images.py``.

They show generated shapes (tools/shapes.py), so the repository contains no third-party images.
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
