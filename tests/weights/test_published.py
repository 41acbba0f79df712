# SPDX-License-Identifier: Apache-2.0
"""Published weights: their sizes, and what a user reads who does not have them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from helpers import run

from pydarknet.weights.published import hint, sizes

#: Bytes of the files as they are published.
PUBLISHED = {
    "yolov4.conv.137": 170038676,
    "yolov4.weights": 257717640,
    "yolov4-tiny.conv.29": 19789716,
    "yolov4-tiny.weights": 24251276,
    "darknet53.conv.74": 162482580,
    "yolov3.weights": 248007048,
    "yolov3-tiny.conv.11": 6303188,
    "yolov3-tiny.weights": 35434956,
    "yolov4-csp.conv.142": 146548116,
    "yolov4-csp.weights": 211944840,
}


def test_sizes_of_published_files() -> None:
    found = sizes()
    assert {name: found[name][0] for name in PUBLISHED} == PUBLISHED


def test_the_page_has_the_same_sizes() -> None:
    page = (Path(__file__).parents[2] / "docs/weights.md").read_text()
    rows = re.findall(r"^\| `([\w.-]+)` \| ([\d,]+) \|", page, re.MULTILINE)
    assert {name: int(size.replace(",", "")) for name, size in rows} == PUBLISHED


def test_a_missing_published_file(
    tiny_files: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    expected = (
        "yolov4-tiny.conv.29 (the first 29 layers of yolov4-tiny, 19789716 bytes) is not part of pydarknet"
    )
    for line in (
        "detect --cfg tiny.cfg --weights yolov4-tiny.conv.29 x.png",
        "weights info yolov4-tiny.conv.29",
        "check tiny.cfg --weights yolov4-tiny.conv.29",
    ):
        assert run(monkeypatch, *line.split()) > 0
        out, err = capsys.readouterr()
        assert expected in out + err, line
    assert hint("mine.weights") == ""
