# SPDX-License-Identifier: Apache-2.0
"""Small files from reports of users, read in place: each gives the boxes that its format means.

Images are 200 x 100 pixels unless their EXIF orientation turns them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from pydarknet import data
from pydarknet.data.convert import ConvertJob, convert
from pydarknet.data.output import Output
from pydarknet.errors import DataError

Box = tuple[str, float, float, float, float]

#: Folder below faults/data -> boxes of all images, in order; x1 y1 x2 y2 in pixels.
CASES: dict[str, list[Box]] = {
    "ux01_pose_labels": [("bird", 60, 20, 140, 80)],
    "ux02_face_landmarks": [("face", 80, 30, 120, 70), ("face", 30, 40, 50, 60)],
    "ux03b_exif_png_coco": [("dog", 20, 120, 60, 180)],
    "ux03c_exif_webp_yolo": [("dog", 20, 120, 60, 180)],
    "ux06_cvat_yolo11": [("d", 80, 40, 120, 60)],
    "ux08_cvat_images_zip/task.zip": [("dog", 20, 10, 60, 40)],
    "ux09_tracker_labels": [("p", 60, 20, 140, 80)],
    "ux10_openimages_folder": [("Dog", 20, 10, 60, 40)],
    "ux12_xanylabeling_rotation": [("d", 20, 10, 60, 40)],
    "ux13_labelme_number_label": [("3", 20, 10, 60, 40)],
    "ux15b_windows_data": [("d", 80, 40, 120, 60)],
    "ux17_csv_xywh": [("dog", 20, 10, 60, 40)],
    "ux18_labelstudio_ellipse": [("u", 80, 30, 120, 70)],
    "ux19_labelstudio_completions": [("u", 100, 20, 130, 40)],
    "ux21_voc_polygon": [("dog", 20, 10, 60, 40), ("cat", 100, 10, 140, 40)],
    "ux23_labelme_labels_images": [("d", 20, 10, 60, 40)],
}


@pytest.fixture(scope="module")
def cases(shared: Path) -> Path:
    folder = shared / "faults" / "data"
    if not folder.is_dir():
        pytest.skip("no faults/data; set PYDARKNET_FIXTURES to the folder with the reference files")
    return folder


@pytest.mark.parametrize("name", CASES)
def test_boxes(cases: Path, name: str) -> None:
    dataset = data.read(cases / name, **({"allow_same": "yes"} if name.startswith("ux01") else {}))
    found = [
        (dataset.names[class_id], *(round(value, 3) for value in box))
        for sample in dataset
        for class_id, box in zip(sample.classes.tolist(), sample.boxes.tolist(), strict=True)
    ]
    assert sorted(found) == sorted(CASES[name])


def test_turned_images_have_the_size_that_is_displayed(cases: Path) -> None:
    for name in ("ux03b_exif_png_coco", "ux03c_exif_webp_yolo"):
        dataset = data.read(cases / name)
        assert dataset[0].size == (100, 200)
        assert "size-mismatch" not in dataset.report.counts


def test_confidence_is_not_the_track_id(cases: Path) -> None:
    scores = data.read(cases / "ux09_tracker_labels")[0].scores
    assert scores is not None
    assert scores.tolist() == [0.91]


def test_pixels_are_not_fractions(cases: Path) -> None:
    dataset = data.read(cases / "ux04_pixels_in_yolo")
    assert sum(map(len, dataset)) == 0
    assert dataset.report.counts["parse"] == 1


def test_a_lost_box_is_not_background(cases: Path, tmp_path: Path) -> None:
    out = Output(tmp_path / "out", link="copy")
    result = convert(ConvertJob(cases / "ux05_lost_becomes_background"), out)
    assert result.report.counts["emptied"] == 1
    assert not [path for path in (tmp_path / "out").rglob("*.txt") if not path.stat().st_size]


def test_jfif_is_an_image(cases: Path) -> None:
    assert len(data.read(cases / "ux14_jfif")) == 2


def test_splits_with_other_categories(cases: Path) -> None:
    """Each file has its own table; the error has the option that joins them by name."""
    folder = cases / "ux24_coco_split_categories"
    with pytest.raises(DataError, match="set categories=name"):
        data.read(folder)
    dataset = data.read(folder, categories="name")
    labels = {sample.image.name: dataset.names[sample.classes[0]] for sample in dataset}
    assert labels == {"a.jpg": "dog", "b.jpg": "cat"}
