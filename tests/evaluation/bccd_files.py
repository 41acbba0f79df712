# SPDX-License-Identifier: Apache-2.0
"""The reference's validation images with their labels, as a ``.data`` file that Darknet would take."""

from __future__ import annotations

from pathlib import Path


def make_bccd(shared: Path, place: Path, count: int | None = None) -> Path:
    """The first ``count`` images (all: 87), linked, labels beside them; returns the ``.data`` file."""
    folder = shared / "fixtures/map"
    place.mkdir(exist_ok=True)
    names = [Path(line).name for line in (folder / "val.txt").read_text().split()][:count]
    for name in names:
        (place / name).symlink_to(shared / "data/bccd/JPEGImages" / name)
        label = (folder / "labels" / name).with_suffix(".txt")
        (place / label.name).write_bytes(label.read_bytes())
    (place / "valid.txt").write_text("".join(f"{place / name}\n" for name in names))
    data = place / "bccd.data"
    data.write_text(
        f"classes = 3\nvalid = {place}/valid.txt\nnames = {folder}/bccd.names\nresults = {place}/results\n"
    )
    return data


def network(shared: Path) -> list[Path]:
    """Its cfg and weights."""
    return [shared / "fixtures/map/bccd.cfg", shared / "fixtures/map/bccd.weights"]
