# SPDX-License-Identifier: Apache-2.0
"""What is written where: formats by their definition, films by their frames, the web page by a client."""

from __future__ import annotations

import csv
import json
import socket
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from pydarknet import ArgumentError, Detections, FileError
from pydarknet.outputs import records
from pydarknet.outputs.pictures import Crops, Film, Pictures, Sheet, Window
from pydarknet.outputs.web import Web, parse_address
from pydarknet.readers import Frame
from pydarknet.render import draw
from pydarknet.streaming import Result

NAMES = ("dog", 'a "cat"', "bird")


def dets(
    *rows: tuple[float, ...], size: tuple[int, int] = (200, 100), tracks: list[int] | None = None
) -> Detections:
    """Detections from rows of x1, y1, x2, y2, confidence, class."""
    table = np.array(rows, np.float32).reshape(-1, 6)
    track_id = None if tracks is None else np.array(tracks)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(int), NAMES, size, track_id)


def result(found: Detections, name: str = "in/a.jpg", index: int = 0, **frame: object) -> Result:
    image = np.zeros((found.image_size[1], found.image_size[0], 3), np.uint8)
    return Result(Frame(image, name, index, **{"still": True, **frame}), found)  # type: ignore[arg-type]


TWO = dets((10, 20, 50, 60, 0.9, 0), (-5, 10, 210, 110, 0.6, 1))
NOTHING = dets()


def written(make: Callable[[str], records.TextFile], tmp_path: Path, *results: Result) -> str:
    output = make(str(tmp_path / "out.txt"))
    for one in results:
        output.write(one, lambda: None)
    assert output.close() == f"detections in {tmp_path / 'out.txt'}"
    return (tmp_path / "out.txt").read_text()


# -- records -------------------------------------------------------------------------------------------


def test_darknet_json(tmp_path: Path) -> None:
    one, two = json.loads(written(records.darknet_json, tmp_path, result(TWO), result(NOTHING, "b.jpg")))
    assert (one["frame_id"], one["filename"], two["objects"]) == (1, "in/a.jpg", [])
    assert one["objects"][0] == {
        "class_id": 0,
        "name": "dog",
        "relative_coordinates": {"center_x": 0.15, "center_y": 0.4, "width": 0.2, "height": 0.4},
        "confidence": 0.9,
    }


def test_json_lines(tmp_path: Path) -> None:
    tracked = dets((10, 20, 50, 60, 0.5, 0), tracks=[7])
    film = result(tracked, "f.mp4", 3, time=0.12, still=False)
    (line,) = written(records.json_lines, tmp_path, film).splitlines()
    assert json.loads(line) == {
        "source": "f.mp4", "frame": 3, "time": 0.12, "width": 200, "height": 100,
        "objects": [{"xmin": 10, "ymin": 20, "xmax": 50, "ymax": 60, "confidence": 0.5, "class": 0,
                     "name": "dog", "track_id": 7}],
    }  # fmt: skip


def test_csv(tmp_path: Path) -> None:
    text = written(records.csv_table, tmp_path, result(TWO, "with, comma.jpg"), result(NOTHING))
    rows = list(csv.DictReader(text.splitlines()))
    assert [(row["source"], row["name"], row["xmax"], row["track_id"]) for row in rows] == [
        ("with, comma.jpg", "dog", "50.00", ""), ("with, comma.jpg", 'a "cat"', "210.00", ""),
    ]  # fmt: skip


def test_coco_results(tmp_path: Path) -> None:
    one = result(TWO, "val/COCO_val2014_000000000042.jpg")
    entries = json.loads(written(records.coco_results, tmp_path, result(NOTHING), one))
    assert entries == [
        {"image_id": 42, "category_id": 1, "bbox": [10, 20, 40, 40], "score": 0.9},
        {"image_id": 42, "category_id": 2, "bbox": [0, 10, 200, 90], "score": 0.6},
    ]


