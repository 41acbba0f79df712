# SPDX-License-Identifier: Apache-2.0
"""A Darknet data set made of the blood-cell images."""

from __future__ import annotations

from pathlib import Path

import pytest
from lxml import etree

CLASSES = ("RBC", "WBC", "Platelets")


@pytest.fixture(scope="session")
def bccd24(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``.data`` file of the 24 images that Darknet's sample log was made with."""
    root = tmp_path_factory.mktemp("bccd")
    images = []
    for annotation in sorted((shared / "data/bccd/Annotations").glob("*.xml"))[:24]:
        image = root / f"{annotation.stem}.jpg"
        image.symlink_to(shared / "data/bccd/JPEGImages" / image.name)
        image.with_suffix(".txt").write_text(_labels(annotation))
        images.append(str(image))
    (root / "train.txt").write_text("\n".join(images) + "\n")
    (root / "bccd.names").write_text("\n".join(CLASSES) + "\n")
    data = root / "bccd.data"
    data.write_text(f"classes=3\ntrain={root}/train.txt\nnames={root}/bccd.names\n")
    return data


def _labels(annotation: Path) -> str:
    tree = etree.parse(annotation)
    width, height = (float(tree.findtext(f"size/{side}")) for side in ("width", "height"))
    lines = []
    for thing in tree.iter("object"):
        x1, y1, x2, y2 = (float(thing.findtext(f"bndbox/{k}")) for k in ("xmin", "ymin", "xmax", "ymax"))
        box = (x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height
        lines.append(f"{CLASSES.index(thing.findtext('name'))} " + " ".join(f"{v:.6f}" for v in box))
    return "\n".join(lines) + "\n"
