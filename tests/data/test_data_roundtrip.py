# SPDX-License-Identifier: Apache-2.0
"""Whatever is written comes back: classes, boxes, and the flags that the format can hold."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from data_files import make_image
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pydarknet import data
from pydarknet.data import Dataset, Flag, Sample, Status
from pydarknet.data.dataset import SET_ASIDE
from pydarknet.data.formats import sniff, writers

SIZES = [(640, 480), (33, 61), (1242, 375)]
NAMES = ("cat", "dog & <pony>", "çay bardağı")
OCCLUDED, TRUNCATED = int(Flag.OCCLUDED), int(Flag.TRUNCATED)


@dataclass(frozen=True)
class Promise:
    """Properties that a format keeps.

    Attributes:
        tolerance: of a corner, in pixels.
        flags: how a box's flags come back; ``None`` = the box is not there any more.
        any_class: whether a region that is ignored for every class comes back.
    """

    tolerance: float = 1e-6
    keeps: int = 0
    aside: int | None = None
    any_class: bool = False

    def flags(self, flags: int) -> int | None:
        if flags & int(SET_ASIDE) and self.aside is not None:
            return self.aside | flags & self.keeps
        if flags & int(SET_ASIDE) and not self.keeps & int(SET_ASIDE):
            return None
        return flags & self.keeps


ALL = int(SET_ASIDE) | OCCLUDED | TRUNCATED
FRACTION = 1e-6 * 1242  # six decimals of a fraction of the widest image, in pixels
PROMISES = {
    "darknet": Promise(tolerance=FRACTION, aside=int(Flag.IGNORE), any_class=True),
    "yolov5": Promise(tolerance=FRACTION, aside=int(Flag.IGNORE), any_class=True),
    "voc": Promise(tolerance=1.0, keeps=OCCLUDED | TRUNCATED, aside=int(Flag.DIFFICULT)),
    "coco": Promise(keeps=ALL),
    "csv": Promise(keeps=ALL, any_class=True),
    "cvat": Promise(keeps=ALL, any_class=True, tolerance=1e-5),
    "labelme": Promise(keeps=ALL),
    "labelstudio": Promise(),
    "groundtruth": Promise(tolerance=1.0),
    "kaggle": Promise(tolerance=1.0),
    "widerface": Promise(tolerance=1.0, keeps=OCCLUDED, aside=int(Flag.IGNORE)),
    "visdrone": Promise(tolerance=1.0, keeps=OCCLUDED | TRUNCATED, aside=int(Flag.IGNORE), any_class=True),
    "mot": Promise(tolerance=2e-6, keeps=OCCLUDED, aside=int(Flag.IGNORE)),
    "createml": Promise(),
    "kitti": Promise(tolerance=1e-6, keeps=OCCLUDED | TRUNCATED),
}


def test_every_writer_makes_a_promise() -> None:
    """A format that learns to write is tested here."""
    assert sorted(PROMISES) == sorted(writers())


@st.composite
def datasets(draw: st.DrawFn) -> list[tuple[tuple[int, int], list[tuple[int, tuple[float, ...], int]]]]:
    """Images with boxes inside them, at least a pixel wide, in any combination of flags."""
    images = []
    for _ in range(draw(st.integers(1, 3))):
        width, height = draw(st.sampled_from(SIZES))
        boxes = {}
        for _ in range(draw(st.integers(0, 4))):
            x1, y1 = draw(st.floats(0, width - 2)), draw(st.floats(0, height - 2))
            x2, y2 = draw(st.floats(x1 + 1, width)), draw(st.floats(y1 + 1, height))
            flags = draw(st.sampled_from([0, 0, 1, 2, 4, 8, 16, 25]))
            class_id = draw(st.integers(0, len(NAMES) - 1))
            if draw(st.integers(0, 9)) == 0:
                class_id, flags = -1, int(Flag.IGNORE)
            corners = tuple(round(value, 3) for value in (x1, y1, x2, y2))
            # Formats of whole pixels, or without classes of ignored regions, may make two boxes one: they
            # are kept apart by what survives that.
            boxes[tuple(round(value) for value in corners)] = (class_id, corners, flags)
        images.append(((width, height), list(boxes.values())))
    return images


def build(folder: Path, images: list, names: tuple[str, ...]) -> Dataset:
    samples = []
    for number, (size, boxes) in enumerate(images):
        path = make_image(folder / f"img{number}.png", *size)
        samples.append(
            Sample(
                path,
                np.array([corners for _, corners, _ in boxes]),
                np.array([class_id for class_id, _, _ in boxes]),
                np.array([flags for _, _, flags in boxes]),
                size=size,
                split="train",
            )
        )
    return Dataset(samples, names)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Archives are unpacked here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.mark.parametrize("name", sorted(PROMISES))
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(images=datasets())
def test_round_trip(name: str, cache: None, images: list) -> None:
    """read(write(x)) is x, within what the format promises."""
    promise = PROMISES[name]
    names = tuple(n.replace(" ", "_") for n in NAMES) if name in ("kaggle", "kitti") else NAMES
    if name == "widerface":  # one class, and no region for every class
        names = ("face",)
        images = [
            (size, list({tuple(map(round, box[1])): (0, *box[1:]) for box in boxes}.values()))
            for size, boxes in images
        ]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        before = build(root / "in", images, names)
        stored = [(s.boxes.copy(), s.classes.copy(), s.flags.copy()) for s in before]
        out = root / "out"
        report = data.write(before, out, name)
        assert sniff(out) == name
        archive = shutil.make_archive(str(root / "export"), "zip", out)
        fixed = name in ("yolov5", "widerface")
        after = data.read(out, names=None if fixed else names)
        unpacked = data.read(archive, names=None if fixed else names)
        assert [s.boxes.tolist() for s in unpacked] == [s.boxes.tolist() for s in after]

        assert after.names == names
        lost = 0
        by_name = {sample.name.rpartition("/")[2]: sample for sample in after}
        if name == "mot":  # frames are numbered
            by_name = {old.image.name: new for old, new in zip(before, after, strict=True)}
        for sample, (boxes, classes, flags) in zip(before, stored, strict=True):
            assert (sample.boxes == boxes).all()
            expected = []
            for class_before, corners, bits in zip(classes.tolist(), boxes, flags.tolist(), strict=True):
                class_id, kept = class_before, promise.flags(bits)
                if name == "kitti" and bits & int(SET_ASIDE):
                    class_id, kept = -1, int(Flag.IGNORE)
                elif class_id < 0 and not promise.any_class:
                    kept = None
                elif class_id < 0:
                    kept = int(Flag.IGNORE)
                if kept is None:
                    lost += 1
                else:
                    expected.append((class_id, kept, corners))
            found = by_name[sample.image.name]
            got = list(zip(found.classes.tolist(), found.flags.tolist(), found.boxes, strict=True))
            _compare(expected, got, promise.tolerance)
            assert found.status == (Status.ANNOTATED if expected or len(found) else Status.BACKGROUND)
            assert (found.boxes >= 0).all()
            assert (found.boxes[:, 2:] <= np.array(found.size)).all()
        dropped = [
            issue for issue in report.issues if issue.code == "lost-flag" and issue.action == "dropped"
        ]
        assert len(dropped) == lost


def _compare(expected: list, got: list, tolerance: float) -> None:
    """Equal as sets: side files move boxes to the end."""
    assert len(expected) == len(got)
    left = list(got)
    for class_id, flags, corners in expected:
        same = [i for i, item in enumerate(left) if item[:2] == (class_id, flags)]
        assert same, f"class {class_id} with flags {flags} is lost"
        best = min(same, key=lambda i: np.abs(left[i][2] - corners).max())
        assert np.abs(left[best][2] - corners).max() <= tolerance + 1e-9
        del left[best]


@pytest.mark.parametrize("coords", ["edge", "voc", "ilsvrc"])
def test_voc_conventions_agree(tmp_path: Path, coords: str) -> None:
    """The convention changes what the file says, not where the box is."""
    before = build(tmp_path / "in", [((640, 480), [(0, (10.0, 20.0, 60.0, 90.0), 0)])], NAMES)
    data.write(before, tmp_path / "out", "voc", coords=coords)
    after = data.read(tmp_path / "out", names=NAMES)
    assert after[0].boxes.tolist() == [[10, 20, 60, 90]]
    text = next((tmp_path / "out").rglob("*.xml")).read_text()
    assert f"<xmin>{10 + (coords == 'voc')}</xmin>" in text


def test_layouts_agree(tmp_path: Path) -> None:
    """Labels beside the images or in their own tree: the same data set."""
    before = build(tmp_path / "in", [((640, 480), [(1, (10.0, 20.0, 60.0, 90.0), 0)]), ((33, 61), [])], NAMES)
    found = []
    for layout in ("same", "images-labels"):
        data.write(before, tmp_path / layout, layout=layout)
        after = data.read(tmp_path / layout)
        found.append([(s.name, s.classes.tolist(), s.boxes.tolist(), s.status) for s in after])
    assert found[0] == found[1]
    assert (tmp_path / "images-labels/labels/train/img0.txt").is_file()
