# SPDX-License-Identifier: Apache-2.0
"""Objects as people see them: images in each order of colours, files, windows, and in notebooks."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from pydarknet import ArgumentError, Detections, FileError, MissingExtra, Network, cfg, check
from pydarknet.data.dataset import Dataset, Sample
from pydarknet.data.stats import statistics
from pydarknet.evaluation.columns import Judged
from pydarknet.evaluation.evaluation import Evaluation
from pydarknet.runs.outcome import Outcome
from pydarknet.streaming.result import Stats
from pydarknet.system import extras, html

NASTY = "<script>alert(1)</script>&"


@pytest.fixture
def dets() -> Detections:
    corners = np.array([[10, 20, 50, 60], [0, 0, 30, 40]], np.float32)
    return Detections(corners, np.array([0.9, 0.4], np.float32), np.array([1, 0]), ("cat", NASTY), (100, 80))


IMAGE = np.zeros((80, 100, 3), np.uint8)


def test_plot_in_each_order_of_colours(dets: Detections) -> None:
    bgr = dets.plot(IMAGE)
    assert bgr.any()
    assert np.array_equal(dets.plot(IMAGE, "rgb"), bgr[:, :, ::-1])
    image = dets.plot(IMAGE, "pil")
    assert isinstance(image, Image.Image)
    assert image.mode == "RGB"
    assert np.array_equal(np.asarray(image), bgr[:, :, ::-1])
    with pytest.raises(ArgumentError, match="found mode='hsv', expected 'bgr', 'rgb' or 'pil'"):
        dets.plot(IMAGE, "hsv")  # type: ignore[call-overload]


def test_a_missing_pillow_names_the_extra(dets: Detections, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(module: str, extra: str, package: str = "") -> None:
        raise MissingExtra(package or module, extra)

    monkeypatch.setattr(extras, "require", missing)
    with pytest.raises(MissingExtra, match=r"Pillow is not installed; .*pydarknet\[notebook\]"):
        dets.plot(IMAGE, "pil")


def test_save_writes_what_plot_draws(dets: Detections, tmp_path: Path) -> None:
    dets.save(IMAGE, tmp_path / "new" / "found.png")
    assert np.array_equal(cv2.imread(str(tmp_path / "new" / "found.png")), dets.plot(IMAGE))
    with pytest.raises(FileError, match="cannot be written"):
        dets.save(IMAGE, tmp_path / "found.doc")


def test_show_without_windows_says_what_to_do(dets: Detections, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "  GUI:   NONE\n")
    with pytest.raises(ArgumentError, match=r"cannot open windows .* or use save\(\) or plot\(\)"):
        dets.show(IMAGE)
    shown = []
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "  GUI:   GTK3\n")
    monkeypatch.setattr("pydarknet.engine.opencv.show", lambda *arguments: shown.append(arguments))
    dets.show(IMAGE)
    assert np.array_equal(shown[0][1], dets.plot(IMAGE))
    assert shown[0][2] == 0  # until a key is pressed


def test_a_pandas_table_has_the_records(dets: Detections) -> None:
    pandas = pytest.importorskip("pandas")
    table = replace(dets, tracker_id=np.array([4, -1])).to_pandas()
    assert isinstance(table, pandas.DataFrame)
    assert table.to_dict("records") == replace(dets, tracker_id=np.array([4, -1])).to_records()


# -- notebooks ----------------------------------------------------------------------------------------------


class Tags(HTMLParser):
    """Checks that tags are closed in order; collects them and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def shown(thing: object) -> Tags:
    tags = Tags(thing._repr_html_())  # type: ignore[attr-defined]
    assert "script" not in tags.seen
    return tags


def test_detections_are_a_table(dets: Detections) -> None:
    tags = shown(dets)
    assert tags.seen.count("tr") == 1 + 2
    assert NASTY in tags.text
    assert "90.0%" in tags.text
    many = Detections.merge([dets] * 40)
    assert shown(many).text.endswith("and 30 more")
    assert "track" in shown(replace(dets, tracker_id=np.array([1, 2]))).text
    assert "0 objects: nothing" in shown(Detections.empty()).text


def test_a_network_shows_its_layers() -> None:
    net = Network.parse("[net]\nwidth=32\nheight=32\nchannels=3\n[convolutional]\nfilters=4\n")
    tags = shown(net)
    assert "details" in tags.seen
    assert net.summary() in tags.text
    net.close()
    assert "closed" in shown(net).text


def test_data_sets_and_their_numbers() -> None:
    boxes = np.array([[0, 0, 10, 10], [5, 5, 20, 20]], float)
    samples = [
        Sample(Path("a.jpg"), boxes, np.array([0, 1]), size=(30, 30), split="train"),
        Sample(Path("b.jpg"), boxes[:1], np.array([1]), size=(30, 30), split="valid"),
    ]
    dataset = Dataset(samples, ["cat", NASTY])
    rows = re.findall(r"<tr>(.*?)</tr>", dataset._repr_html_())
    cells = [re.findall(r">([^<]*)</t[dh]>", row) for row in rows]
    assert cells[0] == ["class", "train (1 images)", "valid (1 images)"]
    assert cells[1] == ["cat", "1", "0"]
    assert cells[2][1:] == ["1", "1"]
    assert NASTY in shown(dataset).text
    assert "2 images, 3 boxes, 2 classes" in shown(statistics(dataset)).text
    assert shown(Dataset([], ["cat"])).seen.count("tr") == 2


def test_results_and_findings(tmp_path: Path) -> None:
    box = np.array([[0, 0, 10, 10]], float)
    judged = Judged(box, np.array([0.9]), np.array([0]), box, np.array([0]), size=(20, 20))
    evaluation = Evaluation([judged], ["cat"])
    found = shown(evaluation)
    assert evaluation.text() in found.text
    assert "img" in found.seen
    assert "60 frames" not in shown(Stats(total=60)).text
    assert "0 of 60" in shown(Stats(total=60)).text

    outcome = Outcome("finished", tmp_path, 10, None, {})
    assert "img" not in shown(outcome).seen
    (tmp_path / "chart.png").write_bytes(b"\x89PNG")
    assert base64.b64encode(b"\x89PNG").decode() in outcome._repr_html_()
    assert "finished at iteration 10" in shown(outcome).text

    text = "[net]\nwidth=32\nheight=32\nbatch=3\nsubdivisions=2\n[convolutional]\nfilters=4\n"
    made = cfg.parse(text, "x.cfg")
    assert text in shown(made).text
    findings = check.preflight(made)
    assert "L-02" in shown(findings).text
    assert shown(findings).seen.count("tr") == 1 + min(len(findings.findings), html.MOST_ROWS)
