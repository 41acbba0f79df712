# SPDX-License-Identifier: Apache-2.0
"""Images in every form become what the network takes."""

from __future__ import annotations

import base64
import os
import socket
import struct
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image

from pydarknet import ArgumentError, DataError, FileError, Network
from pydarknet.engine.images import load, save_image
from pydarknet.system import fetch

# 4 x 2 pixels, blue first; every pixel different
BGR = np.arange(24, dtype=np.uint8).reshape(2, 4, 3) * 10


def png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def test_paths_bytes_arrays_and_pil_are_the_same_image(tmp_path: Path) -> None:
    path = tmp_path / "Grün ü.png"
    path.write_bytes(png(BGR))
    rgb = Image.fromarray(BGR[:, :, ::-1])
    for form in (BGR, path, str(path), png(BGR), bytearray(png(BGR)), memoryview(png(BGR)), rgb):
        np.testing.assert_array_equal(load(form, 3), BGR)


def test_floats_are_levels_over_255() -> None:
    for dtype in (np.float16, np.float32, np.float64):
        np.testing.assert_array_equal(load((BGR / 255).astype(dtype)), BGR)
    np.testing.assert_array_equal(load((BGR / 255)[:, :, ::-1], rgb=True), BGR)


def test_planes_are_refused_with_the_way_out() -> None:
    with pytest.raises(DataError, match=r"has 2 channels, the network takes 3$"):
        load(np.zeros((8, 8, 2), np.uint8))
    with pytest.raises(
        DataError, match=r"has 8 channels, the network takes 3; .*image\.transpose\(1, 2, 0\)"
    ):
        load(np.zeros((3, 8, 8), np.float32))


def test_addresses_are_fetched_on_request_only(pages: dict[str, bytes], url: str) -> None:
    pages["/x.png"] = png(BGR)
    np.testing.assert_array_equal(load(f"{url}/x.png", urls=True), BGR)
    with pytest.raises(DataError, match=r"/x\.png: cannot be read: No such file"):
        load(f"{url}/x.png")
    with pytest.raises(DataError, match=r"http://.*/gone\.png: cannot be fetched: .*404"):
        load(f"{url}/gone.png", urls=True)
    pages["/text.png"] = b"no image"
    with pytest.raises(DataError, match=r"http://.*/text\.png: cannot be decoded"):
        load(f"{url}/text.png", urls=True)
    with pytest.raises(DataError, match=r"http://.*cannot be fetched: .*control characters"):
        load(f"{url}/a b.png", urls=True)
    with pytest.raises(DataError, match=r"http://.*cannot be fetched: .*port"):
        load("http://localhost:abc/x.png", urls=True)


def test_a_password_in_an_address_is_sent_and_not_printed() -> None:
    """As basic authentication, to that server alone."""
    asked: list[tuple[str, str | None]] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers["Authorization"]))
            self.send_response(302 if self.path == "/moved.png" else 200)
            if self.path == "/moved.png":
                self.send_header("Location", f"http://localhost:{server.server_address[1]}/x.png")
            self.end_headers()
            if self.path != "/moved.png":
                self.wfile.write(png(BGR))

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        address = f"http://me:s%40cret@127.0.0.1:{server.server_address[1]}"
        for path in ("/x.png", "/moved.png"):
            np.testing.assert_array_equal(load(f"{address}{path}", urls=True), BGR)
        server.shutdown()
    known = "Basic " + base64.b64encode(b"me:s@cret").decode()
    assert asked == [("/x.png", known), ("/moved.png", known), ("/x.png", None)]
    for wrong in ("http://me:s3cret@host:port/x.png", "http://me:s3cret@[/x.png", "http://me:s3cret@/x.png"):
        with pytest.raises(DataError, match="cannot be fetched") as found:
            load(wrong, urls=True)
        assert "s3cret" not in str(found.value)


