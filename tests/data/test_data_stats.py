# SPDX-License-Identifier: Apache-2.0
"""Numbers, advice and images about a data set, against counts by hand and published counts."""

from __future__ import annotations

from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from data_sets import dataset, sample

from pydarknet.data import Dataset, Flag, Sample, Status, read
from pydarknet.data.advice import advise
from pydarknet.data.plots import save_images, save_labels
from pydarknet.data.stats import Stats, statistics
from pydarknet.errors import DataError


def codes(stats: Stats) -> set[str]:
    return {remark.code for remark in advise(stats)}


@pytest.fixture(scope="module")
def small() -> Dataset:
    """Two images of 200x100 and 400x400 with boxes of 20x10 and 100x100, one set aside, one empty image."""
    return Dataset(
        [
            Sample(Path("a"), [(0, 0, 20, 10), (90, 45, 110, 55)], [0, 0], size=(200, 100), split="train"),
            Sample(
                Path("b"),
                [(0, 0, 100, 100), (0, 0, 9, 9)],
                [1, 1],
                flags=[0, Flag.CROWD],
                size=(400, 400),
                split="val",
            ),
            Sample(Path("c"), size=(400, 400), split="train"),
            Sample(Path("d"), size=(400, 400), status=Status.UNLABELLED),
        ],
        ("cat", "dog"),
    )


def test_counts(small):
    found = statistics(small)
    assert (found.images, found.boxes, found.set_aside) == (4, 3, 1)
    assert found.statuses == {"annotated": 2, "background": 1, "unlabelled": 1}
    assert found.splits == {"train": 2, "val": 1, "": 1}
    cat, dog = found.classes
    assert (cat.boxes, cat.images, cat.splits, cat.set_aside) == (2, 1, {"train": 2}, 0)
    assert (dog.boxes, dog.images, dog.splits, dog.set_aside) == (1, 1, {"val": 1}, 1)
    assert found.boxes_per_image_counts == {0: 2, 1: 1, 2: 1}
    assert found.counters_per_class == "2,1"


def test_sizes_in_network_pixels(small):
    """20x10 of 200x100 is 32x32 at 320x320 and 64x32 at 640x320; 100 of 400 is 80 at 320."""
    first, second = statistics(small, [(320, 320), (640, 320)]).networks
    assert first.below == {8: 0.0, 16: 0.0, 32: 0.0}
    assert (first.box_width.min, first.box_width.max) == (32, 80)
    assert (second.box_width.min, second.box_height.min) == (64, 32)
    tiny = statistics(small, [(32, 32)]).networks[0]
    assert tiny.below == {8: 2 / 3, 16: 1.0, 32: 1.0}


def test_darknet_drops_boxes_under_a_pixel():
    data = dataset(Sample(Path("x"), [(0, 0, 2, 400), (0, 0, 400, 400)], [0, 1], size=(1000, 1000)))
    found = statistics(data, [(416, 416)])
    assert found.networks[0].dropped == 1
    assert "vanishing" in codes(found)


def test_image_sizes(small):
    """Longer sides 200, 400, 400, 400."""
    sizes = statistics(small).image_sizes
    assert sizes.longer_side_mean == 350
    assert (sizes.width.min, sizes.width.max, sizes.aspect.max) == (200, 400, 2)
    assert sizes.common == [(400, 400, 3), (200, 100, 1)]


@pytest.mark.parametrize(
    ("side", "image", "expected"),
    [
        (100, 1000, 320),  # 32 px of a box that is a tenth of the image
        (70, 1000, 480),  # 457 is needed; the next multiple of 32
        (10, 640, 640),  # 2048 would be needed, but the image has 640
        (10, 4000, 1280),  # no larger than anyone trains
        (400, 400, 32),
    ],
)
def test_recommended_size(side, image, expected):
    data = dataset(Sample(Path("x"), [(0, 0, side, side)], [0], size=(image, image)))
    assert statistics(data).image_sizes.recommended == expected


def test_heat_map(small):
    """Centres at (0.05, 0.05), (0.5, 0.5) and (0.125, 0.125) of the image; rows go down."""
    heat = np.array(statistics(small).centres)
    assert heat.sum() == 3
    assert heat[1, 1] == heat[16, 16] == heat[4, 4] == 1


def test_side_must_suit_the_network(small):
    with pytest.raises(DataError, match="418 is not, 416 and 448 are"):
        statistics(small, [(418, 416)])


