# SPDX-License-Identifier: Apache-2.0
"""Image input: files, bytes, arrays and PIL images become arrays (h, w, c) with the network's channels.

Arrays have OpenCV's layout: uint8, uint16 or floats 0..1, blue first. Files and bytes are decoded with
OpenCV and rotated by their EXIF orientation; arrays and PIL images are used unchanged, so boxes are in their
pixels.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from pydarknet.engine.image_header import exif_orientation
from pydarknet.errors import ArgumentError, DataError, FileError
from pydarknet.system.atomic import replacing
from pydarknet.system.fetch import fetch, is_address, without_password
from pydarknet.system.files import read_file

Pixels = npt.NDArray[Any]
_TURNED_BY_OPENCV = (b"II*\0", b"MM\0*")  # TIFF: with IMREAD_UNCHANGED, too


@runtime_checkable
class PilImage(Protocol):
    """Part of ``PIL.Image.Image`` that is used; PIL itself is not imported."""

    @property
    def mode(self) -> str: ...  # noqa: D102

    def convert(self, mode: str) -> Any: ...  # noqa: D102


class ArrayLike(Protocol):
    """Anything that NumPy can read as an array: tensors of PyTorch, JAX or TensorFlow in host memory."""

    def __array__(self, *args: Any, **kwargs: Any) -> Pixels: ...


ImageLike: TypeAlias = (
    "Pixels | str | os.PathLike[str] | bytes | bytearray | memoryview | PilImage | ArrayLike"
)


def glance(path: Path, flags: int = 1) -> Pixels | None:
    """The pixels of a file as ``cv2.imread`` returns them for these flags; None if they cannot be read.

    ``cv2.imread`` itself crashes on names that are not UTF-8, which only Python can open.
    """
    import cv2

    try:
        data = np.frombuffer(read_file(path), np.uint8)
    except OSError:
        return None
    return cv2.imdecode(data, flags) if len(data) else None


def load(image: ImageLike, channels: int = 3, *, rgb: bool = False, urls: bool = False) -> Pixels:
    """An image as an array for a network with this many input channels.

    Args:
        image: array (h, w) or (h, w, c) of uint8, uint16, or floats 0..1, which become uint8; blue first; or
            an object with ``__array__``; path of a file; the bytes of one; PIL image.
        channels: of the network: 1, 3 or 4; other numbers need an array with that number.
        rgb: arrays are red first; files and PIL images state their own order.
        urls: text that is an http or https address is fetched; data sets must not reach the network.

    Returns:
        (h, w, channels) uint8 or uint16, blue first. A view of the caller's array if possible.

    Raises:
        DataError: the file cannot be read or decoded, or its channels cannot become the network's.
        ArgumentError: the object is not an image, or an array of another type or shape.
    """
    if isinstance(image, np.ndarray):
        return _match(blue_first(_checked(image)) if rgb else _checked(image), channels, "the array")
    if urls and is_address(image):
        return decode(fetch(str(image)), channels, without_password(str(image)))
    if isinstance(image, (str, os.PathLike)):
        path = os.fspath(image)
        try:
            data = read_file(path)
        except OSError as error:
            hint = "; stream() reads all images of a folder" if os.path.isdir(path) else ""  # noqa: PTH112
            raise DataError(f"{path}: cannot be read: {error.strerror}{hint}") from None
        return decode(data, channels, path)
    if isinstance(image, (bytes, bytearray, memoryview)):
        return decode(image, channels, "image bytes")
    if isinstance(image, PilImage):
        return _from_pil(image, channels)
    if hasattr(image, "__array__"):
        return load(np.asarray(image), channels, rgb=rgb)
    raise ArgumentError(
        f"found an image of type {type(image).__name__}; expected an array, a path, bytes or a PIL image"
    )


def blue_first(pixels: Pixels) -> Pixels:
    """An image (h, w, c) that is red first with its first and third channel exchanged; grey stays."""
    if pixels.ndim == 2 or pixels.shape[2] < 3:
        return pixels
    return np.ascontiguousarray(pixels[:, :, [2, 1, 0, *range(3, pixels.shape[2])]])


def decode(data: bytes | bytearray | memoryview, channels: int, name: str) -> Pixels:
    """Decode the bytes of an image file; ``name`` stands for it in messages."""
    import cv2

    if not len(data):
        raise DataError(f"{name}: is empty; expected an image file")
    # 16 bits stay 16; IMREAD_UNCHANGED alone keeps a fourth channel.
    flags = {1: cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH, 3: cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH}
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags.get(channels, cv2.IMREAD_UNCHANGED))
    except cv2.error as error:
        raise DataError(f"{name}: cannot be decoded: {error.err}") from None
    if pixels is not None and channels not in flags and bytes(data[:4]) not in _TURNED_BY_OPENCV:
        pixels = _upright(pixels, exif_orientation(data))
    if pixels is None:
        raise DataError(f"{name}: cannot be decoded; it is damaged or not in a format that OpenCV reads")
    try:
        return _match(_checked(pixels), channels, name)
    except ArgumentError as error:
        raise DataError(f"{name}: {error}") from None


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """Rotate and mirror an image by its EXIF orientation, which IMREAD_UNCHANGED ignores."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def save_image(path: Path, pixels: Pixels, quality: int = 92) -> None:
    """Write an image file in the format of its suffix, PNG without one; it appears complete or not at all.

    OpenCV only encodes: ``cv2.imwrite`` itself crashes on names that are not UTF-8.

    Args:
        path: the file; its folder is created.
        pixels: (h, w) or (h, w, c) uint8 or uint16, blue first.
        quality: of JPEG, 1..100.

    Raises:
        FileError: the file cannot be written, or OpenCV cannot encode this format.
    """
    import cv2

    jpeg = path.suffix.lower() in (".jpg", ".jpeg")
    try:
        settings = [cv2.IMWRITE_JPEG_QUALITY, quality] if jpeg else []
        done, data = cv2.imencode(path.suffix or ".png", pixels, settings)
    except cv2.error as error:
        raise FileError(f"{path}: cannot be written: {error.err}") from None
    if not done:
        raise FileError(f"{path}: cannot be written: OpenCV cannot encode {path.suffix} files")
    with replacing(path) as temporary:
        temporary.write_bytes(data.tobytes())


