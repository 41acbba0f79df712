# SPDX-License-Identifier: Apache-2.0
"""Sizes and orientations from headers, held against the decoder and Pillow."""

from __future__ import annotations

import contextlib
import io
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from pydarknet import DataError
from pydarknet.engine.image_header import IMAGE_SUFFIXES, exif_orientation, image_size
from pydarknet.engine.images import load

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF")  # those that OpenCV rotates


def oriented(kind: str, orientation: int, mode: str = "RGB") -> bytes:
    """A 32x16 image with a white left upper corner, stored in this orientation."""
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:8, :16] = 255
    image, stream = Image.fromarray(pixels).convert(mode), io.BytesIO()
    if mode == "RGBA":
        image.putalpha(200)
    exif = Image.Exif()
    exif[274] = orientation
    extra = {"tiffinfo": {274: orientation}} if kind == "TIFF" else {"exif": exif}
    image.save(stream, kind, **extra, **({"lossless": True} if kind == "WEBP" else {}))
    return stream.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", FORMATS)
def test_size_and_pixels_are_those_displayed(tmp_path: Path, kind: str, orientation: int) -> None:
    """Header, decoder with any number of channels, and Pillow agree."""
    path = tmp_path / "a.img"
    path.write_bytes(oriented(kind, orientation))
    shown = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("L"))
    assert image_size(path) == shown.shape[::-1]
    assert exif_orientation(path) == exif_orientation(path.read_bytes()) == orientation
    np.testing.assert_allclose(load(path, 3)[:, :, 1], shown, atol=30)
    np.testing.assert_allclose(load(path, 1)[:, :, 0], shown, atol=30)
    if kind != "JPEG":  # no fourth channel
        path.write_bytes(oriented(kind, orientation, "RGBA"))
        np.testing.assert_allclose(load(path, 4)[:, :, 1], shown, atol=80)  # libtiff applies the alpha


@pytest.mark.parametrize("suffix", sorted(IMAGE_SUFFIXES - {".mpo"}))
def test_every_suffix_has_a_decoder(tmp_path: Path, suffix: str) -> None:
    """Each suffix that is searched for is decoded, and its size is known."""
    kind = {".jfif": ".jpg", ".jpe": ".jpg"}.get(suffix, suffix)
    shape = (64, 99) if kind in (".pgm", ".pbm") else (64, 99, 3)
    done, data = cv2.imencode(kind, np.zeros(shape, np.uint8))
    assert done
    (tmp_path / f"a{suffix}").write_bytes(data.tobytes())
    assert image_size(tmp_path / f"a{suffix}") == (99, 64)
    assert load(tmp_path / f"a{suffix}", 3).shape == (64, 99, 3)


def test_directory_behind_the_pixels(tmp_path: Path) -> None:
    """Large TIFF files have their directory at the end."""
    path = tmp_path / "a.tif"
    pixels = np.random.default_rng(0).integers(0, 255, (900, 1500), np.uint8)
    strip = pixels.tobytes()
    entries = ((256, 1500), (257, 900), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 900))
    tags = [*entries, (279, len(strip))]
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 4, 1, v) for tag, v in tags)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(strip)) + strip + directory + b"\0" * 4)
    assert image_size(path) == (1500, 900)
    np.testing.assert_array_equal(load(path, 1)[:, :, 0], pixels)


def test_damaged_but_decodable(tmp_path: Path) -> None:
    """A JPEG with stray bytes between its segments is still an image for the decoder."""
    data = cv2.imencode(".jpg", np.zeros((20, 33, 3), np.uint8))[1].tobytes()
    path = tmp_path / "a.jpg"
    tables = data.index(b"\xff\xdb")
    path.write_bytes(data[:tables] + b"\0\0\0" + data[tables:])
    assert cv2.imread(str(path)) is not None
    assert image_size(path) == (33, 20)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp", ".tiff", ".ppm", ".pgm", ".gif"])
@pytest.mark.parametrize("size", [(1, 1), (640, 480), (333, 77)])
def test_image_size(tmp_path: Path, suffix: str, size: tuple[int, int]) -> None:
    """The header says what OpenCV decodes."""
    path = tmp_path / f"a{suffix}"
    shape = (size[1], size[0]) if suffix == ".pgm" else (size[1], size[0], 3)
    assert cv2.imwrite(str(path), np.zeros(shape, np.uint8))
    assert image_size(path) == size


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a JPEG"),
        (b"\xff\xd8", "ends before its frame header"),
        (b"\xff\xd8\xff\xe0\x00\x01", "segment without a length"),
        (b"\xff\xd8\xff\xe0\xff", "damaged image header"),
        (b"\x89PNG\r\n\x1a\n", "damaged image header"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "impossible image size 0x0"),
        (b"RIFF....WEBPJUNK", "unknown WebP chunk"),
        (b"II*\0\xff\xff\xff\xff", "damaged image header"),
        (b"P6\n# only a comment\n", "PNM header without a size"),
    ],
)
def test_image_size_of_damaged_files(tmp_path: Path, data: bytes, message: str) -> None:
    """A damaged header is an error that names the file."""
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(DataError, match=f"a.jpg: .*{message}"):
        image_size(tmp_path / "a.jpg")


@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"\xff\xd8", b"II*\0", b"MM\0*", b"BM", b"RIFF", b"P5", b"GIF8"]),
)
def test_image_size_never_crashes(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, magic: bytes
) -> None:
    """Any bytes give a size or a DataError."""
    path = tmp_path_factory.getbasetemp() / "fuzz.bin"
    path.write_bytes(magic + data)
    with contextlib.suppress(DataError):
        assert min(image_size(path)) > 0


def test_missing_image(tmp_path: Path) -> None:
    """A missing file is not a damaged one."""
    with pytest.raises(DataError, match="no such image"):
        image_size(tmp_path / "gone.jpg")
