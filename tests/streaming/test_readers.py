# SPDX-License-Identifier: Apache-2.0
"""Files become frames: every one, in order, and what cannot be read does not hide the rest."""

from __future__ import annotations

import io
import logging
import zipfile
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from pydarknet.contrib.youtube import resolve
from pydarknet.errors import DataError, MissingExtra
from pydarknet.streaming import file_sources
from pydarknet.streaming.file_sources import Frame
from pydarknet.streaming.sources import classify, expand


def read(source: object, every: int = 1, channels: int = 3) -> list[Frame | DataError]:
    return list(file_sources.frames(expand(classify(source)), channels, every))


def encoded(value: int, suffix: str = ".jpg") -> bytes:
    return bytes(cv2.imencode(suffix, np.full((8, 12, 3), value, np.uint8))[1].tobytes())


@pytest.mark.parametrize("name", ["video.avi", "video.mp4"])
def test_a_video_of_sixty_frames_gives_sixty(video: Callable[..., Path], name: str) -> None:
    path = video(name)
    frames = read(path)
    assert [frame.index for frame in frames] == list(range(60))
    assert frames[59].time == pytest.approx(59 / 25)
    assert frames[0].fps == pytest.approx(25, abs=0.1)
    assert {frame.image.shape for frame in frames} == {(120, 160, 3)}
    lefts = [int(np.argmax(frame.image[56, :, 0] > 128)) for frame in frames[:20]]
    assert np.abs(np.array(lefts) - (4 + 2 * np.arange(20))).max() <= 2  # in order, and each its own
    assert file_sources.count(expand(classify(path))) == 60


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_frames_have_the_time_of_their_file(tmp_path: Path, suffix: str) -> None:
    """A video without a constant rate, as phones record: times equal those that PyAV wrote."""
    times = [0, 40, 200, 1000, 1040, 3000]
    path = write_irregular(tmp_path / f"phone{suffix}", times)
    assert [frame.time for frame in read(path)] == pytest.approx([time / 1000 for time in times])
    assert [frame.time for frame in read(path, every=2)] == pytest.approx([0, 0.2, 1.04])


