# SPDX-License-Identifier: Apache-2.0
"""``Detector`` and ``Image`` as in YOLO3-4-Py, the older wrapper that is imported as ``pydarknet``.

Its scripts run unchanged, because ``pydarknet`` has these names::

    from pydarknet import Detector, Image
    net = Detector(b"yolov3.cfg", b"yolov3.weights", 0, b"coco.data")
    results = net.detect(Image(cv2.imread("dog.jpg")))
"""

from __future__ import annotations

import os
from typing import Any

import numpy.typing as npt

from pydarknet.engine import opencv
from pydarknet.engine._core import backend_names
from pydarknet.engine.boxes import to_centres
from pydarknet.engine.network import Network
from pydarknet.errors import ArgumentError, MissingExtra

Path = str | bytes | os.PathLike[str]
Box = tuple[float, float, float, float]


class Name(str):
    """A class name; some versions of the wrapper returned bytes, so callers decode it."""

    __slots__ = ()

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:  # noqa: ARG002
        """The name itself."""
        return str(self)


class Image:
    """An image.

    Args:
        pixels: (h, w, 3) uint8, blue first, as OpenCV reads it.
    """

    def __init__(self, pixels: npt.NDArray[Any]) -> None:
        self.pixels = pixels

    def show_image(self, title: str | bytes = b"image", ms: int = 1) -> None:
        """Show the image in a window.

        Raises:
            MissingExtra: this OpenCV does not support windows.
        """
        import cv2

        try:
            opencv.show(os.fsdecode(title), self.pixels, ms)
        except cv2.error:
            raise MissingExtra("an OpenCV with windows (opencv-python)", "show") from None


class Detector:
    """A network.

    Args:
        config: path of the cfg, bytes or str.
        weights: path of the weights.
        clear: without effect.
        data: path of the ``.data`` file with the names.
    """

    device = "auto"  # of those that are made from now on, see set_cuda_device()

    def __init__(self, config: Path, weights: Path, clear: int, data: Path) -> None:
        from pydarknet.compat.darknet import _class_names

        del clear
        names = _class_names(os.fsdecode(data))
        self._network = Network(
            os.fsdecode(config), os.fsdecode(weights), names=names, strict=False, device=self.device
        )

    def detect(
        self, image: Image, thresh: float = 0.5, hier_thresh: float = 0.5, nms: float = 0.45
    ) -> list[tuple[str, float, Box]]:
        """Detect objects: ``(name, probability, (x, y, w, h))``, best first; centre and size in pixels."""
        del hier_thresh
        if not isinstance(image, Image):
            raise ArgumentError(f"found {type(image).__name__}, expected Image(array)")
        found = self._network.detect(image.pixels, thresh, nms)
        boxes = to_centres(found.xyxy.astype(float)).tolist()
        rows = [
            (Name(label), float(confidence), (x, y, w, h))
            for label, confidence, (x, y, w, h) in zip(found.labels, found.confidence, boxes, strict=True)
        ]
        return sorted(rows, key=lambda row: -row[1])

    def classify(self, image: Image) -> list[tuple[bytes, float]]:
        """All classes as ``(name, probability)``, most probable first."""
        output = self._network.predict(self._network.preprocess(image.pixels)[None])
        probabilities = next(iter(output.values()))[0]
        rows = [(name.encode(), float(p)) for name, p in zip(self._network.names, probabilities, strict=True)]
        return sorted(rows, key=lambda row: -row[1])


def set_cuda_device(index: int) -> None:
    """Let networks that are loaded from now on compute on a GPU; without one nothing changes.

    Args:
        index: number of the GPU.
    """
    Detector.device = f"cuda:{index}" if is_compiled_with_gpu() else "auto"


def is_compiled_with_gpu() -> bool:
    """Whether the library can compute on a GPU here."""
    return "cuda" in backend_names()


def is_compiled_with_opencv() -> bool:
    """Whether images are read with OpenCV."""
    return True
