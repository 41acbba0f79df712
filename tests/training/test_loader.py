# SPDX-License-Identifier: Apache-2.0
"""The loader: the same batches with any number of threads, bad images counted, negatives kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import shapes

from pydarknet.cfg import CfgFile
from pydarknet.cfg.augmentation import AugmentConfig
from pydarknet.data import read
from pydarknet.data.album import ImageCache
from pydarknet.data.splits import Splits
from pydarknet.errors import DataError
from pydarknet.training.loader import Loader, draw_boxes, network_size


@pytest.fixture
def sets(tmp_path: Path) -> Splits:
    return Splits.of(read(shapes.data_set(tmp_path / "ds", 8, 2)))


def batches(
    sets: Splits, place: Path, workers: int = 1, first: int = 0, **options: object
) -> list[np.ndarray]:
    augmentation = AugmentConfig.of(CfgFile.load(shapes.cfg(place)))
    images = ImageCache(sets.train, 3, **options)
    loader = Loader(images, augmentation, 4, 2, 7, workers, lambda _: (48, 48))
    try:
        found = list(loader.batches(first, 3))
    finally:
        loader.close()
    assert all(batch.images.shape == (2, 3, 48, 48) and batch.truths.shape == (2, 200, 6) for batch in found)
    return [array for batch in found for array in (batch.images, batch.truths)]


def equal(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return len(a) == len(b) and all((x == y).all() for x, y in zip(a, b, strict=True))


def test_threads_and_restarts_change_nothing(sets: Splits, tmp_path: Path) -> None:
    """One thread or four, from the beginning or from iteration 1: the same batches."""
    reference = batches(sets, tmp_path)
    assert len(reference) == 12
    assert equal(reference, batches(sets, tmp_path, workers=4))
    assert equal(reference[4:], batches(sets, tmp_path, workers=2, first=1))


def test_the_next_batch_is_known_when_nothing_of_it_is_missing(sets: Splits, tmp_path: Path) -> None:
    augmentation = AugmentConfig.of(CfgFile.load(shapes.cfg(tmp_path)))
    loader = Loader(ImageCache(sets.train, 3), augmentation, 4, 2, 7, 1, lambda _: (48, 48))
    try:
        assert loader.ready() is None
        found = loader.batches(0, 2)
        for _ in range(3):
            next(found)
            for future in loader._queue[0][1]:
                future.result()
            following = loader.ready()
            assert following is not None
            assert following.images is loader._queue[0][0].images
        assert next(found).images is following.images
        assert loader.ready() is None
        assert not list(found)
    finally:
        loader.close()


@pytest.mark.parametrize("cache", ["ram", "disk"])
def test_caches_change_nothing(sets: Splits, tmp_path: Path, cache: str) -> None:
    """Decoded images that are kept are the same images; the disk cache is used a second time."""
    reference = batches(sets, tmp_path)
    options = {"cache": cache, "folder": tmp_path / "cache"}
    assert equal(reference, batches(sets, tmp_path, **options))
    assert equal(reference, batches(sets, tmp_path, **options))
    if cache == "disk":
        assert list((tmp_path / "cache").glob("*.npy"))


def test_unreadable_images_are_skipped_and_named(
    sets: Splits, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A damaged image is replaced by another one, named in the log, and never comes back."""
    victim = sets.train[3].image
    victim.write_bytes(victim.read_bytes()[:30])
    augmentation = AugmentConfig.of(CfgFile.load(shapes.cfg(tmp_path)))
    images = ImageCache(sets.train, 3)
    loader = Loader(images, augmentation, 8, 1, 0, 2, lambda _: (48, 48))
    paths = [p for batch in loader.batches(0, 6) for sample in batch.paths for p in sample]
    loader.close()
    assert list(images.bad) == [str(victim)]
    assert str(victim) in caplog.text
    assert str(victim) not in paths
    assert paths


def test_a_cut_photograph_is_named(sets: Splits, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A JPEG whose end is missing counts as damaged, although decoders accept it."""
    sample = sets.train[2]
    victim = sample.image.with_suffix(".jpg")
    cv2.imwrite(str(victim), cv2.imread(str(sample.image)))
    victim.write_bytes(victim.read_bytes()[: victim.stat().st_size // 2])
    images = ImageCache([replace(sample, image=victim), *sets.train], 3)
    assert images.pixels(0) is None
    assert str(victim) in caplog.text
    assert list(images.bad) == [str(victim)]


def test_too_many_unreadable_images_end_the_run(sets: Splits, tmp_path: Path) -> None:
    """Beyond the limit the error reports how many, and the last one."""
    for sample in sets.train[:4]:
        sample.image.write_bytes(b"nothing")
    augmentation = AugmentConfig.of(CfgFile.load(shapes.cfg(tmp_path)))
    loader = Loader(ImageCache(sets.train, 3, limit=2), augmentation, 8, 1, 0, 1, lambda _: (48, 48))
    with pytest.raises(DataError, match=r"3 of 8 images cannot be read, the limit is 2; the last: .*decoded"):
        list(loader.batches(0, 6))
    loader.close()


def test_negatives_and_missing_labels(tmp_path: Path) -> None:
    """An empty label file is a negative; an image without one is left out and listed."""
    data = shapes.data_set(tmp_path / "ds", 4, 1)
    (tmp_path / "ds/train/train0.txt").write_text("")
    (tmp_path / "ds/train/train1.txt").unlink()
    sets = Splits.of(read(data))
    assert [s.image.name for s in sets.unlabelled] == ["train1.png"]
    assert [s.image.name for s in sets.train] == ["train0.png", "train2.png", "train3.png"]
    assert ImageCache(sets.train, 3).boxes(0).shape == (0, 5)


def test_nothing_to_train_on(tmp_path: Path) -> None:
    """Without any label file there is no training."""
    data = shapes.data_set(tmp_path / "ds", 1, 1)
    (tmp_path / "ds/train/train0.txt").unlink()
    with pytest.raises(DataError, match="no images to train on; 1 images have no label file"):
        Splits.of(read(data))


def test_boxes_are_those_of_the_label_file(sets: Splits) -> None:
    """x, y, w, h relative to the image, and the class."""
    rows = np.loadtxt(sets.train[0].image.with_suffix(".txt"), ndmin=2)
    assert ImageCache(sets.train, 3).boxes(0) == pytest.approx(rows[:, [1, 2, 3, 4, 0]], abs=1e-6)


def test_sizes_of_a_random_training() -> None:
    """416 with random=1: the largest first and in the last 100, else 320 to 608, a new one every ten."""
    size = network_size((416, 416), 1, 32, 1000, 0)
    sizes = [size(i)[0] for i in range(1000)]
    assert {sizes[i] for i in range(10)} == {608}
    assert set(sizes[910:]) == {608}
    assert min(sizes) >= 320
    assert max(sizes) == 608
    assert len(set(sizes)) > 5
    assert all(len(set(sizes[i : i + 10])) == 1 for i in range(0, 1000, 10))
    assert network_size((416, 320), 0, 32, 1000, 0)(500) == (416, 320)


def test_plot_of_a_batch(sets: Splits, tmp_path: Path) -> None:
    """The plot shows all images of the mini-batch side by side."""
    import cv2

    augmentation = AugmentConfig.of(CfgFile.load(shapes.cfg(tmp_path)))
    loader = Loader(ImageCache(sets.train, 3), augmentation, 4, 1, 0, 1, lambda _: (48, 48))
    draw_boxes(loader.first(0), sets.names, tmp_path / "batch.png")
    loader.close()
    assert cv2.imread(str(tmp_path / "batch.png")).shape == (96, 96, 3)
