# SPDX-License-Identifier: Apache-2.0
"""stream(): every frame of files, the newest of live sources, and a clean end whatever happens."""

from __future__ import annotations

import gc
import itertools
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from web_camera import WebCamera

import pydarknet
from pydarknet import ArgumentError, DataError
from pydarknet.streaming.sources import classify
from pydarknet.system.memory import resident_memory

Video = Callable[..., Path]


# -- files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["video.avi", "video.mp4"])
def test_sixty_frames_in_sixty_out(video: Video, seer: Callable, name: str) -> None:
    results = list(pydarknet.stream(seer(), video(name)))
    assert [result.frame.index for result in results] == list(range(60))
    for index, (image, dets) in enumerate(results[:40]):
        assert image.shape == (120, 160, 3)
        assert dets.image_size == (160, 120)
        np.testing.assert_allclose(dets.xyxy, [[4 + 2 * index, 40, 36 + 2 * index, 72]], atol=2)


def test_none_is_lost_when_the_network_is_slow_or_the_caller_is(video: Video, seer: Callable) -> None:
    path = video(frames=30)
    assert len(list(pydarknet.stream(seer(0.01), path))) == 30
    count = 0
    with pydarknet.stream(seer(), path) as results:
        for _ in results:
            time.sleep(0.01)
            count += 1
    assert count == results.stats.frames == results.stats.total == 30
    assert results.stats.dropped == 0


def test_frames_come_in_batches_of_the_network(video: Video, seer: Callable) -> None:
    net = seer()
    net.batch = 8
    results = list(pydarknet.stream(net, video(frames=20)))
    assert [result.frame.index for result in results] == list(range(20))
    assert net.batches == [8, 8, 4]


def test_reading_inference_and_the_caller_work_at_once(seer: Callable) -> None:
    """The third read, the second inference and the caller with its first result wait for one another."""
    meeting = threading.Barrier(3, timeout=60)
    numbers = itertools.count()

    class Source:
        def read(self) -> tuple[bool, np.ndarray | None]:
            number = next(numbers)
            if number == 2:
                meeting.wait()
            return number < 5, np.zeros((8, 8, 3), np.uint8)

    net = seer()
    inner = net.detect

    def detect(images: list, *options: object) -> list:
        if len(net.batches) == 1:
            meeting.wait()
        return inner(images, *options)

    net.detect = detect
    results = pydarknet.stream(net, Source(), live=False)
    for result in results:
        if result.frame.index == 0:
            meeting.wait()
    assert results.stats.frames == 5


def test_every_third_frame(video: Video, seer: Callable) -> None:
    results = pydarknet.stream(seer(), video(frames=10), every=3)
    assert [result.frame.index for result in results] == [0, 3, 6, 9]
    assert results.stats.total == 4


def test_several_videos_and_images_as_one(video: Video, seer: Callable, tmp_path: Path) -> None:
    video("a.avi", frames=3)
    video("b.avi", frames=2)
    cv2.imwrite(str(tmp_path / "c.png"), np.zeros((4, 4, 3), np.uint8))
    results = list(pydarknet.stream(seer(), tmp_path))
    assert [(Path(result.frame.name).name, result.frame.index) for result in results] == [
        ("a.avi", 0), ("a.avi", 1), ("a.avi", 2), ("b.avi", 0), ("b.avi", 1), ("c.png", 0),
    ]  # fmt: skip