def _checked(pixels: Pixels) -> Pixels:
    """The array as (h, w, c); raises ArgumentError for other types or shapes."""
    if pixels.dtype.kind == "f":
        pixels = _bytes_of(pixels)
    if pixels.dtype.kind != "u" or pixels.itemsize > 2:
        raise ArgumentError(
            f"found an image of {pixels.dtype}; expected uint8 (0..255), uint16 (0..65535) or floats (0..1)"
        )
    if pixels.ndim not in (2, 3) or 0 in pixels.shape:
        raise ArgumentError(f"found an image of shape {pixels.shape}; expected (height, width, channels)")
    if pixels.ndim == 2:
        pixels = pixels[:, :, np.newaxis]
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)


def _bytes_of(pixels: Pixels) -> Pixels:
    """Floats 0..1, as of scikit-image, matplotlib and PyTorch, as uint8."""
    low, high = (pixels.min(), pixels.max()) if pixels.size else (0, 0)
    if not (low >= 0 and high <= 1):  # NaN is neither
        raise ArgumentError(
            f"found an image of {pixels.dtype} with values {low:g} to {high:g}, expected 0..1; "
            "values 0..255 are passed as image.astype('uint8')"
        )
    levels: npt.NDArray[np.uint8] = np.rint(pixels * pixels.dtype.type(255)).astype(np.uint8)
    return levels


def _match(pixels: Pixels, channels: int, name: str) -> Pixels:
    """Convert the image to the network's channels if the conversion is unambiguous."""
    found = pixels.shape[2]
    if found != channels:
        if channels == 3 and found == 1:
            pixels = np.repeat(pixels, 3, axis=2)
        elif channels == 3 and found == 4:
            pixels = pixels[:, :, :3]
        elif channels == 1 and found in (3, 4):
            import cv2

            pixels = cv2.cvtColor(np.ascontiguousarray(pixels[:, :, :3]), cv2.COLOR_BGR2GRAY)[
                :, :, np.newaxis
            ]
        else:
            planes = pixels.shape[0] in (1, 3, 4, channels) and found not in (1, 3, 4)
            hint = "; planes become an image with image.transpose(1, 2, 0)" if planes else ""
            raise DataError(f"{name}: has {found} channels, the network takes {channels}{hint}")
    return pixels if _rows_are_plain(pixels) else np.ascontiguousarray(pixels)


def _rows_are_plain(pixels: Pixels) -> bool:
    """Whether the engine can read the array in place: adjacent pixels, rows at any positive distance."""
    height, width, channels = pixels.shape
    pixel = channels * pixels.itemsize
    return (
        (channels == 1 or pixels.strides[2] == pixels.itemsize)
        and (width == 1 or pixels.strides[1] == pixel)
        and (height == 1 or pixels.strides[0] >= width * pixel)
    )


def _from_pil(image: PilImage, channels: int) -> Pixels:
    if image.mode.startswith("I;16"):
        return _match(_checked(np.asarray(image)), channels, "the PIL image")
    mode = {1: "L", 3: "RGB", 4: "RGBA"}.get(channels)
    if mode is None:
        raise DataError(f"a PIL image has at most 4 channels, the network takes {channels}; pass an array")
    pixels = _checked(np.asarray(image.convert(mode)))
    return blue_first(pixels)