def write_irregular(path: Path, times: Sequence[int]) -> Path:
    """A video with an image at each time in milliseconds; the images get brighter by 40."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for number, time in enumerate(times):
            image = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 40 * number, np.uint8), format="rgb24")
            image.pts, image.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(image))
        container.mux(stream.encode())
    return path


def test_every_third_frame_of_a_video(video: Callable[..., Path]) -> None:
    path = video(frames=10)
    frames = read(path, every=3)
    assert [frame.index for frame in frames] == [0, 3, 6, 9]
    assert frames[0].fps == pytest.approx(25 / 3)  # so that a video of them runs as long
    assert file_sources.count(expand(classify(path)), every=3) == 4


def test_a_video_that_ends_early_is_told(
    video: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    path = video(frames=30)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    with caplog.at_level(logging.WARNING, "pydarknet"):
        frames = read(path)
    assert 5 < len(frames) < 30
    if (
        file_sources.count(expand(classify(path))) == 30
    ):  # the index is at the end of an AVI; without it the length is unknown
        assert "the header has 30 frames, but only" in caplog.text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.mp4", None, r"gone\.mp4: cannot be read: No such file"),
        ("empty.mp4", b"", r"empty\.mp4: cannot be opened; expected a video"),
        ("text.avi", b"this is no video at all", r"text\.avi: cannot be opened"),
        ("gone.jpg", None, r"gone\.jpg: cannot be read: No such file"),
        ("text.png", b"no image", r"text\.png: cannot be decoded"),
        ("gone.zip", None, r"gone\.zip: cannot be opened as a ZIP: No such file"),
        ("text.zip", b"no archive", r"text\.zip: cannot be opened as a ZIP"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    (error,) = read(tmp_path / name)
    assert isinstance(error, DataError)
    with pytest.raises(DataError, match=message):
        raise error


def test_a_bad_image_does_not_hide_the_others(tmp_path: Path) -> None:
    for name, content in (("1.jpg", encoded(10)), ("2.jpg", b"bad"), ("3.jpg", encoded(30))):
        (tmp_path / name).write_bytes(content)
    one, two, three = read(tmp_path)
    assert isinstance(two, DataError)
    assert (one.image[0, 0, 0], three.image[0, 0, 0]) == (10, 30)
    assert one.still


def test_images_in_a_zip(tmp_path: Path) -> None:
    path = tmp_path / "pictures.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("b/pic10.png", encoded(10, ".png"))
        archive.writestr("b/pic2.png", encoded(2, ".png"))
        archive.writestr("__MACOSX/b/pic2.png", b"resource fork")
        archive.writestr("bad.jpg", b"no image")
        archive.writestr("readme.md", b"")
    two, ten, bad = read(path)
    assert isinstance(bad, DataError)
    assert "pictures.zip/bad.jpg: cannot be decoded" in str(bad)
    assert (two.image[0, 0, 0], ten.image[0, 0, 0]) == (2, 10)
    assert two.name == f"{path}/b/pic2.png"


def test_a_zip_without_images(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("readme.md", b"")
    (error,) = read(tmp_path / "x.zip")
    assert "contains no image" in str(error)


def test_arrays_and_mixed_lists(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(encoded(10))
    grey = np.full((4, 6), 7, np.uint8)
    one, two, three = read([tmp_path / "1.jpg", grey, str(tmp_path / "gone.jpg")])
    assert one.name == str(tmp_path / "1.jpg")
    assert two.image.shape == (4, 6, 3)
    assert isinstance(three, DataError)
    assert read(grey, channels=1)[0].image.shape == (4, 6, 1)


# -- stdin ---------------------------------------------------------------------------------------------


class Pipe:
    """Stands for sys.stdin: bytes that come as they are asked for."""

    def __init__(self, data: bytes) -> None:
        self.buffer = io.BufferedReader(io.BytesIO(data))  # type: ignore[arg-type]


def piped(monkeypatch: pytest.MonkeyPatch, data: bytes, every: int = 1) -> list[Frame | DataError]:
    monkeypatch.setattr("sys.stdin", Pipe(data))
    return read("-", every)


def with_thumbnail(jpeg: bytes) -> bytes:
    """The JPEG with another, complete one inside its APP1 segment, as cameras write them."""
    inner = b"Exif\0\0" + encoded(200)
    return jpeg[:2] + b"\xff\xe1" + (len(inner) + 2).to_bytes(2, "big") + inner + jpeg[2:]


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_images_in_a_row_on_stdin(monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    frames = piped(monkeypatch, b"".join(encoded(value, suffix) for value in (10, 20, 30)))
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [10, 20, 30]
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert not frames[0].still


def test_a_thumbnail_does_not_end_its_image(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)
    large = bytes(cv2.imencode(".jpg", noise)[1].tobytes())
    frames = piped(monkeypatch, with_thumbnail(large) + encoded(20) + with_thumbnail(encoded(30)))
    assert [frame.image.shape[0] for frame in frames] == [64, 8, 8]
    assert int(frames[2].image[0, 0, 0]) == 30


def test_paths_on_stdin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(encoded(10))
    lines = f"{tmp_path / '1.jpg'}\r\n\n{tmp_path / 'gone.jpg'}\n0\n{tmp_path / '1.jpg'}"
    one, gone, camera, again = piped(monkeypatch, lines.encode())
    assert int(one.image[0, 0, 0]) == int(again.image[0, 0, 0]) == 10
    assert "gone.jpg: cannot be read" in str(gone)
    assert "expected paths of images or videos" in str(camera)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (encoded(10) + encoded(20)[:-20], "ends in the middle of an image"),
        (encoded(10, ".png") + b"garbage", "after image 1, expected a JPEG or PNG"),
        (b"\x89PNG\r\n\x1a\n\xff\xff\xff\xffIDAT", "contains a damaged PNG"),
        (b"\xff\xd8\xff\xe1\x00\x00", "ends in the middle of an image"),
    ],
)
def test_damaged_images_on_stdin(monkeypatch: pytest.MonkeyPatch, data: bytes, message: str) -> None:
    error = piped(monkeypatch, data)[-1]
    assert message in str(error)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_an_image_that_cannot_be_decoded_is_one_error(monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    """Its end was found, so the images behind it come."""
    damaged = b"\xff\xd8\xff\xd9" if suffix == ".jpg" else encoded(20, suffix)[:8] + encoded(20, suffix)[-12:]
    one, error, two = piped(monkeypatch, encoded(10, suffix) + damaged + encoded(30, suffix))
    assert "stdin, image 2: cannot be decoded" in str(error)
    assert [int(frame.image[0, 0, 0]) for frame in (one, two)] == [10, 30]
    assert [frame.index for frame in (one, two)] == [0, 2]


# -- objects and pages ---------------------------------------------------------------------------------


def test_an_object_gives_frames_until_it_has_none() -> None:
    class Three:
        number = 0

        def read(self) -> tuple[bool, np.ndarray]:
            self.number += 1
            return self.number <= 3, np.full((4, 4, 3), self.number, np.uint8)

    assert [int(frame.image[0, 0, 0]) for frame in read(Three())] == [1, 2, 3]


def test_an_object_that_reads_something_else() -> None:
    (error,) = read(io.BytesIO(b"bytes"))
    assert "read() returned a bytes; expected (ok, image) or an image" in str(error)


def test_a_page_needs_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "yt_dlp", None)
    with pytest.raises(
        MissingExtra, match=r"yt-dlp is not installed; run: pip install 'pydarknet\[youtube\]'"
    ):
        resolve("https://youtu.be/abc")