def test_an_unreadable_image_is_raised_or_skipped(seer: Callable, tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"bad")
    cv2.imwrite(str(tmp_path / "2.png"), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(DataError, match=r"1\.png: cannot be decoded"):
        list(pydarknet.stream(seer(), tmp_path))
    told: list[DataError] = []
    results = pydarknet.stream(seer(), tmp_path, skip=told.append)
    assert [Path(result.frame.name).name for result in results] == ["2.png"]
    assert (len(told), results.stats.failed, results.stats.frames) == (1, 1, 1)


def test_an_image_the_network_cannot_take_does_not_lose_the_batch(seer: Callable) -> None:
    net = seer()
    net.batch = 3
    inner = net.detect

    def picky(images: list, *options: object) -> list:
        if any(image.shape[0] == 5 for image in images):
            raise DataError("has 5 rows")
        return inner(images, *options)

    net.detect = picky
    images = [np.zeros((rows, 4, 3), np.uint8) for rows in (4, 5, 6)]
    told: list[DataError] = []
    results = list(pydarknet.stream(net, images, skip=told.append))
    assert [result.frame.image.shape[0] for result in results] == [4, 6]
    assert [str(error) for error in told] == ["array2: has 5 rows"]


def test_classes_by_name_and_number(video: Video, seer: Callable) -> None:
    path = video(frames=1)
    assert [len(dets) for _, dets in pydarknet.stream(seer(), path, classes=["square"])] == [1]
    assert [len(dets) for _, dets in pydarknet.stream(seer(), path, classes=[1])] == [0]
    with pytest.raises(
        ArgumentError, match="found class 'sqare', which the network does not have; did you mean 'squ"
    ):
        pydarknet.stream(seer(), path, classes=["sqare"])
    with pytest.raises(ArgumentError, match="found class '7', which the network does not have; there are 2"):
        pydarknet.stream(seer(), path, classes=[7])


def test_one_bad_video_does_not_hide_the_others(video: Video, seer: Callable, tmp_path: Path) -> None:
    video("b.avi", frames=3)
    (tmp_path / "a.avi").write_bytes(b"no video")
    told: list[DataError] = []
    results = pydarknet.stream(seer(), tmp_path, skip=told.append)
    assert results.stats.total is None
    assert len(list(results)) == 3
    assert "a.avi: cannot be opened" in str(told[0])


def test_pages_are_resolved_and_keep_their_name(
    video: Video, seer: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = video(frames=3)
    asked: list[str] = []

    def resolve(url: str) -> tuple[str, bool]:
        asked.append(url)
        return str(path), False

    monkeypatch.setattr("pydarknet.contrib.youtube.resolve", resolve)
    results = list(pydarknet.stream(seer(), "https://youtu.be/abc"))
    assert {result.frame.name for result in results} == set(asked) == {"https://youtu.be/abc"}
    assert len(results) == 3


def test_a_notebook_shows_the_picture(video: Video, seer: Callable) -> None:
    result = next(pydarknet.stream(seer(), video()))
    shown = cv2.imdecode(np.frombuffer(result._repr_png_(), np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(shown, result.detections.plot(result.frame.image))


def test_wrong_values(seer: Callable) -> None:
    with pytest.raises(ArgumentError, match="found every=0, expected 1"):
        pydarknet.stream(seer(), "video.mp4", every=0)


def test_the_networks_error_reaches_the_caller(video: Video, seer: Callable) -> None:
    net = seer()
    net.detect = lambda *_: (_ for _ in ()).throw(ZeroDivisionError("in the network"))
    with pytest.raises(ZeroDivisionError, match="in the network"):
        list(pydarknet.stream(net, video()))


def test_one_call(video: Video, tiny_files: tuple[Path, Path], levels: np.ndarray) -> None:
    cfg, weights = tiny_files
    with pydarknet.detect(cfg, weights, levels, names=["thing"], thresh=0.5, precision="fp32") as results:
        ((image, dets),) = results
    assert image.shape == (4, 4, 1)
    np.testing.assert_allclose(dets.xyxy, [[2, 2, 4, 4]], atol=1e-4)  # as the self-test computes it by hand
    assert dets.names == ("thing",)
    assert results._network is not None
    assert "closed" in repr(results._network)


# -- live sources --------------------------------------------------------------------------------------


def problem_of(results: Any) -> str:
    """Why a live source has no frame, as soon as that is known."""
    (reader,) = results.stats.readers
    while not reader.problem:
        time.sleep(0.001)
    return str(reader.problem)


def wait_for_frames(camera: Any, count: int) -> None:
    """Return when a fake camera has given so many more frames."""
    last = camera.number + count
    while camera.number < last:
        time.sleep(0.001)


def test_a_slow_network_gets_the_newest_frame(seer: Callable, fake_camera: Callable) -> None:
    """The camera gives six or more frames during each inference; the next takes the last of them."""
    camera = fake_camera(200)
    counts = []  # frames of the camera at the end of each inference

    net = seer()
    inner = net.detect

    def detect(images: list, *options: object) -> list:
        if len(counts) < 14:
            wait_for_frames(camera, 6)
            counts.append(camera.number)
        return inner(images, *options)

    net.detect = detect
    with pydarknet.stream(net, camera) as results:
        found = list(itertools.islice(results, 15))
        assert results.live
    numbers = [result.frame.index + 1 for result in found]
    # The frame that the camera has just counted may not be in the queue yet; in a queue the 15th would be 15.
    assert all(number >= count - 1 for number, count in zip(numbers[1:], counts, strict=False))
    assert results.stats.dropped >= 14 * 4
    assert results.stats.latency(1) == pytest.approx(max(result.latency for result in found), abs=1e-9)


def test_a_slow_caller_does_not_see_the_past_either(seer: Callable, fake_camera: Callable) -> None:
    """One result waits for the caller and one for its place: the third was taken since the caller asked."""
    camera = fake_camera(200)
    counts = []  # frames of the camera when the caller asks for the next result
    numbers = []
    with pydarknet.stream(seer(), camera) as results:
        for result in itertools.islice(results, 12):
            numbers.append(result.frame.index + 1)
            wait_for_frames(camera, 6)
            counts.append(camera.number)
    assert all(number >= count - 1 for number, count in zip(numbers[3:], counts, strict=False))


def test_a_camera_that_stalls_drops_and_comes_back(seer: Callable, fake_camera: Callable) -> None:
    script = ["ok"] * 5 + ["drop"] * 4 + ["ok"] * 5 + ["stall"] + ["ok"] * 5 + ["error", "error"]
    with pydarknet.stream(seer(), fake_camera(100, iter(script)), patience=5) as results:
        indices = [result.frame.index for result in itertools.islice(results, 20)]
    assert indices == sorted(set(indices))
    assert indices[-1] >= 19
    assert results.stats.lost == 3


def test_a_camera_that_is_lost_for_good(seer: Callable, fake_camera: Callable) -> None:
    camera = fake_camera(100, itertools.chain(["ok"] * 5, itertools.repeat("error")))
    results = pydarknet.stream(seer(), camera, patience=1.5)
    assert next(results).frame.index < 5
    with pytest.raises(DataError, match=r"no frame for 1\.5 seconds; FakeCamera: the cable is out"):
        list(results)


def test_a_camera_that_hangs(seer: Callable) -> None:
    free = threading.Event()

    class Hanging:
        def read(self) -> None:
            free.wait(20)

    with pytest.raises(DataError, match=r"no frame for 0\.3 seconds; Hanging: no answer"):
        next(pydarknet.stream(seer(), Hanging(), patience=0.3))
    free.set()


def test_a_device_that_is_not_there(seer: Callable) -> None:
    with pydarknet.stream(seer(), 99) as results:
        assert problem_of(results).startswith("cannot be opened; expected a video")


def test_a_capture_of_a_file_gives_every_frame(video: Video, seer: Callable) -> None:
    capture = cv2.VideoCapture(str(video(frames=20)))
    results = pydarknet.stream(seer(0.005), capture)
    assert not results.live
    assert len(list(results)) == 20
    capture.release()


def test_mjpeg_over_http_that_breaks_off_and_comes_back(seer: Callable) -> None:
    with (
        WebCamera(fps=40, frames_per_connection=15) as camera,
        pydarknet.stream(seer(), camera.url) as results,
    ):
        seen = list(itertools.islice(results, 40))
    assert camera.connections >= 2
    assert results.stats.lost >= 1
    assert all(dets.image_size == (160, 120) and len(dets) == 1 for _, dets in seen)


def test_a_stream_that_is_not_there_yet(seer: Callable) -> None:
    camera = WebCamera(fps=40, start=False)
    with camera, pydarknet.stream(seer(), camera.url) as results:
        assert "cannot be opened" in problem_of(results)
        camera.start()
        assert next(results).frame.image.shape == (120, 160, 3)
    assert results.stats.lost == 1


def test_several_streams_at_once(seer: Callable, tmp_path: Path) -> None:
    with WebCamera(fps=30) as one, WebCamera(fps=30) as two:
        (tmp_path / "cameras.streams").write_text(f"{one.url}\n{two.url}\n")
        with pydarknet.stream(seer(), tmp_path / "cameras.streams") as results:
            names = set()
            while len(names) < 2:
                names.add(next(results).frame.name)
    assert names == {one.url, two.url}


def test_the_screen(seer: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mss")

    class Display:
        monitors = (
            {"left": 0, "top": 0, "width": 9, "height": 9},
            {"left": 3, "top": 5, "width": 9, "height": 9},
        )

        def grab(self, area: dict) -> np.ndarray:
            return np.full((area["height"], area["width"], 4), area["left"], np.uint8)

        def close(self) -> None: ...

    monkeypatch.setattr("mss.mss", Display)
    with pydarknet.stream(seer(), "screen 1 10 20 6 4") as results:
        image, _ = next(results)
    assert image.shape == (4, 6, 3)
    assert image[0, 0, 0] == 13  # the region is within the monitor
    with pytest.raises(ArgumentError, match=r"screen: found monitor 4, expected 0 \(all\) to 1"):
        next(pydarknet.stream(seer(), "screen 4"))


def test_the_screen_is_read_no_faster_than_anybody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = pytest.importorskip("pydarknet.contrib.screen")
    now = [100.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(screen, "time", SimpleNamespace(perf_counter=lambda: now[0], sleep=sleep))
    display = screen.Screen(classify("screen"))
    display._grabber, display._area = SimpleNamespace(grab=lambda _: np.zeros((2, 2, 4), np.uint8)), {}
    for _ in range(4):
        display.read()
    assert now[0] == pytest.approx(100 + 3 / 30)


def test_a_machine_without_a_display_is_tried_once(seer: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """A camera may come back after a while; a display that never was does not."""
    mss = pytest.importorskip("mss")
    tries = []

    def no_display() -> None:
        tries.append(1)
        raise mss.exception.ScreenShotError("display is unset")

    monkeypatch.setattr("mss.mss", no_display)
    with pytest.raises(ArgumentError, match="screen: cannot be read: display is unset; is there a display"):
        next(pydarknet.stream(seer(), "screen", patience=20))
    assert len(tries) == 1


# -- ends ----------------------------------------------------------------------------------------------


def test_leaving_the_loop_ends_the_threads(video: Video, seer: Callable, fake_camera: Callable) -> None:
    for source in (video(), fake_camera()):
        for _ in pydarknet.stream(seer(), source):
            break
        gc.collect()
    # that no thread stays is checked after every test here


def test_close_twice_and_use_after_it(video: Video, seer: Callable) -> None:
    results = pydarknet.stream(seer(), video())
    next(results)
    results.close()
    results.close()
    assert list(results) == []


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX here")
def test_ctrl_c_ends_a_stream_that_waits(tmp_path: Path) -> None:
    script = textwrap.dedent("""
        import time, pydarknet
        class Camera:
            def read(self):
                print("reading", flush=True)
                time.sleep(60)
        class Net:
            def detect(self, images, *options):
                return []
        try:
            next(pydarknet.stream(Net(), Camera()))
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """)
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "reading\n"
        os.kill(child.pid, signal.SIGINT)
        assert child.communicate(timeout=50)[0] == "interrupted\n"
        assert child.returncode == 0
    finally:
        child.kill()


@pytest.mark.slow
def test_memory_is_flat_over_five_thousand_frames(video: Video, tiny_files: tuple[Path, Path]) -> None:
    if resident_memory() is None:
        pytest.skip("memory cannot be measured on this system")
    path = video(frames=5000, size=(64, 64))
    sizes = []
    with pydarknet.Network(*tiny_files, threads=1) as net, pydarknet.stream(net, path, thresh=0.0) as results:
        for number, (image, dets) in enumerate(results):
            assert len(dets)
            if number % 500 == 499:
                gc.collect()
                sizes.append(resident_memory())
            del image, dets
    assert len(sizes) == 10
    assert max(sizes[1:]) - sizes[1] < 4e6  # a leak of one 64 x 64 frame in each hundred would be seen