def test_nothing_at_all():
    found = statistics(Dataset([], ()))
    assert (found.images, found.boxes, found.image_sizes.longer_side_mean) == (0, 0, 0)
    assert isinstance(advise(found), list)


def test_becomes_json(small):
    text = msgspec.json.encode(statistics(small))
    assert msgspec.json.decode(text, type=Stats) == statistics(small)


def test_blood_cells(bccd):
    """Published counts are 4155 RBC, 372 WBC, 361 platelets; two of the RBC boxes have no area."""
    data = read(bccd)
    found = statistics(data, [(416, 416)], duplicates="near")
    counts = {c.name: c.boxes for c in found.classes}
    assert data.report.counts == {"degenerate": 2}
    assert counts["RBC"] + 2 == 4155
    assert (counts["WBC"], counts["Platelets"]) == (372, 361)
    assert found.image_sizes.longer_side_mean == 640.0
    assert found.image_sizes.common == [(640, 480, 364)]
    rare = next(remark for remark in advise(found) if remark.code == "rare")
    assert set(rare.classes) == {"WBC", "Platelets"}
    few = next(remark for remark in advise(found) if remark.code == "few")
    assert set(few.classes) == {"RBC", "WBC", "Platelets"}
    assert "leak" in codes(found)  # frames 37 and 38 overlap and are in different splits


def test_copies_across_splits(tmp_path):
    """Ten copies of one image: nine could go, and those in validation leak."""
    picture = np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    samples = []
    for i in range(10):
        path = tmp_path / f"{i}.png"
        cv2.imwrite(str(path), picture)
        samples.append(Sample(path, [(0, 0, 9, 9)], [0], split="val" if i == 3 else "train"))
    found = statistics(Dataset(samples, "a"), duplicates="exact")
    assert found.duplicates.share == 0.9
    assert found.duplicates.near is None
    assert [len(group) for group in found.duplicates.across] == [10]
    assert {"leak", "duplicates"} <= codes(found)
    with pytest.raises(DataError, match="none, exact or near, not 'all'"):
        statistics(Dataset(samples, "a"), duplicates="all")


def test_advice_on_classes():
    names = ("car", "Cars", "bus", "tram")
    data = Dataset(
        [sample("a", 0, 1, split="train"), sample("b", 0, split="val"), sample("c", 2, split="val")], names
    )
    found = {remark.code: remark for remark in advise(statistics(data))}
    assert found["absent"].classes == ["tram"]
    assert found["not-in-val"].classes == ["Cars"]
    assert found["not-in-train"].classes == ["bus"]
    assert found["names"].classes == ["car", "Cars"]
    assert "no-val" not in found


def test_advice_on_images(small):
    found = {remark.code: remark.text for remark in advise(statistics(small))}
    assert "1 images have no label file" in found["unlabelled"]
    assert "33% of the images are background" in found["background"]
    crowd = dataset(sample("x", *([0] * 201)))
    assert "max=201" in next(r.text for r in advise(statistics(crowd)) if r.code == "crowded")
    assert "no-val" in codes(statistics(crowd))


def test_good_data_need_no_advice():
    """1500 images of each class, 7 boxes each, backgrounds, two splits, nothing small."""
    images = [
        Sample(Path(f"{i}"), [(0, 0, 50, 50)] * 7, [i % 2] * 7, size=(100, 100), split="train")
        for i in range(3000)
    ]
    images += [sample(f"v{i}", i, split="val", size=(20, 20)) for i in range(2)]
    images += [sample(f"e{i}", split="train") for i in range(100)]
    assert codes(statistics(Dataset(images, ("cat", "dog")))) == set()


def test_pictures(small, tmp_path):
    """Both images are PNG files of a sensible size; class names with $ or _ are no formulas."""
    odd = Dataset(small.samples, ("a_$b^$", "dog"))
    save_labels(odd, statistics(odd), tmp_path / "labels.png")
    save_images(odd, tmp_path / "sub" / "images.png")
    for path in (tmp_path / "labels.png", tmp_path / "sub" / "images.png"):
        picture = cv2.imread(str(path))
        assert picture is not None
        assert picture.shape[0] >= 400
        assert picture.std() > 10


def test_pictures_of_nothing(tmp_path):
    empty = Dataset([sample("x")], ("a",))
    save_labels(empty, statistics(empty), tmp_path / "labels.png")
    assert (tmp_path / "labels.png").stat().st_size > 1000
