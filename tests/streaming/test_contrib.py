# SPDX-License-Identifier: Apache-2.0
"""Adapters to other libraries: tracking and tables."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import pydarknet
from pydarknet import ArgumentError, Detections, MissingExtra
from pydarknet.contrib import frames, tracking
from pydarknet.streaming.file_sources import Frame
from pydarknet.streaming.result import Result


def dets(*rows: tuple[float, ...], tracker_id: list[int] | None = None) -> Detections:
    table = np.array(rows, np.float32).reshape(-1, 6)
    ids = None if tracker_id is None else np.array(tracker_id)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(int), ("dog", "cat"), (500, 100), ids)


# -- tracking ------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
class TestTracking:
    @pytest.fixture(autouse=True)
    def _library(self) -> None:
        pytest.importorskip("trackers")

    @pytest.mark.parametrize("kind", tracking.TRACKERS)
    def test_two_objects_keep_their_numbers(self, kind: str) -> None:
        tracker = tracking.Tracker(kind)
        seen = []
        for step in range(20):
            left, right = 10 + 3 * step, 400 - 3 * step
            rows = [(left, 20, left + 40, 60, 0.8, 0), (right, 20, right + 40, 60, 0.6, 1)]
            found = tracker.update(dets(*(rows if step % 2 else rows[::-1])))
            assert found.xyxy[:, 0].tolist() == ([left, right] if step % 2 else [right, left])  # order stays
            ids = dict(zip(found.class_id.tolist(), found.tracker_id.tolist(), strict=True))
            seen.append((ids[0], ids[1]))
        assert len(set(seen[8:])) == 1
        one, two = seen[-1]
        assert one != two
        assert min(one, two) >= 0

    def test_classes_of_one_box_share_a_number(self) -> None:
        tracker = tracking.Tracker()
        for _ in range(5):
            found = tracker.update(dets((10, 20, 50, 60, 0.8, 0), (10, 20, 50, 60, 0.5, 1)))
        assert found.tracker_id[0] == found.tracker_id[1] >= 0
        assert len(tracker.update(dets())) == 0

    def test_a_stream_with_numbers_in_all_that_is_made_of_it(self, video: Callable, seer: Callable) -> None:
        results = list(tracking.track(pydarknet.stream(seer(), video(frames=20))))
        ids = {int(dets.tracker_id[0]) for _, dets in results[5:]}
        assert len(ids) == 1
        last = results[-1].detections
        (number,) = ids
        assert last.to_records()[0]["track_id"] == number
        assert f'"track_id":{number}' in last.to_json()
        assert last[[0]].tracker_id.tolist() == [number]

    def test_each_video_counts_for_itself(self, video: Callable, seer: Callable) -> None:
        folder = video("a.avi", frames=6).parent
        video("b.avi", frames=6)
        results = list(tracking.track(pydarknet.stream(seer(), folder)))
        assert results[5].detections.tracker_id.tolist() == results[11].detections.tracker_id.tolist()

    def test_unknown_trackers(self) -> None:
        with pytest.raises(ArgumentError, match="found tracker 'bytetrak', expected one of bytetrack, sort"):
            tracking.Tracker("bytetrak")


def test_a_folder_of_images_is_tracked_as_a_video(monkeypatch: pytest.MonkeyPatch) -> None:
    """The images of a folder are frames of one source; each folder and each video has its own tracker."""

    class Counting:
        """Numbers the frames that it gets."""

        def __init__(self, **_: object) -> None:
            self.frames = 0

        def update(self, found: SimpleNamespace) -> SimpleNamespace:
            self.frames += 1
            found.tracker_id = np.full(len(found.xyxy), self.frames)
            return found

    class Found(SimpleNamespace):
        def __len__(self) -> int:
            return len(self.xyxy)

    monkeypatch.setitem(sys.modules, "supervision", SimpleNamespace(Detections=Found))
    monkeypatch.setitem(sys.modules, "trackers", SimpleNamespace(ByteTrackTracker=Counting))
    one = dets((1, 2, 3, 4, 0.5, 1))

    def numbers(*names: str, still: bool) -> list[int]:
        frames = [Frame(np.zeros((9, 9, 3), np.uint8), name, still=still) for name in names]
        results = tracking.track(Result(frame, one, 0, 0) for frame in frames)
        return [int(result.detections.tracker_id[0]) for result in results]

    assert numbers("a/1.png", "a/2.png", "b/1.png", "a/3.png", still=True) == [1, 2, 1, 3]
    assert numbers("image 0", "image 1", still=True) == [1, 2]
    assert numbers("a/1.mp4", "a/2.mp4", "a/1.mp4", still=False) == [1, 1, 2]
    with pytest.raises(ArgumentError, match="tracker botsort needs a newer package"):
        tracking.Tracker("botsort")


def test_the_command_offers_every_tracker() -> None:
    from pydarknet.cli.detect import TRACKERS

    assert tuple(tracking.TRACKERS) == TRACKERS


def test_tracking_without_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(
        MissingExtra, match=r"supervision is not installed; run: pip install 'pydarknet\[tracking\]'"
    ):
        tracking.Tracker()


# -- tables --------------------------------------------------------------------------------------------

TWO = dets((1, 2, 3, 4, 0.5, 1), (5, 6, 7, 8, 0.25, 0))


def test_pandas(video: Callable, seer: Callable) -> None:
    pytest.importorskip("pandas")
    table = frames.to_pandas(TWO)
    assert list(table.columns) == ["xmin", "ymin", "xmax", "ymax", "confidence", "class", "name"]
    assert table["name"].tolist() == ["cat", "dog"]
    assert table.iloc[0, :5].tolist() == [1, 2, 3, 4, 0.5]
    path: Path = video(frames=4)
    many = frames.to_pandas(pydarknet.stream(seer(), path))
    assert many["frame"].tolist() == [0, 1, 2, 3]
    assert many["source"].tolist() == [str(path)] * 4


def test_polars() -> None:
    pytest.importorskip("polars")
    table = frames.to_polars(dets((1, 2, 3, 4, 0.5, 1), tracker_id=[9]))
    assert table.columns[-1] == "track_id"
    assert table.row(0) == (1.0, 2.0, 3.0, 4.0, 0.5, 1, "cat", 9)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_tables_without_their_library(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(
        MissingExtra, match=rf"{library} is not installed; run: pip install 'pydarknet\[frames\]'"
    ):
        getattr(frames, f"to_{library}")(TWO)


def test_an_empty_stream_is_an_empty_table() -> None:
    assert set(frames.columns_of([])) == {"source", "frame", "time", *frames._COLUMNS}
