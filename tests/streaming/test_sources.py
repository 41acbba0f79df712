# SPDX-License-Identifier: Apache-2.0
"""Classification of a text as a source of images, and the files that it stands for."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from pydarknet.errors import ArgumentError, DataError
from pydarknet.streaming.sources import StreamSource, classify, expand

TABLE = [
    ("dog.jpg", "image", False),
    ("some folder/DOG.PNG", "image", False),
    ("C:/pictures/dog.jpeg", "image", False),
    (r"C:\pictures\dog.webp", "image", False),
    ("http://host/dog.jpg?size=large", "image", False),
    ("*.jpg", "glob", False),
    ("pictures/**/*.png", "glob", False),
    ("train.txt", "list", False),
    (r"D:\lists\valid.txt", "list", False),
    ("cameras.streams", "streams", True),
    ("pictures.zip", "zip", False),
    ("video.mp4", "video", False),
    ("H:/a.mp4", "video", False),
    (r"\\server\share\b.MKV", "video", False),
    ("file:///tmp/video.avi", "video", False),
    ("file:///C:/video.avi", "video", False),
    ("https://host/videos/clip.mp4", "video", False),
    ("0", "camera", True),
    ("12", "camera", True),
    ("/dev/video2", "camera", True),
    ("rtsp://h/s", "stream", True),
    ("rtsp://user:secret@192.168.1.2:554/stream1", "stream", True),
    ("rtmp://live.example.com/app/key", "stream", True),
    ("http://192.168.1.3:8080/video", "stream", True),
    ("http://host/axis-cgi/mjpg/video.mjpg", "stream", True),
    ("https://host/live/index.m3u8", "stream", True),
    ("udp://@239.0.0.1:1234", "stream", True),
    ("https://www.youtube.com/watch?v=abc_DEF-123", "site", False),
    ("https://youtu.be/abc_DEF-123", "site", False),
    ("https://www.twitch.tv/somebody", "site", False),
    ("screen", "screen", True),
    ("screen 1", "screen", True),
    ("screen 100 200 640 480", "screen", True),
    ("screen 2 100 200 640 480", "screen", True),
    ("-", "stdin", False),
]


@pytest.mark.parametrize(("text", "kind", "live"), TABLE)
def test_what_a_text_means(text: str, kind: str, live: bool) -> None:
    source = classify(text)
    assert (source.kind, source.live) == (kind, live)


def test_values() -> None:
    assert classify("3").value == classify(3).value == 3
    assert classify("screen 2 100 200 640 480").value == (2, 100, 200, 640, 480)
    assert classify("screen 100 200 640 480").value == (100, 200, 640, 480)
    assert classify("file:///C:/my%20video.avi").value == "C:/my video.avi"
    assert classify(Path("a") / "b.mp4").value == str(Path("a") / "b.mp4")


def test_what_is_no_text() -> None:
    assert classify(np.zeros((4, 4), np.uint8)).kind == "array"
    assert classify(["a.jpg", np.zeros((4, 4), np.uint8)]).kind == "array"
    assert classify(io.BytesIO()).kind == "object"
    source = StreamSource("camera", 1)
    assert classify(source) is source


def test_a_file_of_unknown_suffix_is_looked_into(tmp_path: Path) -> None:
    import cv2

    (tmp_path / "picture").write_bytes(cv2.imencode(".png", np.zeros((4, 4), np.uint8))[1].tobytes())
    (tmp_path / "video").write_bytes(b"RIFF....AVI ")
    assert classify(tmp_path / "picture").kind == "image"
    assert classify(tmp_path / "video").kind == "video"


def test_a_file_with_brackets_is_no_pattern(tmp_path: Path) -> None:
    (tmp_path / "video[1].mp4").touch()
    assert classify(tmp_path / "video[1].mp4").kind == "video"
    assert classify(str(tmp_path / "video[2].mp4")).kind == "glob"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("rstp://host/s", "unknown kind of URL rstp://; did you mean rtp:// or rtsp://"),
        ("gopher://host/s", "unknown kind of URL gopher://; known are file, http"),
        ("rstp://user:secret@host/s", r"^rstp://host/s: unknown"),
        ("  ", "found an empty source"),
        (3.5, "found a source of type float"),
        (True, "found a source of type bool"),
        (-1, "found a source of type int"),
    ],
)
def test_what_is_no_source(source: object, message: str) -> None:
    with pytest.raises(ArgumentError, match=message) as caught:
        classify(source)
    assert "secret" not in str(caught.value)


def test_names_hold_no_password() -> None:
    assert classify("rtsp://user:secret@192.168.1.2:554/stream1").name == "rtsp://192.168.1.2:554/stream1"
    assert classify("0").name == "camera0"
    assert classify("screen 1").name == "screen 1"


# -- expand --------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("pic10.jpg", "pic2.jpg", "video.mp4", "notes.md", "labels.txt"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).touch()
    return tmp_path / "in"


def names(sources: list[StreamSource]) -> list[str]:
    return [Path(source.value).name for source in sources]


def test_a_folder_is_its_images_and_videos_in_natural_order(folder: Path) -> None:
    assert names(expand(classify(folder))) == ["pic2.jpg", "pic10.jpg", "video.mp4"]


def test_a_pattern(folder: Path) -> None:
    assert names(expand(classify(f"{folder}/pic*"))) == ["pic2.jpg", "pic10.jpg"]
    assert names(expand(classify(f"{folder.parent}/**/*.mp4"))) == ["video.mp4"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_list_names_files_beside_it_or_in_the_working_directory(
    folder: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.chdir(folder.parent)
    lines = [
        "pic10.jpg",
        "",
        "# not this",
        "in/pic2.jpg",
        f"{folder / 'video.mp4'}  ",
        "0_is_no_camera.jpg",
        "",
    ]
    text = "\r\n".join(lines)
    (folder / "list.txt").write_bytes(text.encode(encoding))
    assert names(expand(classify(folder / "list.txt"))) == [
        "pic10.jpg", "pic2.jpg", "video.mp4", "0_is_no_camera.jpg",
    ]  # fmt: skip


def test_streams(tmp_path: Path) -> None:
    (tmp_path / "cameras.streams").write_text("0\nrtsp://a/1\n\nrtsp://b/2\n")
    found = expand(classify(tmp_path / "cameras.streams"))
    assert [(source.kind, source.value) for source in found] == [
        ("camera", 0), ("stream", "rtsp://a/1"), ("stream", "rtsp://b/2"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("rtsp://a/1\nfilm.mp4\n", r"x\.txt: mixes live streams with files; run them separately"),
        ("a.jpg\nother.txt\n", r"x\.txt:2: found 'other\.txt'; a list names images"),
        ("\n# nothing\n", r"x\.txt: is empty; expected one image"),
    ],
)
def test_lists_that_cannot_be_used(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "x.txt").write_text(content)
    with pytest.raises(DataError, match=message):
        expand(classify(tmp_path / "x.txt"))


def test_nothing_to_expand_to(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"contains no image or video; .* includes its subfolders"):
        expand(classify(tmp_path))
    with pytest.raises(DataError, match=r"matches no image or video"):
        expand(classify(str(tmp_path / "*.jpg")))
    with pytest.raises(DataError, match=r"gone\.txt.*cannot be read"):
        expand(classify(tmp_path / "gone.txt"))
