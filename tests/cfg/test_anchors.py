# SPDX-License-Identifier: Apache-2.0
"""Anchors: found as well as Darknet's or better, judged by numbers that can be checked by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from pydarknet import cfg
from pydarknet.cfg import anchors
from pydarknet.cfg.plots import plot_anchors
from pydarknet.engine.boxes import iou_of_sizes
from pydarknet.errors import CfgError, DataError, FileError

DARKNET = "26, 31,  62, 67,  54, 88,  74, 82,  72,100, 135,161"  # printed by Darknet for 24 images of BCCD
DARKNET_IOU = 0.8575


def three_clusters(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    centres = np.array([[10.0, 20.0], [80.0, 60.0], [200.0, 300.0]])
    noise = np.random.default_rng(seed).normal(0, 0.4, (3, 200, 2))
    boxes = (centres[:, None] + noise).reshape(-1, 2)
    return boxes, boxes.reshape(3, 200, 2).mean(1)


def test_iou_by_hand() -> None:
    assert iou_of_sizes([[10, 10]], [[10, 10], [5, 20], [20, 20]]) == pytest.approx(
        np.array([[1, 50 / 150, 100 / 400]])
    )


@pytest.mark.parametrize("metric", ["iou", "l2"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_separate_clusters_give_their_means(metric: str, seed: int) -> None:
    boxes, means = three_clusters()
    found = anchors.kmeans(boxes, 3, metric=metric, seed=seed)
    assert found.anchors == pytest.approx(means, abs=1)
    assert found.mean_iou > 0.95


def test_euclidean_clusters_are_as_good_as_those_of_scikit_learn() -> None:
    """The sum of squared distances, of boxes without clear clusters."""
    boxes = np.random.default_rng(0).lognormal(3, 1, (300, 2))
    ours = anchors.kmeans(boxes, 6, metric="l2").anchors
    inertia = ((boxes[:, None] - ours) ** 2).sum(2).min(1).sum()
    assert inertia <= KMeans(6, n_init=3, random_state=0).fit(boxes).inertia_ * 1.001


def test_spread_out_starts_draw_far_boxes_in_proportion() -> None:
    """From (1, 1) the boxes at distance 1 and 3 are drawn 1 : 9; a box is never drawn twice."""
    boxes = np.array([[1.0, 1], [2, 1], [4, 1]])
    rng = np.random.default_rng(0)
    starts = [anchors.spread_out(boxes, 2, rng)[:, 0] for _ in range(4000)]
    assert all(first != second for first, second in starts)
    seconds = [second for first, second in starts if first == 1]
    assert seconds.count(4) / len(seconds) == pytest.approx(0.9, abs=0.03)
    assert np.unique(anchors.spread_out(boxes, 3, rng), axis=0).shape == (3, 2)


def test_the_same_seed_gives_the_same_anchors() -> None:
    boxes = np.random.default_rng(1).lognormal(3, 1, (500, 2))
    first, second = (anchors.kmeans(boxes, 5, seed=7, generations=50) for _ in range(2))
    assert (first.anchors == second.anchors).all()


def test_refinement_never_makes_it_worse() -> None:
    boxes = np.random.default_rng(1).lognormal(3, 1, (500, 2))
    plain, refined = (anchors.kmeans(boxes, 5, generations=n).mean_iou for n in (0, 300))
    assert refined > plain


@given(st.integers(1, 6), st.integers(0, 10_000))
def test_anchors_are_sorted_by_area_and_inside_the_boxes(count: int, seed: int) -> None:
    boxes = np.random.default_rng(seed).uniform(1, 400, (30, 2))
    found = anchors.kmeans(boxes, count, restarts=2, seed=seed).anchors
    assert found.shape == (count, 2)
    assert (np.diff(found.prod(1)) >= 0).all()
    assert (found >= boxes.min(0)).all()
    assert (found <= boxes.max(0)).all()


def test_many_boxes_of_few_sizes() -> None:
    """A rare size is found although most starts are tried on a part of the boxes."""
    boxes = np.repeat([[10, 10], [100, 100]], [9_999, 1], axis=0)
    assert anchors.kmeans(boxes, 2).anchors.tolist() == [[10, 10], [100, 100]]


def test_judgement_by_hand() -> None:
    found = anchors.judge([[10, 10], [100, 10], [10, 50]], [[10, 10]])
    assert found.mean_iou == pytest.approx((1 + 0.1 + 0.2) / 3)
    assert found.recall == pytest.approx(1 / 3), "100/10 and 50/10 are beyond the factor 4"


def test_on_blood_cells_as_good_as_darknet(bccd24: Path) -> None:
    from pydarknet.data import read

    boxes = anchors.sizes_of(read(bccd24), 416, 416)
    assert len(boxes) == 433
    darknets = anchors.judge(boxes, anchors.parse(DARKNET))
    assert darknets.mean_iou == pytest.approx(DARKNET_IOU, abs=0.0015), "the boxes are those of the log"
    assert anchors.kmeans(boxes, 6).mean_iou >= DARKNET_IOU


def test_letter_box_keeps_the_aspect_ratio(bccd24: Path) -> None:
    from pydarknet.data import read

    dataset = read(bccd24)  # images of 640×480
    stretched = anchors.sizes_of(dataset, 416, 416)
    boxed = anchors.sizes_of(dataset, 416, 416, letter_box=True)
    assert boxed[:, 0] == pytest.approx(stretched[:, 0])
    assert boxed[:, 1] == pytest.approx(stretched[:, 1] * 0.75)


@pytest.mark.parametrize(
    ("boxes", "count", "message"),
    [
        ([], 3, "there are no boxes to find anchors for"),
        ([[1, 1], [1, 1], [2, 2]], 3, "3 anchors need 3 different box sizes; there are 2"),
        ([[float("nan"), 1], [0, 4]], 1, "there are no boxes"),
    ],
)
def test_too_few_boxes_are_an_error(boxes: list[list[float]], count: int, message: str) -> None:
    with pytest.raises(DataError, match=message):
        anchors.kmeans(boxes, count)


def test_an_unknown_metric_is_an_error() -> None:
    with pytest.raises(ValueError, match="metric is 'l1', expected 'iou' or 'l2'"):
        anchors.kmeans([[1, 2]], 1, metric="l1")


def test_small_gains_are_not_worth_a_change() -> None:
    old = anchors.Judgement(0.70, 0.99)
    assert anchors.recommend(anchors.Judgement(0.72, 0.99), old).startswith("Keep the anchors")
    assert anchors.recommend(anchors.Judgement(0.74, 0.99), old).startswith("Change the anchors")
    assert anchors.worthwhile(anchors.Judgement(0.71, 0.99), anchors.Judgement(0.70, 0.90))


@pytest.mark.parametrize("text", ["10,14,  23,27", "anchors = 10,14, 23,27", "10 14\n23 27\n"])
def test_anchors_are_read_from_text(text: str) -> None:
    assert anchors.parse(text) == [(10, 14), (23, 27)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found 0 numbers"),
        ("1,2,3", "found 3 numbers"),
        ("a,b", "found 'a,b'"),
        ("1,-2", "positive width"),
    ],
)
def test_text_without_anchors_is_an_error(text: str, message: str) -> None:
    with pytest.raises(CfgError, match=message):
        anchors.parse(text)


def test_files_without_anchors_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot read the anchors: No such file"):
        anchors.read(tmp_path / "none.txt")
    with pytest.raises(CfgError, match=r"no \[yolo\] section with anchors"):
        anchors.of_cfg(cfg.parse("[net]\n[convolutional]\n"))
    with pytest.raises(CfgError, match=r"no \[yolo\] section to write anchors into"):
        anchors.put(cfg.parse("[net]\nwidth=8\nheight=8\nchannels=3\n[convolutional]\n"), [(1, 2)])


def test_written_anchors_reach_all_heads_with_masks_by_stride() -> None:
    """The tutorial's anchors sorted by width; by area 133×215 goes before 87×338."""
    pairs = anchors.parse("9,18, 17,45, 26,84, 38,132, 48,188, 62,256, 87,338, 133,215, 192,355")
    network = cfg.yolov4(classes=2, size=416)
    anchors.put(network, pairs)
    listed = {head.get("anchors") for head in network.heads}
    assert listed == {"9,18,17,45,26,84,38,132,48,188,62,256,133,215,87,338,192,355"}
    assert [head.integers("mask") for head in network.heads] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]


def test_another_number_of_anchors_changes_the_filters() -> None:
    network = cfg.yolov4_tiny(classes=2, size=416)
    anchors.put(network, [(10, 10), (20, 20), (30, 30), (40, 40)])
    assert [head.integers("mask") for head in network.heads] == [[2, 3], [0, 1]]
    assert [network.layers[i].integer("filters") for i in (29, 36)] == [14, 14]
    assert len(cfg.walk(network)) == 38


def test_the_plot_is_a_picture(tmp_path: Path) -> None:
    import cv2

    boxes, means = three_clusters()
    plot_anchors(boxes, means, tmp_path / "a.png", "three clusters")
    picture = cv2.imread(str(tmp_path / "a.png"))
    assert picture.shape == (700, 700, 3)
    colours = np.unique(picture.reshape(-1, 3), axis=0)
    assert len(colours) > 100
