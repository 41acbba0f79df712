# SPDX-License-Identifier: Apache-2.0
"""A small data set of squares, discs and triangles on noise, for tests, tutorials and trials.

    python tools/shapes.py FOLDER [--labels voc|darknet] [--number 80] [--size 96] [--seed 0]

The same arguments give the same files. A quarter of the images is for validation; every tenth is background.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

NAMES = ("square", "disc", "triangle")
_COLOURS = ((60, 60, 220), (70, 190, 70), (220, 140, 50))  # blue, green, red; one per class

Shape = tuple[int, int, int, int, int]  # class, left, top, right, bottom; right and bottom exclusive


def images(number: int, size: int, seed: int) -> Iterator[tuple[np.ndarray, list[Shape]]]:
    """Images (size, size, 3) uint8 and their shapes; squares are three times as frequent as the others."""
    for i in range(number):
        rng = np.random.default_rng((seed, i))
        base = rng.integers(90, 150)
        picture = rng.integers(base - 20, base + 20, (size, size, 3), dtype=np.uint8)
        shapes: list[Shape] = []
        for _ in range(0 if i % 10 == 9 else rng.integers(1, 4)):
            side = int(rng.integers(size // 6, size // 3))
            left, top = (int(v) for v in rng.integers(1, size - side - 1, 2))
            if any(abs(left - s[1]) < size // 3 and abs(top - s[2]) < size // 3 for s in shapes):
                continue
            kind = int(rng.choice(3, p=(0.6, 0.2, 0.2)))
            _draw(picture, kind, left, top, side)
            shapes.append((kind, left, top, left + side, top + side))
        yield picture, shapes


def _draw(picture: np.ndarray, kind: int, left: int, top: int, side: int) -> None:
    last = side - 1
    colour = _COLOURS[kind]
    if kind == 0:
        cv2.rectangle(picture, (left, top), (left + last, top + last), colour, cv2.FILLED)
    elif kind == 1:
        centre = left + last // 2, top + last // 2
        cv2.circle(picture, centre, last // 2, colour, cv2.FILLED)
    else:
        corners = [(left, top + last), (left + last, top + last), (left + last // 2, top)]
        cv2.fillPoly(picture, [np.array(corners)], colour)


def write_darknet(folder: Path, number: int = 80, size: int = 96, seed: int = 0) -> Path:
    """Images with labels beside them, lists, ``shapes.names`` and ``shapes.data``; returns the latter."""
    lists: dict[str, list[str]] = {"train": [], "valid": []}
    for i, (picture, shapes) in enumerate(images(number, size, seed)):
        image = _write_image(folder / "img" / f"shape{i:03d}.png", picture)
        rows = [
            " ".join([str(kind), *(f"{v / size:.6f}" for v in ((l + r) / 2, (t + b) / 2, r - l, b - t))])
            + "\n"
            for kind, l, t, r, b in shapes  # noqa: E741
        ]
        image.with_suffix(".txt").write_text("".join(rows))
        lists["valid" if i % 4 == 3 else "train"].append(f"{image}\n")
    for name, lines in lists.items():
        (folder / f"{name}.txt").write_text("".join(lines))
    (folder / "shapes.names").write_text("".join(f"{name}\n" for name in NAMES))
    rows = [f"{key} = {folder.absolute() / key}.txt\n" for key in lists]
    rows += [f"names = {folder.absolute() / 'shapes.names'}\n", f"backup = {folder.absolute() / 'backup'}\n"]
    (folder / "shapes.data").write_text(f"classes = {len(NAMES)}\n" + "".join(rows))
    return folder / "shapes.data"


def write_voc(folder: Path, number: int = 80, size: int = 96, seed: int = 0) -> Path:
    """``JPEGImages``, ``Annotations`` and ``ImageSets/Main`` as Pascal VOC has them; returns the folder.

    Corners are on pixel edges, as LabelImg writes them.
    """
    lists: dict[str, list[str]] = {"train": [], "val": []}
    for i, (picture, shapes) in enumerate(images(number, size, seed)):
        stem = f"shape{i:03d}"
        _write_image(folder / "JPEGImages" / f"{stem}.png", picture)
        objects = "".join(
            f"<object><name>{NAMES[kind]}</name><bndbox><xmin>{l}</xmin><ymin>{t}</ymin>"
            f"<xmax>{r}</xmax><ymax>{b}</ymax></bndbox></object>"
            for kind, l, t, r, b in shapes  # noqa: E741
        )
        text = f"<annotation><filename>{stem}.png</filename><size><width>{size}</width>"
        text += f"<height>{size}</height><depth>3</depth></size>{objects}</annotation>\n"
        _make(folder / "Annotations" / f"{stem}.xml").write_text(text)
        lists["val" if i % 4 == 3 else "train"].append(f"{stem}\n")
    for name, lines in lists.items():
        _make(folder / "ImageSets" / "Main" / f"{name}.txt").write_text("".join(lines))
    return folder


def _make(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _write_image(path: Path, picture: np.ndarray) -> Path:
    path = _make(path).absolute()
    assert cv2.imwrite(str(path), picture)
    return path


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--labels", choices=("voc", "darknet"), default="darknet")
    parser.add_argument("--number", type=int, default=80)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    write = write_voc if given.labels == "voc" else write_darknet
    print(write(given.folder, given.number, given.size, given.seed))


if __name__ == "__main__":
    main()
