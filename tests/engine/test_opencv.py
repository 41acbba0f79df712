# SPDX-License-Identifier: Apache-2.0
"""OpenCV with text that is not valid Unicode, on which its own functions crash."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from pydarknet.engine import opencv

NAMES = [b"a\xff", b"\xc3\xa9\xe7\x8a\xac", b"plain"]


@pytest.mark.parametrize("name", NAMES)
def test_a_video_under_any_name(tmp_path: Path, name: bytes) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name + b".avi"))
    writer = opencv.video_writer(path, "MJPG", 5, (64, 48))
    for level in (40, 200):
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    assert [os.fsencode(file.name) for file in tmp_path.iterdir()] == [name + b".avi"]
    capture = opencv.capture(os.fspath(path))
    means = [round(capture.read()[1].mean()) for _ in range(2)]
    capture.release()
    assert means == pytest.approx([40, 200], abs=2)


def test_text_becomes_question_marks_where_the_font_lacks_it() -> None:
    drawn = np.zeros((30, 90, 3), np.uint8)
    expected = drawn.copy()
    opencv.put_text(drawn, "a\udcff犬", (2, 20), 0.5, (255, 255, 255))
    opencv.put_text(expected, "a??", (2, 20), 0.5, (255, 255, 255))
    assert expected.any()
    assert np.array_equal(drawn, expected)
    assert opencv.text_size("\udcff", 0.5) == opencv.text_size("?", 0.5)