def test_coco_ids() -> None:
    coco = ["person", *map(str, range(1, 79)), "toothbrush"]
    # the first, the last before the first gap, the first after it, the last: from COCO's annotation file
    assert [records.category_id(i, coco) for i in (0, 10, 11, 79)] == [1, 11, 13, 90]
    assert records.category_id(4, NAMES) == 5
    assert [records.image_number(name, 9) for name in ("12_a.jpg", "a_13.jpg", "x/14.png", "a.jpg")] == [
        12,
        13,
        14,
        9,
    ]


def test_yolo_labels(tmp_path: Path) -> None:
    labels = records.Labels(str(tmp_path / "labels"))
    for one in (result(TWO), result(NOTHING, "other/a.jpg"), result(TWO, "f.mp4", 11, still=False)):
        labels.write(one, lambda: None)
    assert labels.close() == f"3 label files in {tmp_path / 'labels'}"
    assert {path.name for path in (tmp_path / "labels").iterdir()} == {"a.txt", "a_2.txt", "f_12.txt"}
    assert (tmp_path / "labels" / "a.txt").read_text() == (
        "0 0.150000 0.400000 0.200000 0.400000\n1 0.500000 0.550000 1.000000 0.900000\n"
    )
    assert (tmp_path / "labels" / "a_2.txt").read_text() == ""


def test_yolo_labels_with_confidence_and_track(tmp_path: Path) -> None:
    labels = records.Labels(str(tmp_path), confidence=True)
    labels.write(result(dets((0, 0, 200, 100, 0.5, 2), tracks=[4])), lambda: None)
    assert (tmp_path / "a.txt").read_text() == "2 0.500000 0.500000 1.000000 1.000000 0.500000 4\n"


def test_kaggle_loc(tmp_path: Path) -> None:
    many = dets(*[(10 + i, 20, 50, 60, 0.1 * i, i % 3) for i in range(1, 8)])
    text = written(
        records.kaggle_loc,
        tmp_path,
        result(many, "ILSVRC2012_test_1.JPEG"),
        result(NOTHING, "b.JPEG"),
        result(TWO, "c"),
    )
    header, first, second, third = text.splitlines()
    assert header == "ImageId,PredictionString"
    words = first.partition(",")[2].split()
    assert first.startswith("ILSVRC2012_test_1,2 17 20 49 59 1 16 ")  # best first; whole, 0-based, inclusive
    assert len(words) == 5 * 5
    assert second == "b,"
    assert third == "c,1 10 20 49 59 2 0 10 199 99"  # inside the image


def test_kaggle_loc_with_the_mapping(tmp_path: Path) -> None:
    (tmp_path / "map.txt").write_text("n01 bird, fowl\nn02 dog, hound\n")
    make = lambda path: records.kaggle_loc(path, str(tmp_path / "map.txt"))  # noqa: E731
    assert written(make, tmp_path, result(TWO[0])).splitlines()[1] == "a,2 10 20 49 59"
    output = make(str(tmp_path / "none.txt"))
    with pytest.raises(ArgumentError, match="class 'a \"cat\"' is not in the mapping"):
        output.write(result(TWO), lambda: None)
    assert output.close() == ""
    assert not (tmp_path / "none.txt").exists()


def test_nothing_good_is_replaced_by_nothing(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    path.write_text("good")
    assert records.darknet_json(str(path)).close() == ""
    assert path.read_text() == "good"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_appears_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "found.jsonl"
    path.write_text("old")
    output = records.json_lines(str(path))
    output.write(result(TWO), lambda: None)
    assert path.read_text() == "old"
    output.close()
    assert json.loads(path.read_text())["source"] == "in/a.jpg"


def test_an_unwritable_folder_is_found_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="cannot be written"):
        records.csv_table(str(tmp_path / "file" / "x.csv"))


def test_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    output = records.json_lines("-")
    output.write(result(TWO), lambda: None)
    assert json.loads(capsys.readouterr().out)["frame"] == 0  # there before the end
    assert output.close() == ""


# -- pictures ------------------------------------------------------------------------------------------


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


