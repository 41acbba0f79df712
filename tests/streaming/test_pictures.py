# SPDX-License-Identifier: Apache-2.0
"""Drawing, videos by their frames, crops, sheets, windows."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from made_results import TWO, dets, frames_of, result

from pydarknet import ArgumentError, FileError
from pydarknet.engine.draw import draw
from pydarknet.streaming.outputs.media import AnnotatedFiles, Crops, Sheet, VideoFile, Window

# -- images ------------------------------------------------------------------------------------------


def test_a_line_of_one_pixel_is_one_pixel_wide() -> None:
    image = np.zeros((100, 200, 3), np.uint8)
    drawn = draw(image, TWO[0], line_width=1, labels=False, confidence=False)
    row = drawn[40].any(axis=1)  # through the middle of the box
    assert np.flatnonzero(row).tolist() == [10, 50]
    column = drawn[:, 30].any(axis=1)
    assert np.flatnonzero(column).tolist() == [20, 60]


def test_labels_and_confidences_can_be_hidden_and_tracks_are_shown() -> None:
    image = np.zeros((100, 200, 3), np.uint8)
    one = dets((10, 40, 190, 90, 0.9, 0))
    tracked = dets((10, 40, 190, 90, 0.9, 0), tracks=[12])
    pictures = [
        draw(image, one), draw(image, one, confidence=False), draw(image, one, labels=False),
        draw(image, one, labels=False, confidence=False), draw(image, tracked),
    ]  # fmt: skip
    for i, some in enumerate(pictures):
        assert all(not np.array_equal(some, other) for other in pictures[i + 1 :])


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_a_video_has_the_frames_it_was_given(tmp_path: Path, suffix: str) -> None:
    video = VideoFile(tmp_path / f"x{suffix}", fps=25)
    for number in range(60):
        video.write(np.full((120, 160, 3), 4 * number, np.uint8), number / 25)
    assert not video.path.exists()
    video.close()
    capture = cv2.VideoCapture(str(video.path))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(25, abs=0.1)
    capture.release()
    frames = frames_of(video.path)
    assert len(frames) == 60
    assert frames[0].shape == (120, 160, 3)
    assert [abs(int(frame[60, 80, 0]) - 4 * i) <= 6 for i, frame in enumerate(frames)] == [True] * 60


def test_a_live_video_runs_as_fast_as_life(tmp_path: Path) -> None:
    """Five images a second, in a video of thirty: each stands for six; an hour's loss is cut to a second."""
    video = VideoFile(tmp_path / "x.avi", fps=30, live=True)
    times = [0.2 * i for i in range(10)] + [3600.0]
    for time in times:
        video.write(np.zeros((16, 16, 3), np.uint8), time)
    video.close()
    assert len(frames_of(video.path)) == pytest.approx(1 + 9 * 6 + 30, abs=1)


def test_a_video_keeps_the_time_of_its_images(tmp_path: Path) -> None:
    """At 10 images a second, an image is repeated until the time of the next; none is left out."""
    video = VideoFile(tmp_path / "x.avi", fps=10)
    for number, time in enumerate([0.0, 0.1, 0.5, 1.5, 1.51]):
        video.write(np.full((16, 16, 3), 40 * number, np.uint8), time)
    video.close()
    levels = [round(float(frame.mean()) / 40) for frame in frames_of(video.path)]
    assert levels == [0, *[1] * 4, *[2] * 10, 3, 4]


def test_pictures_of_another_size_are_fitted(tmp_path: Path) -> None:
    video = VideoFile(tmp_path / "x.avi", fps=30)
    for size in ((64, 64), (32, 48), (64, 64)):
        video.write(np.zeros((*size, 3), np.uint8), 0)
    video.close()
    assert [frame.shape for frame in frames_of(video.path)] == [(64, 64, 3)] * 3


def test_a_video_of_nothing_replaces_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.avi").write_text("good")
    VideoFile(tmp_path / "x.avi", fps=30).close()
    assert (tmp_path / "x.avi").read_text() == "good"
    assert len(list(tmp_path.iterdir())) == 1


def test_videos_of_an_unknown_kind(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"x\.wmv: video can be written as \.mp4, "):
        VideoFile(tmp_path / "x.wmv", fps=30)