def test_a_fetched_address_stays_encrypted() -> None:
    request = urllib.request.Request("https://example.org/x.png")
    handler = fetch._Redirections(DataError)
    with pytest.raises(DataError, match=r"redirected to http://example\.org/x\.png, without encryption"):
        handler.redirect_request(request, None, 302, "", {}, "http://a:b@example.org/x.png")  # type: ignore[arg-type]


def test_an_image_that_arrives_in_part_is_refused() -> None:
    """The server ends the connection after half of the bytes that it announced."""
    body = png(BGR)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                head = f"HTTP/1.0 200 OK\r\nContent-Length: {len(body)}\r\n\r\n"
                connection.sendall(head.encode() + body[: len(body) // 2])

        thread = threading.Thread(target=answer)
        thread.start()
        address = f"http://127.0.0.1:{server.getsockname()[1]}/x.png"
        with pytest.raises(DataError, match=rf"only {len(body) // 2} of {len(body)} bytes arrived"):
            load(address, urls=True)
        thread.join()


def test_an_array_that_fits_is_not_copied() -> None:
    assert np.shares_memory(load(BGR, 3), BGR)
    assert np.shares_memory(load(BGR[:, 1:3], 3), BGR)
    assert not np.shares_memory(load(BGR[:, ::2], 3), BGR)


def test_channels_follow_the_network() -> None:
    grey = BGR[:, :, 0]
    np.testing.assert_array_equal(load(grey, 3), np.repeat(grey[:, :, np.newaxis], 3, 2))
    np.testing.assert_array_equal(load(BGR, 1)[:, :, 0], cv2.cvtColor(BGR, cv2.COLOR_BGR2GRAY))
    bgra = np.dstack([BGR, grey])
    np.testing.assert_array_equal(load(bgra, 3), BGR)
    np.testing.assert_array_equal(load(bgra, 4), bgra)
    np.testing.assert_array_equal(load(png(bgra), 4), bgra)
    np.testing.assert_array_equal(load(np.zeros((2, 2, 7), np.uint8), 7), np.zeros((2, 2, 7)))
    rgba = Image.fromarray(bgra[:, :, [2, 1, 0, 3]])
    np.testing.assert_array_equal(load(rgba, 4), bgra)
    np.testing.assert_array_equal(load(rgba, 3), BGR)
    with pytest.raises(DataError, match=r"the array: has 3 channels, the network takes 4"):
        load(BGR, 4)
    with pytest.raises(DataError, match=r"at most 4 channels, the network takes 5"):
        load(rgba, 5)


def test_sixteen_bits_stay(tmp_path: Path) -> None:
    deep = np.arange(8, dtype=np.uint16).reshape(2, 4) * 9000
    np.testing.assert_array_equal(load(deep, 1)[:, :, 0], deep)
    np.testing.assert_array_equal(load(png(deep), 1)[:, :, 0], deep)
    np.testing.assert_array_equal(load(Image.fromarray(deep), 1)[:, :, 0], deep)
    np.testing.assert_array_equal(load(deep.astype(">u2"), 1)[:, :, 0], deep)


def exif_jpeg(orientation: int) -> bytes:
    """A wide image, left half white, whose EXIF says how it is to be turned."""
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:, :16] = 255
    data = cv2.imencode(".jpg", pixels)[1].tobytes()
    tiff = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    segment = b"Exif\0\0" + tiff
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]


