# SPDX-License-Identifier: Apache-2.0
"""Boxes on images: corners where the labels say, in the colour of the class."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from data_files import make_image

from pydarknet.data import Flag, Sample
from pydarknet.data.view import contact_sheet, draw
from pydarknet.engine.draw import class_colour
from pydarknet.engine.images import save_image
from pydarknet.errors import DataError


@pytest.fixture
def image(tmp_path):
    return make_image(tmp_path / "x.png", 100, 60)


def test_corners_have_the_class_colour(image):
    """Edges 10…50 are the pixels 10…49."""
    picture = draw(Sample(image, [(10, 20, 50, 40)], [2]), "abc", captions=False)
    colour = list(class_colour(2))
    for x, y in ((10, 20), (49, 20), (10, 39), (49, 39)):
        assert picture[y, x].tolist() == colour
    for x, y in ((9, 20), (50, 20), (10, 19), (49, 40), (30, 30)):
        assert picture[y, x].tolist() == [0, 0, 0]


def test_boxes_at_the_rim_are_drawn_inside(image):
    picture = draw(Sample(image, [(0, 0, 100, 60)], [0]), "a", captions=False)
    for x, y in ((0, 0), (99, 0), (0, 59), (99, 59)):
        assert picture[y, x].tolist() == list(class_colour(0))


def test_captions_name_class_score_and_flags(image):
    """More text, more pixels; whatever the alphabet."""
    one = Sample(image, [(10, 40, 50, 55)], [0])
    bare = draw(one, ("猫",), captions=False)
    plain = draw(one, ("猫",))
    flagged = draw(one.replace(flags=[Flag.DIFFICULT], scores=[0.5]), ("猫",))
    assert (plain != bare).sum() > 0
    assert (flagged != bare).sum() > (plain != bare).sum()


def test_the_file_is_not_changed(image):
    before = image.read_bytes()
    draw(Sample(image, [(10, 20, 50, 40)], [0]), "a")
    assert image.read_bytes() == before


def test_small_boxes_lie_on_large_ones(image):
    sample = Sample(image, [(20, 20, 30, 30), (20, 20, 90, 50)], [0, 1])
    assert draw(sample, "ab", captions=False)[20, 20].tolist() == list(class_colour(0))


def test_sixteen_bit_images(tmp_path):
    path = tmp_path / "deep.png"
    cv2.imwrite(str(path), np.full((20, 20), 0x8000, np.uint16))
    picture = draw(Sample(path), "a")
    assert picture.dtype == np.uint8
    assert picture[0, 0].tolist() == [0x80] * 3


def test_resized_first(image):
    """At twice the size the edges 10…50 are the pixels 20…99."""
    picture = draw(Sample(image, [(10, 20, 50, 40)], [0]), "a", captions=False, fit=200)
    assert picture.shape == (120, 200, 3)
    for x, y in ((20, 40), (99, 40), (20, 79), (99, 79)):
        assert picture[y, x].tolist() == list(class_colour(0))
    assert draw(Sample(image), "a", fit=10).shape == (6, 10, 3)


def test_contact_sheet(tmp_path, image):
    """Five tiles in rows of three, each as high as the highest image of its row and its caption."""
    samples = [Sample(image)] * 5
    sheet = contact_sheet(samples, "a", columns=3, tile=50)
    assert sheet.shape == (2 * (30 + 18), 150, 3)
    assert contact_sheet(samples[:1], "a", columns=3, tile=50).shape == (48, 50, 3)
    save_image(tmp_path / "sheet.png", sheet)
    assert np.array_equal(cv2.imread(str(tmp_path / "sheet.png")), sheet)


def test_what_cannot_be_drawn(tmp_path):
    with pytest.raises(DataError, match=r"gone\.png: cannot be read"):
        draw(Sample(tmp_path / "gone.png"), "a")
    (tmp_path / "bad.png").write_bytes(b"text")
    with pytest.raises(DataError, match=r"bad\.png: cannot be decoded"):
        draw(Sample(tmp_path / "bad.png"), "a")
    with pytest.raises(DataError, match="no images to draw"):
        contact_sheet([], "a")
