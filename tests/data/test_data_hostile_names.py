# SPDX-License-Identifier: Apache-2.0
"""Names of images that break careless writers come back from every format, each with its own box."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from data_files import make_image

from pydarknet import data
from pydarknet.data import Dataset, Sample
from pydarknet.data.formats import writers

STEMS = (
    *("plain", "two words", " leading", "a,b", "a;b", 'quo"te', "apo'strophe", "a&b", "a<b>", "#hash", "a=b"),
    *("per%20cent", "a+b", "question?", "star*", "colon:x", "pipe|x", "dot.dot", "a.jpeg", "a.png.x", "end."),
    *(
        "ümläut",
        unicodedata.normalize("NFD", "zürich"),
        "çay",
        "日本",
        "😀",
        "-dash",
        "_x",
        "(1)",
        "[x]",
        "{x}",
    ),
    *("$x", "~x", "a@b", "1", "007", "null", "n01440764_10026"),
)


@pytest.mark.parametrize("name", writers())
def test_names(tmp_path: Path, name: str) -> None:
    """Each image has a box of its own width, so that no two can be confused."""
    samples = []
    for number, stem in enumerate(STEMS, 1):
        image = make_image(tmp_path / "in" / f"{stem}.png", 60, 30)
        samples.append(
            Sample(image, np.array([[0, 0, number, 20]]), np.array([0]), size=(60, 30), split="train")
        )
    report = data.write(Dataset(samples, ["face"]), tmp_path / "out", name)
    assert not report.errors, str(report)
    after = data.read(tmp_path / "out")
    assert not after.report.errors, str(after.report)
    found = [(Path(sample.name).stem, round(float(sample.boxes[0, 2]), 3)) for sample in after]
    expected = [(stem, float(number)) for number, stem in enumerate(STEMS, 1)]
    if name == "mot":  # frames are numbered in the order of the images
        expected = [(f"{number:06d}", float(number)) for number in range(1, len(STEMS) + 1)]
    assert sorted(found) == sorted(expected)


def test_other_extension_on_disk(tmp_path: Path) -> None:
    """An annotation of a.jpg finds a.jpeg, but never an image of another name."""
    for suffix, stated in ((".jpeg", "a.jpg"), (".png", "b.jpg")):
        make_image(tmp_path / f"{stated[0]}{suffix}", 60, 30)
    rows = "a.jpg,face,0,0,5,5\nb.jpg,face,0,0,6,6\nc.jpg,face,0,0,7,7\n"
    (tmp_path / "l.csv").write_text(f"filename,class,xmin,ymin,xmax,ymax\n{rows}")
    dataset = data.read(tmp_path)
    assert {sample.image.name: sample.boxes[0, 2] for sample in dataset} == {"a.jpeg": 5, "b.png": 6}
    assert dataset.report.counts["missing-image"] == 1
