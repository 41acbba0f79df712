# SPDX-License-Identifier: Apache-2.0
"""Interface of a loaded network, and the values that it takes and returns.

:class:`pydarknet.Network` stands on it. pydarknet's engine implements it, and so does a libdarknet.so built
upstream.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from pydarknet.errors import ArgumentError

Floats = npt.NDArray[np.float32]

DETECTION = np.dtype(
    [("xyxy", np.float32, 4), ("confidence", np.float32), ("class_id", np.int32), ("box", np.int32)]
)
"""Layout of a detection, that of ``dn_detection`` in ``darknet.h``."""


@dataclass(frozen=True)
class NetworkInfo:
    """Facts about a network; see ``dn_network_info`` in ``darknet.h``.

    Attributes:
        layers: sections after ``[net]``.
        batch: largest number of images in a forward pass.
        threads: cores it computes on.
        width: of the input, in pixels.
        height: of the input, in pixels.
        channels: of the input.
        stride: width and height must be multiples of it.
        classes: of the heads; 0 without a head.
        letter_box: the cfg asks for letterboxed input.
        layers_loaded: layers that the weights file covered; 0 without a file.
        seen: images processed in training, from the weights file.
        parameters: float32 values of the network.
        bflops: billions of operations of one image, counted as Darknet does.
        activation_bytes: memory of the compiled plan; 0 before the first prediction.
        backend: ``"cpu"``, ``"ref"``, ...
        precision: ``"fp32"``, ``"bf16"``, ...: the one that runs, never ``"auto"``.
        device: part of the hardware and its libraries that the rounding of results depends on: ``"avx2"``.
        precision_reason: why ``"auto"`` became this precision, or what computing in it costs here; or ``""``.
    """

    layers: int
    batch: int
    threads: int
    width: int
    height: int
    channels: int
    stride: int
    classes: int
    letter_box: bool
    layers_loaded: int
    seen: int
    parameters: int
    bflops: float
    activation_bytes: int
    backend: str
    precision: str
    device: str
    precision_reason: str

    @property
    def place(self) -> str:
        """Backend and hardware that compute: ``"cpu (avx2)"``."""
        return f"{self.backend} ({self.device})" if self.device else self.backend


@dataclass(frozen=True)
class LayerInfo:
    """One layer of a network; shapes are (channels, height, width) of one image.

    Attributes:
        index: counted from 0 after ``[net]``, as Darknet prints it.
        type: ``"convolutional"``, ``"yolo"``, ...
        where: ``"net.cfg:57 [convolutional]"``.
        description: the layer's own numbers, e.g. ``"64 3x3/2 leaky"``.
        inputs: layers it reads; -1 is the network's input.
        is_head: its output becomes detections.
        parameters: float32 values it owns in a weights file.
        bflops: billions of operations of one image.
    """

    index: int
    type: str
    where: str
    description: str
    inputs: tuple[int, ...]
    in_shape: tuple[int, int, int]
    out_shape: tuple[int, int, int]
    is_head: bool
    parameters: int
    bflops: float

    @property
    def outputs(self) -> int:
        """Values of the output of one image."""
        channels, height, width = self.out_shape
        return channels * height * width


@dataclass(frozen=True)
class LayerTime:
    """Time of one layer in one forward pass; layer -1 is the input's; ``what`` names the kernel that ran."""

    layer: int
    what: str
    seconds: float


@dataclass(frozen=True)
class MemoryNeed:
    """Bytes that a network would take; see ``dn_memory`` in ``darknet.h``.

    Attributes:
        plan: of the memory that the backend computes in.
        parameters: of main memory.
        free: left of the backend's memory; None if the system does not report it.
    """

    plan: int
    parameters: int
    free: int | None


@dataclass(frozen=True)
class EngineOptions:
    """Options of a network; see ``dn_options`` in ``darknet.h``.

    Attributes:
        backend: name of a backend, or ``"auto"``.
        precision: of the arithmetic, or ``"auto"``.
        batch: largest number of images in a forward pass.
        threads: cores to compute on; 0: all that the process may use.
        strict: what is probably a mistake in the cfg, though Darknet reads it, is an error, not a warning.
    """

    backend: str = "auto"
    precision: str = "auto"
    batch: int = 1
    threads: int = 0
    strict: bool = True

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> EngineOptions:
        """From values by name.

        Raises:
            ArgumentError: there is no such option.
        """
        known = [one.name for one in fields(cls)]
        if unknown := next((name for name in options if name not in known), None):
            raise ArgumentError(f"found the option {unknown!r}, expected one of device, {', '.join(known)}")
        return cls(**options)


@dataclass(frozen=True)
class Image:
    """Pixels (h, w, c), uint8 or uint16; pixels of a row are adjacent, rows may have gaps."""

    pixels: npt.NDArray[Any]
    bgr: bool


class Handle(Protocol):
    """A loaded network that detects; for one thread at a time."""

    @property
    def closed(self) -> bool:
        """Whether close() was called; all but close() raises ArgumentError then."""

    def close(self) -> None:
        """Free the network; a second call does nothing."""

    def info(self) -> NetworkInfo:
        """Sizes, counts and settings."""

    def warnings(self) -> list[str]:
        """Warnings of loading."""

    def detect(
        self, images: Sequence[Image], thresh: float, nms: float, letterbox: bool
    ) -> list[npt.NDArray[Any]]:
        """Detections of each image, as arrays of dtype ``DETECTION``."""
