# SPDX-License-Identifier: Apache-2.0
"""Charts and images of an evaluation show its numbers, whatever the number of classes or detections."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from made_evaluation import evaluation, judged

from pydarknet.engine.draw import class_colour
from pydarknet.errors import DataError
from pydarknet.evaluation import export, plots, worst_images
from pydarknet.evaluation.evaluation import Evaluation


def test_confusion_has_its_counts_in_the_right_cells() -> None:
    axes = plots.confusion(evaluation()).axes[0]
    cells = {text.get_position(): text.get_text() for text in axes.texts}
    # (there, detected): a cat as a cat, a cat as nothing, a dog as a dog, nothing as a dog
    assert cells == {(0, 0): "1\n50%", (0, 2): "1\n50%", (1, 1): "1\n100%", (2, 1): "1\n100%"}
    assert [label.get_text() for label in axes.get_xticklabels()] == ["cat", "dog", "background"]


def test_curves_have_a_line_for_each_class_and_the_mean() -> None:
    made = evaluation()
    figure = plots.precision_recall(made)
    lines = figure.axes[0].get_lines()
    assert [line.get_label() for line in lines] == ["cat  AP 50.0%", "dog  AP 50.0%", "mean of 2 classes"]
    cat = lines[0].get_ydata()
    assert list(cat[[0, 50, 51, 100]]) == [1, 1, 0, 0]
    # Cats have 2/3 up to 0.9, dogs up to 0.6: the mean is highest from 0 to 0.6, the middle is 0.3.
    assert plots.f1(made).axes[0].get_title() == "F1 over confidence; the best mean is 0.67, at 0.30"


def test_of_many_classes_the_weakest_are_named() -> None:
    """Of 25 classes 19 are found; the others have the names."""
    truths = [(3 * i, i) for i in range(25)]
    made = Evaluation([judged([(3 * i, 0.5, i) for i in range(19)], truths)], [f"c{i}" for i in range(25)])
    lines = plots.precision_recall(made).axes[0].get_lines()
    names = [line.get_label() for line in lines if not line.get_label().startswith("_")]
    assert names == [*(f"c{i}  AP 0.0%" for i in range(19, 25)), "mean of 25 classes"]
    assert len(lines) == 26


def test_calibration_has_a_bar_for_each_bin() -> None:
    top, bottom = plots.calibration(evaluation()).axes
    heights = [bar.get_height() for bar in top.containers[0]]
    assert heights[18] == 1  # 0.90 is right
    assert heights[16] == 0  # 0.80 is wrong
    assert sum(bar.get_height() for bar in bottom.containers[0]) == 3


@pytest.mark.parametrize("name", plots.CHARTS)
@pytest.mark.parametrize("kind", ["nothing", "no truth", "many classes", "formula", "no glyph"])
def test_every_chart_of_every_kind_of_evaluation(name: str, kind: str, tmp_path: Path) -> None:
    """No warning, no error, and an image."""
    made = {
        "nothing": Evaluation([judged([], [])], ["cat"]),
        "no truth": Evaluation([judged([(0, 0.5, 0)], [])], ["cat"]),
        "many classes": Evaluation(
            [judged([(3 * i, 0.5, i) for i in range(25)], [(3 * i, i) for i in range(25)])],
            [f"a class with the long name {i}" for i in range(25)],
        ),
        "formula": Evaluation([judged([(0, 0.5, 0)], [(0, 0)])], ["$\\cat"]),
        "no glyph": Evaluation([judged([(0, 0.5, 0)], [(0, 0)])], ["\u732b"]),
    }[kind]
    figure = plots.CHARTS[name](made)
    plots.save(figure, tmp_path / "chart.png")
    picture = cv2.imread(str(tmp_path / "chart.png"))
    assert min(picture.shape[:2]) > 300
    assert plots.png(figure)[:4] == b"\x89PNG"


def grey_image(path: Path) -> str:
    cv2.imwrite(str(path), np.full((20, 200, 3), 90, np.uint8))
    return str(path)


def test_what_went_wrong_is_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the left the missed cat is filled, the found one is not; on the right the dog that is not there."""
    monkeypatch.setattr(worst_images, "_TILE", 1200)  # large enough to see beside the captions
    made = evaluation(grey_image(tmp_path / "grey.png"))
    picture = worst_images.pair(made.verdicts[0], made.names)
    scale, half = worst_images._TILE / 200, worst_images._TILE + worst_images._GAP
    middle = round(8 * scale)

    def at(x: float, left: bool = True) -> list[int]:
        return picture[middle, round(x * scale) + (0 if left else half)].tolist()

    grey = [90, 90, 90]
    cat, dog = (np.array(class_colour(i)) for i in (0, 1))
    assert at(5) == grey
    assert at(65) == grey
    assert at(35) == pytest.approx((0.4 * cat + 0.6 * 90).tolist(), abs=1)
    assert at(5, left=False) == grey
    assert at(65, left=False) == grey
    assert at(125, left=False) == pytest.approx((0.4 * dog + 0.6 * 90).tolist(), abs=1)


def test_boxes_near_infinity_are_drawn_like_the_whole_image(tmp_path: Path) -> None:
    """An untrained network has such; a warning of numpy is an error here."""
    (verdict,) = Evaluation([judged([(0, 0.9, 0)], [], grey_image(tmp_path / "grey.png"))], ["cat"]).verdicts

    def drawn(*corners: float) -> np.ndarray:
        boxes = np.array([corners], np.float32)
        return worst_images.pair(replace(verdict, judged=replace(verdict.judged, boxes=boxes)), ["cat"])

    assert np.array_equal(drawn(-3e38, -3e38, 3e38, 3e38), drawn(0, 0, 200, 20))


@pytest.mark.parametrize(("count", "columns", "rows"), [(1, 1, 1), (3, 2, 2), (16, 4, 4), (20, 4, 4)])
def test_a_sheet_has_at_most_sixteen_images(count: int, columns: int, rows: int, tmp_path: Path) -> None:
    path = grey_image(tmp_path / "grey.png")
    made = Evaluation([judged([(0, 0.9, 0)], [(0, 0)], path)] * count, ["cat"])
    worst_images.save_sheet(made.verdicts, made.names, tmp_path / "sheet.jpg")
    height, width = cv2.imread(str(tmp_path / "sheet.jpg")).shape[:2]
    pair_height, pair_width = worst_images.pair(made.verdicts[0], made.names).shape[:2]
    assert width == columns * (pair_width + worst_images._GAP)
    assert height == 30 + rows * pair_height


def test_the_worst_of_before_do_not_stay(tmp_path: Path) -> None:
    """A second evaluation into the same folder that has no mistakes has no image of them."""
    path = str(tmp_path / "image.png")
    cv2.imwrite(path, np.full((20, 200, 3), 90, np.uint8))
    assert tmp_path / "out/worst.jpg" in export.save(evaluation(path), tmp_path / "out")
    good = Evaluation([judged([(0, 0.9, 0)], [(0, 0)], path)], ["cat"])
    export.save(good, tmp_path / "out")
    assert not (tmp_path / "out/worst.jpg").exists()


def test_a_sheet_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no image to draw"):
        worst_images.save_sheet([], ["cat"], tmp_path / "sheet.jpg")
    made = evaluation(str(tmp_path / "gone.png"))
    with pytest.raises(DataError, match=r"gone\.png: cannot be read"):
        worst_images.save_sheet(made.verdicts, made.names, tmp_path / "sheet.jpg")
    assert not (tmp_path / "sheet.jpg").exists()
