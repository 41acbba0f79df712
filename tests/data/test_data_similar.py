# SPDX-License-Identifier: Apache-2.0
"""Equal files and look-alikes: copies are found however they were made, other images are not."""

from __future__ import annotations

from collections import Counter

import cv2
import numpy as np
import pytest
from data_sets import shapes

from pydarknet.data import Report, ops, read
from pydarknet.data.similar import content_groups, near_clusters, repeated


@pytest.fixture(scope="module")
def pictures():
    return [picture for picture, _ in shapes().images(24, 96, seed=3) if len(_) >= 2]


def save(folder, name, picture, *arguments):
    path = folder / name
    assert cv2.imwrite(str(path), picture, *arguments)
    return path


def test_equal_files(tmp_path, pictures):
    paths = [save(tmp_path, f"{i}.png", pictures[i % 3]) for i in range(7)]
    assert content_groups(paths) == [[0, 3, 6], [1, 4], [2, 5]]


def test_files_of_equal_length_are_compared(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_bytes(b"1234")
    b.write_bytes(b"1235")
    assert content_groups([a, b]) == []


def test_ten_noisy_copies_are_one_cluster(tmp_path, pictures):
    """Noise, another size, another brightness and JPEG do not hide a copy."""
    rng = np.random.default_rng(0)
    first = pictures[0]
    copies = [np.clip(first + rng.normal(0, 6, first.shape), 0, 255).astype(np.uint8) for _ in range(7)]
    copies.append(cv2.resize(first, None, fx=2, fy=2))
    copies.append(np.clip(first * 1.1, 0, 255).astype(np.uint8))
    paths = [save(tmp_path, f"{i}.png", p) for i, p in enumerate([*pictures, *copies])]
    paths.append(save(tmp_path, "last.jpg", first, [cv2.IMWRITE_JPEG_QUALITY, 40]))
    n = len(pictures)
    assert near_clusters(paths) == [[0, *range(n, n + 10)]]


def test_different_photographs_of_one_kind_are_no_copies(bccd):
    """Of 364 blood smears two frames overlap; nothing else looks alike."""
    paths = sorted((bccd / "JPEGImages").glob("*.jpg"))
    clusters = near_clusters(paths)
    assert [[paths[i].stem for i in cluster] for cluster in clusters] == [
        ["BloodImage_00037", "BloodImage_00038"]
    ]


def test_flat_pictures(tmp_path):
    """All-black images have no structure to correlate; they are no copies by accident of division."""
    paths = [save(tmp_path, f"{i}.png", np.zeros((8, 8, 3), np.uint8)) for i in range(2)]
    assert near_clusters(paths) == []
    assert content_groups(paths) == [[0, 1]]


def test_unreadable_images_are_reported(tmp_path, pictures):
    good = save(tmp_path, "good.png", pictures[0])
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    report = Report()
    assert near_clusters([bad, good, good], report=report) == [[1, 2]]
    assert "bad.png: cannot be decoded" in str(report)
    assert content_groups([tmp_path / "absent.png", good], report=report) == []
    assert "absent.png: no such image" in str(report)


def test_repeated_images_of_another_list(tmp_path, pictures):
    """Copies are found once each; links to a file of the first list and repetitions within it are not."""
    train = [save(tmp_path, f"{i}.png", picture) for i, picture in enumerate([*pictures, pictures[1]])]
    equal = save(tmp_path, "equal.png", pictures[0])
    larger = save(tmp_path, "larger.png", cv2.resize(pictures[2], None, fx=2, fy=2))
    link = tmp_path / "link.png"
    link.symlink_to(train[3])
    assert repeated(train, [equal, larger, link], near=False) == [(train[0], equal)]
    assert sorted(repeated(train, [larger, link, equal], near=True)) == [
        (train[0], equal),
        (train[2], larger),
    ]
    assert repeated(train, [], near=False) == []


def test_nothing_to_compare():
    assert near_clusters([]) == []
    assert content_groups([]) == []


def test_look_alikes_stay_in_one_split(tmp_path, pictures):
    """Grouped by look, copies cannot leak from training into validation."""
    for i, picture in enumerate(pictures):
        for copy in range(3):
            noisy = np.clip(picture.astype(int) + copy, 0, 255).astype(np.uint8)
            save(tmp_path, f"{i}_{copy}.png", noisy).with_suffix(".txt").write_text("0 0.5 0.5 0.2 0.2\n")
    done = ops.split(read(tmp_path, names=["a"]), (0.5, 0.5), group_by="duplicates")
    places = Counter((s.name.split("_")[0], s.split) for s in done)
    assert len(places) == len(pictures)
    assert set(places.values()) == {3}


def test_progress_is_told(tmp_path, pictures):
    paths = [save(tmp_path, f"{i}.png", picture) for i, picture in enumerate(pictures[:3])]
    seen = []
    near_clusters(paths, progress=lambda *call: seen.append(call))
    assert seen == [("compare", 1, 3), ("compare", 2, 3), ("compare", 3, 3)]