def test_pictures_get_the_names_of_their_sources(tmp_path: Path) -> None:
    output = AnnotatedFiles(str(tmp_path / "out"))
    sources = [
        ("a/x.png", True, 0), ("b/x.png", True, 0), ("f.mkv", False, 0), ("f.mkv", False, 1),
        ("rtsp://10.0.0.1:554/s?x=1", False, 0),
    ]  # fmt: skip
    for name, still, index in sources:
        output.write(
            result(TWO, name, index, still=still, fps=25.0), lambda: np.zeros((100, 200, 3), np.uint8)
        )
    assert output.close().startswith("2 images in ")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"x.jpg", "x_2.jpg", "f.mp4", "rtsp_10.0.0.1_554_s_x_1.mp4"}
    assert len(frames_of(tmp_path / "out" / "f.mp4")) == 2


def test_one_named_picture(tmp_path: Path) -> None:
    output = AnnotatedFiles(str(tmp_path / "found.png"))
    output.write(result(TWO), lambda: np.full((4, 4, 3), 9, np.uint8))
    assert cv2.imread(str(tmp_path / "found.png"))[0, 0].tolist() == [9, 9, 9]
    with pytest.raises(
        ArgumentError, match=r"found\.png: is one file, but there are several images; give a folder"
    ):
        output.write(result(TWO, "b.jpg"), lambda: np.zeros((4, 4, 3), np.uint8))


def test_the_input_video_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "f.mp4"
    path.write_text("precious")
    output = AnnotatedFiles(str(tmp_path))
    with pytest.raises(
        FileError, match=r"f\.mp4: is the input and would be overwritten; choose another --out"
    ):
        output.write(result(TWO, str(path), still=False), lambda: np.zeros((4, 4, 3), np.uint8))
    output.close()
    assert path.read_text() == "precious"


def test_crops(tmp_path: Path) -> None:
    crops = Crops(str(tmp_path))
    crops.write(
        result(dets((10.4, 20, 49.6, 60, 0.9, 0), (-5, 10, 30, 50, 0.6, 1), (300, 0, 310, 5, 0.6, 0))),
        lambda: None,
    )
    assert crops.close() == f"2 crops in {tmp_path}"
    assert cv2.imread(str(tmp_path / "dog" / "a_1.jpg")).shape == (40, 40, 3)
    assert cv2.imread(str(tmp_path / "a_cat_" / "a_2.jpg")).shape == (40, 30, 3)


def test_a_contact_sheet_is_one_picture(tmp_path: Path) -> None:
    sheet = Sheet(str(tmp_path / "sheet.png"), width=20)
    for number in range(5):
        sheet.write(result(TWO), lambda n=number: np.full((50, 100, 3), 40 * n, np.uint8))
    assert sheet.close() == f"5 of 5 images on {tmp_path / 'sheet.png'}"
    image = cv2.imread(str(tmp_path / "sheet.png"))
    assert image.shape == (20, 60, 3)  # 3 x 2 images of 20 x 10
    assert image[[5, 5, 5, 15, 15, 15], [10, 30, 50, 10, 30, 50], 0].tolist() == [0, 40, 80, 120, 160, 255]


def test_a_sheet_of_a_long_video_is_spread_evenly(tmp_path: Path) -> None:
    sheet = Sheet(str(tmp_path / "sheet.png"), width=2, limit=8)
    for number in range(100):
        sheet.write(result(TWO), lambda n=number: np.full((2, 2, 3), n, np.uint8))
    assert [int(picture[0, 0, 0]) for picture in sheet._small] == [0, 16, 32, 48, 64, 80, 96]
    assert Sheet(str(tmp_path / "none.png")).close() == ""
    assert not (tmp_path / "none.png").exists()


def test_a_window_needs_an_opencv_that_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "  GUI:                           NONE\n")
    with pytest.raises(
        ArgumentError, match=r"cannot open windows .*pip install opencv-python; or use --http"
    ):
        Window()


def test_q_ends_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "  GUI:                           GTK3\n")
    shown: list[str] = []
    monkeypatch.setattr(cv2, "imshow", lambda name, picture: shown.append(name))
    keys = iter([-1, ord("q")])
    monkeypatch.setattr(cv2, "waitKey", lambda _: next(keys))
    window = Window()
    window.write(result(TWO), lambda: np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(KeyboardInterrupt):
        window.write(result(TWO), lambda: np.zeros((4, 4, 3), np.uint8))
    assert shown == ["pydarknet: in/a.jpg"] * 2