def frames_of(path: Path) -> list[np.ndarray]:
    capture, found = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        found.append(read[1])
    capture.release()
    return found


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_a_film_has_the_frames_it_was_given(tmp_path: Path, suffix: str) -> None:
    film = Film(tmp_path / f"x{suffix}", fps=25)
    for number in range(60):
        film.write(np.full((120, 160, 3), 4 * number, np.uint8), number / 25)
    assert not film.path.exists()
    film.close()
    capture = cv2.VideoCapture(str(film.path))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(25, abs=0.1)
    capture.release()
    frames = frames_of(film.path)
    assert len(frames) == 60
    assert frames[0].shape == (120, 160, 3)
    assert [abs(int(frame[60, 80, 0]) - 4 * i) <= 6 for i, frame in enumerate(frames)] == [True] * 60


def test_a_live_film_runs_as_fast_as_life(tmp_path: Path) -> None:
    """Five pictures a second, in a film of thirty: each stands for six; an hour's loss is cut to a second."""
    film = Film(tmp_path / "x.avi", fps=30, live=True)
    times = [0.2 * i for i in range(10)] + [3600.0]
    for time in times:
        film.write(np.zeros((16, 16, 3), np.uint8), time)
    film.close()
    assert len(frames_of(film.path)) == pytest.approx(1 + 9 * 6 + 30, abs=1)


def test_pictures_of_another_size_are_fitted(tmp_path: Path) -> None:
    film = Film(tmp_path / "x.avi", fps=30)
    for size in ((64, 64), (32, 48), (64, 64)):
        film.write(np.zeros((*size, 3), np.uint8), 0)
    film.close()
    assert [frame.shape for frame in frames_of(film.path)] == [(64, 64, 3)] * 3


def test_a_film_of_nothing_replaces_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.avi").write_text("good")
    Film(tmp_path / "x.avi", fps=30).close()
    assert (tmp_path / "x.avi").read_text() == "good"
    assert len(list(tmp_path.iterdir())) == 1


def test_films_of_an_unknown_kind(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"x\.wmv: films can be written as \.mp4, "):
        Film(tmp_path / "x.wmv", fps=30)


def test_pictures_get_the_names_of_their_sources(tmp_path: Path) -> None:
    output = Pictures(str(tmp_path / "out"))
    sources = [
        ("a/x.png", True, 0), ("b/x.png", True, 0), ("f.mkv", False, 0), ("f.mkv", False, 1),
        ("rtsp://10.0.0.1:554/s?x=1", False, 0),
    ]  # fmt: skip
    for name, still, index in sources:
        output.write(
            result(TWO, name, index, still=still, fps=25.0), lambda: np.zeros((100, 200, 3), np.uint8)
        )
    assert output.close().startswith("2 pictures in ")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"x.jpg", "x_2.jpg", "f.mp4", "rtsp_10.0.0.1_554_s_x_1.mp4"}
    assert len(frames_of(tmp_path / "out" / "f.mp4")) == 2


def test_one_named_picture(tmp_path: Path) -> None:
    output = Pictures(str(tmp_path / "found.png"))
    output.write(result(TWO), lambda: np.full((4, 4, 3), 9, np.uint8))
    assert cv2.imread(str(tmp_path / "found.png"))[0, 0].tolist() == [9, 9, 9]
    with pytest.raises(
        ArgumentError, match=r"found\.png: is one file, but there are several pictures; name a folder"
    ):
        output.write(result(TWO, "b.jpg"), lambda: np.zeros((4, 4, 3), np.uint8))


def test_the_input_film_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "f.mp4"
    path.write_text("precious")
    output = Pictures(str(tmp_path))
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
    assert sheet.close() == f"5 of 5 pictures on {tmp_path / 'sheet.png'}"
    image = cv2.imread(str(tmp_path / "sheet.png"))
    assert image.shape == (20, 60, 3)  # 3 x 2 pictures of 20 x 10
    assert image[[5, 5, 5, 15, 15, 15], [10, 30, 50, 10, 30, 50], 0].tolist() == [0, 40, 80, 120, 160, 255]


