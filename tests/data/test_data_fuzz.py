# SPDX-License-Identifier: Apache-2.0
"""Damaged files of every format: reading them gives a data set or a DataError, never anything else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from data_files import make_image, make_text
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_data_folder_layouts import CASES

from pydarknet import data
from pydarknet.data import Dataset, Flag, Sample
from pydarknet.data.formats import FORMATS, sniff, writers
from pydarknet.errors import DataError

PERSON = {
    "tag": "person",
    "fbox": [1, 2, 30, 40],
    "vbox": [1, 2, 30, 30],
    "hbox": [5, 5, 15, 5],
    "extra": {"occ": 1},
}
REGION = {
    "shape_attributes": {"name": "rect", "x": 1, "y": 2, "width": 9, "height": 9},
    "region_attributes": {"k": "a"},
}
OPEN_IMAGES = (
    "ImageID,LabelName,XMin,XMax,YMin,YMax,IsGroupOf\na,/m/1,0.1,0.2,0.3,0.4,0\na,/m/1,0.5,0.9,0.3,0.4,1\n"
)
ILSVRC = """<annotation><filename>a</filename><size><width>64</width><height>48</height></size>
<object><name>n1</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>40</ymax></bndbox></object></annotation>"""


LTWH = {"left": 1, "top": 2, "width": 30, "height": 40}
READ_ONLY = {
    "vott": {
        "tags": [{"name": "cat"}],
        "assets": {
            "1": {"asset": {"name": "a.jpg", "state": 2}, "regions": [{"tags": ["cat"], "boundingBox": LTWH}]}
        },
    },
    "bdd100k": [
        {"name": "a.jpg", "labels": [{"category": "cat", "box2d": {"x1": 1, "y1": 2, "x2": 9, "y2": 9}}]}
    ],
    "datumaro": {
        "categories": {"label": {"labels": [{"name": "cat"}]}},
        "items": [{"id": "a", "annotations": [{"type": "bbox", "label_id": 0, "bbox": [1, 2, 30, 40]}]}],
    },
    "labelbox": [{"External ID": "a.jpg", "Label": {"objects": [{"title": "cat", "bbox": LTWH}]}}],
}


def _read_only(name: str, root: Path) -> Path:
    """A small set in a format that cannot be written; returns what to read."""
    make_image(root / "a.jpg", 64, 48)
    if name == "crowdhuman":
        return make_text(root / "a.odgt", 2 * (json.dumps({"ID": "a", "gtboxes": [PERSON]}) + "\n"))
    if name == "via":
        entry = {"filename": "a.jpg", "size": 1, "regions": [REGION]}
        return make_text(root / "v.json", json.dumps({"a.jpg1": entry}))
    if name == "openimages":
        make_text(root / "class-descriptions-boxable.csv", "/m/1,Car\n")
        return make_text(root / "train-annotations-bbox.csv", OPEN_IMAGES)
    if name in READ_ONLY:
        return make_text(root / "a.json", json.dumps(READ_ONLY[name]))
    if name in CASES:
        CASES[name][0](root)
        return root
    assert name == "ilsvrc"
    make_image(root / "Data/CLS-LOC/train/n1/a.JPEG", 64, 48)
    make_text(root / "LOC_synset_mapping.txt", "n1 tench\n")
    make_text(root / "Annotations/CLS-LOC/train/n1/a.xml", ILSVRC)
    return root


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, list[Path]]]:
    """For a format: what to read, and the text files it consists of."""
    made: dict[str, tuple[Path, list[Path]]] = {}

    def make(name: str) -> tuple[Path, list[Path]]:
        if name not in made:
            root = tmp_path_factory.mktemp(name)
            if name in writers():
                image = make_image(tmp_path_factory.mktemp("images") / "a.png", 64, 48)
                boxes, flags = np.array([[1, 2, 30, 40], [10, 10, 20, 20]]), np.array([0, Flag.DIFFICULT])
                names, classes = (["cat", "dog"], [0, 1]) if name != "widerface" else (["face"], [0, 0])
                data.write(
                    Dataset([Sample(image, boxes, np.array(classes), flags)], names), root / "set", name
                )
                path = next(
                    p for p in (root / "set", *sorted((root / "set").iterdir())) if _recognised(p, name)
                )
            else:
                path = _read_only(name, root)
            files = [f for f in root.rglob("*") if f.is_file() and f.suffix not in (".png", ".jpg", ".JPEG")]
            assert len(data.read(path, name)) >= 1
            made[name] = (path, files)
        return made[name]

    return make


def _recognised(path: Path, name: str) -> bool:
    try:
        return sniff(path) == name
    except DataError:
        return False


damage = st.tuples(
    st.floats(0, 1),
    st.integers(0, 8),
    st.one_of(
        st.binary(max_size=6),
        st.sampled_from(
            [b"", b"0", b"-1", b"1e999", b"nan", b"null", b"[]", b"{}", b'"', b"\n", b",", b"<", b"\xff"]
        ),
    ),
)


@pytest.mark.parametrize("name", list(FORMATS))
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data_=st.data())
def test_damaged_files(
    name: str, sets: Callable[[str], tuple[Path, list[Path]]], data_: st.DataObject
) -> None:
    """Some bytes of one file are replaced; boxes that are still read lie inside their image."""
    path, files = sets(name)
    victim = data_.draw(st.sampled_from(files))
    place, count, new = data_.draw(damage)
    original = victim.read_bytes()
    at = int(place * len(original))
    try:
        victim.write_bytes(original[:at] + new + original[at + count :])
        try:
            dataset = data.read(path, name)
        except DataError:
            return
        for sample in dataset:
            assert (sample.boxes >= 0).all()
            assert (sample.boxes[:, 2:] <= (sample.width, sample.height)).all()
            assert (sample.boxes[:, :2] < sample.boxes[:, 2:]).all()
    finally:
        victim.write_bytes(original)