@pytest.mark.parametrize("channels", [1, 3])
def test_files_are_turned_as_exif_says(channels: int) -> None:
    upright = load(exif_jpeg(1), channels)
    turned = load(exif_jpeg(6), channels)  # to be rotated by 90 degrees clockwise
    assert upright.shape == (16, 32, channels)
    assert turned.shape == (32, 16, channels)
    assert upright[8, 2, 0] > 200
    assert turned[2, 8, 0] > 200
    assert turned[30, 8, 0] < 50


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"x\.jpg: is empty; expected an image file"),
        (b"hello", r"x\.jpg: cannot be decoded; it is damaged or not in a format that OpenCV reads"),
        (png(np.zeros((2, 2), np.uint8))[:20], r"x\.jpg: cannot be decoded"),
    ],
)
def test_unreadable_files_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x.jpg").write_bytes(content)
    with pytest.raises(DataError, match=message):
        load(tmp_path / "x.jpg", 3)
    with pytest.raises(DataError, match=r"gone\.jpg: cannot be read: No such file or directory"):
        load(tmp_path / "gone.jpg", 3)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.full((2, 2), 128.0, np.float32), r"float32 with values 128 to 128, expected 0\.\.1; values 0"),
        (np.array([[0, -0.01]]), r"values -0\.01 to 0, expected"),
        (np.array([[0, np.nan]]), r"values nan to nan, expected"),
        (np.zeros((2, 2), bool), r"bool; expected uint8"),
        (np.zeros((2, 0, 3), np.uint8), r"shape \(2, 0, 3\)"),
        (np.zeros(5, np.uint8), r"shape \(5,\)"),
        (None, r"type NoneType"),
        (SimpleNamespace(shape=(2, 2)), r"type SimpleNamespace"),
    ],
)
def test_what_is_no_image_is_an_argument_error(image: object, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        load(image, 3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("channels", "image", "expected"),
    [
        (1, np.full((4, 4), 51, np.uint8), [0.2]),
        (1, np.full((4, 4), 13107, np.uint16), [0.2]),
        (3, np.full((4, 4, 3), [255, 51, 0], np.uint8), [0, 0.2, 1]),  # red first
        (3, np.full((4, 4, 3), [65535, 13107, 0], np.uint16), [0, 0.2, 1]),
        (3, np.full((4, 4, 3), [1, 0.2, 0], np.float32), [0, 0.2, 1]),
        (3, np.full((4, 4, 3), [1, 0.2, 0], np.float16), [0, 0.2, 1]),
        (4, np.full((4, 4, 4), [255, 51, 0, 102], np.uint8), [0, 0.2, 1, 0.4]),
    ],
)
def test_the_network_sees_red_first_from_0_to_1(
    channels: int, image: np.ndarray, expected: list[float]
) -> None:
    cfg = f"[net]\nwidth=8\nheight=6\nchannels={channels}\n[convolutional]\nfilters=1\nsize=1\n"
    with Network.parse(cfg) as network:
        planes = network.preprocess(image)
    assert planes.shape == (channels, 6, 8)
    np.testing.assert_allclose(planes.mean((1, 2)), expected, atol=1e-6)


def test_letterbox_pads_with_grey_in_the_middle() -> None:
    cfg = "[net]\nwidth=8\nheight=8\nchannels=1\nletter_box={}\n[convolutional]\nfilters=1\nsize=1\n"
    white = np.full((4, 8), 255, np.uint8)
    for by_cfg in (0, 1):
        with Network.parse(cfg.format(by_cfg)) as network:
            boxed = network.preprocess(white, letterbox=True)[0]
            stretched = network.preprocess(white, letterbox=False)[0]
            default = network.preprocess(white)[0]
        np.testing.assert_array_equal(boxed[[0, 1, 6, 7]], 0.5)
        np.testing.assert_array_equal(boxed[2:6], 1)
        np.testing.assert_array_equal(stretched, 1)
        np.testing.assert_array_equal(default, boxed if by_cfg else stretched)


def test_save_image(tmp_path: Path) -> None:
    """Any name, PNG without a suffix; what cannot be encoded leaves nothing behind."""
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    for name in ("a.png", "plain", os.fsdecode(b"o\xff/b.png")):
        save_image(tmp_path / name, pixels)
        assert np.array_equal(load(tmp_path / name), pixels)
    for name in ("a.xyz", "a.txt"):
        with pytest.raises(FileError, match=rf"{name}: cannot be written"):
            save_image(tmp_path / name, pixels)
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "plain", os.fsdecode(b"o\xff")}