def test_a_sheet_of_a_long_film_is_spread_evenly(tmp_path: Path) -> None:
    sheet = Sheet(str(tmp_path / "sheet.png"), width=2, limit=8)
    for number in range(100):
        sheet.write(result(TWO), lambda n=number: np.full((2, 2, 3), n, np.uint8))
    assert [int(picture[0, 0, 0]) for picture in sheet._small] == [0, 16, 32, 48, 64, 80, 96]
    assert Sheet(str(tmp_path / "none.png")).close() == ""
    assert not (tmp_path / "none.png").exists()


def test_a_window_needs_an_opencv_that_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "  GUI:                           NONE\n")
    with pytest.raises(
        ArgumentError, match=r"opens no windows .*pip install opencv-python; or look at --http"
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


# -- web -----------------------------------------------------------------------------------------------


def get(url: str) -> tuple[int, str, bytes]:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.status, answer.headers["Content-Type"], answer.read()


@pytest.fixture
def web() -> object:
    server = Web(port=0)
    yield server
    server.close()


def publish_until(web: Web, stop: threading.Event) -> threading.Thread:
    """Frames as a stream gives them, until somebody has seen enough."""

    def work() -> None:
        number = 0
        while not stop.wait(0.02):
            number += 1
            web.write(
                result(TWO, "0", number, still=False),
                lambda n=number: np.full((48, 64, 3), n % 200, np.uint8),
            )

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_page_picture_and_json(web: Web) -> None:
    web.write(result(TWO, "cam", 5), lambda: np.full((48, 64, 3), 77, np.uint8))
    assert get(web.url)[:2] == (200, "text/html; charset=utf-8")
    status, kind, body = get(web.url + "frame.jpg")
    assert (status, kind) == (200, "image/jpeg")
    assert cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR)[20, 20].tolist() == [77, 77, 77]
    status, kind, body = get(web.url + "frame.json")
    assert kind == "application/json"
    assert [one["name"] for one in json.loads(body)["objects"]] == ["dog", 'a "cat"']
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(web.url + "../etc/passwd")


def test_events_and_stream_go_on_together(web: Web) -> None:
    stop = threading.Event()
    thread = publish_until(web, stop)
    try:
        capture = cv2.VideoCapture(web.url + "stream.mjpg", cv2.CAP_FFMPEG)
        with urllib.request.urlopen(web.url + "events", timeout=10) as events:
            frames = []
            while len(frames) < 3:
                if (line := events.readline()).startswith(b"data: "):
                    frames.append(json.loads(line[6:])["frame"])
        assert frames == sorted(set(frames))
        for _ in range(3):
            fine, image = capture.read()
            assert fine
            assert image.shape == (48, 64, 3)
        capture.release()
    finally:
        stop.set()
        thread.join()


def test_a_client_that_does_not_read_slows_nobody_down(web: Web) -> None:
    stop = threading.Event()
    host, port = web.url.split("/")[2].split(":")
    with socket.create_connection((host, int(port))) as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        lazy.sendall(b"GET /stream.mjpg HTTP/1.0\r\n\r\n")
        thread = publish_until(web, stop)
        for _ in range(10):
            assert get(web.url + "frame.json")[0] == 200
        stop.set()
        thread.join(5)
        assert not thread.is_alive()


def test_closing_ends_the_clients() -> None:
    web = Web(port=0)
    web.write(result(TWO), lambda: np.zeros((4, 4, 3), np.uint8))
    with urllib.request.urlopen(web.url + "events", timeout=10) as events:
        assert events.readline().startswith(b"data: ")
        web.close()
        assert events.read() == b"\n"


@pytest.mark.parametrize(
    ("text", "address"),
    [("8090", ("127.0.0.1", 8090)), ("0.0.0.0:80", ("0.0.0.0", 80)), ("host:1", ("host", 1))],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "host", "host:", "70000", "-1", "8090x"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ArgumentError, match=r"found address .*, expected a port"):
        parse_address(text)


def test_a_taken_port(web: Web) -> None:
    with pytest.raises(FileError, match=r"cannot listen on 127\.0\.0\.1:\d+: .*in use"):
        Web(port=int(web.url.split(":")[2].strip("/")))
