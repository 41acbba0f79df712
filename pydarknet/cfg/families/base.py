# SPDX-License-Identifier: Apache-2.0
"""Definition of a family, and the builder with which its module writes the network.

A family file holds one ``FAMILY`` and reads like the figure of its paper: every call on the
``Drawing`` appends one section and returns its layer number, so that a branch can be named and used
again further down.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pydarknet.cfg.model import CfgFile, Value


@dataclass(frozen=True)
class Family:
    """A published network and the settings it was trained with.

    Attributes:
        name: for ``pydarknet cfg new --model``.
        source: paper or project that describes it.
        size: width and height of the published file in pixels.
        stride: width and height must be multiples of this.
        anchors: published (width, height) pairs in pixels, for inputs of the published size.
        masks: which anchors each head uses, in the order of the heads in the file.
        head_strides: pixels per cell of each head, in the same order.
        momentum: published ``[net] momentum``.
        learning_rate: published rate, for a batch of 64 images.
        subdivisions: published number of parts of a batch.
        head: settings of every ``[yolo]`` section.
        draw: draws the layers.
        net: other published ``[net]`` settings.
        pretrained: weights of the backbone to start from, and the number of layers in it.
    """

    name: str
    source: str
    size: int
    anchors: Sequence[tuple[int, int]]
    masks: Sequence[Sequence[int]]
    head_strides: Sequence[int]
    momentum: float
    learning_rate: float
    subdivisions: int
    head: dict[str, Value]
    draw: Callable[[Drawing], None]
    net: dict[str, Value] = field(default_factory=dict)
    pretrained: tuple[str, int] | None = None
    stride: int = 32


@dataclass
class Drawing:
    """Appends layers to a cfg; every method returns the number of its last layer.

    Attributes:
        cfg: the file being written.
        classes: number of classes.
        anchors: all anchors of the network.
        masks: anchors of each head, in order.
        options: settings of every head.
        activation: default of ``conv``.
    """

    cfg: CfgFile
    classes: int
    anchors: Sequence[tuple[float, float]]
    masks: Sequence[Sequence[int]]
    options: dict[str, Value]
    activation: str = "leaky"
    _heads: int = 0
    _comment: str = field(default="", repr=False)

    @property
    def last(self) -> int:
        """Number of the last layer drawn."""
        return len(self.cfg.sections) - 2

    def comment(self, text: str) -> None:
        """Put a comment line above the next section."""
        self._comment = text

    def _add(self, name: str, **options: Value) -> int:
        self.cfg.add(name, self._comment, **options)
        self._comment = ""
        return self.last

    def _name(self, layer: int) -> int:
        """How a layer is written in ``layers=`` and ``from=``: near ones relative, far ones absolute."""
        back = layer - (self.last + 1)
        return back if back > -30 else layer

    def conv(self, filters: int, size: int = 1, stride: int = 1, activation: str = "", **more: Value) -> int:
        """Convolution with batch normalization."""
        return self._add(
            "convolutional",
            batch_normalize=1,
            filters=filters,
            size=size,
            stride=stride,
            pad=1,
            activation=activation or self.activation,
            **more,
        )

    def route(self, *layers: int, **group: Value) -> int:
        """Concatenation of layers, or (with ``groups`` and ``group_id``) a part of one."""
        return self._add("route", layers=[self._name(layer) for layer in layers], **group)

    def shortcut(self, layer: int) -> int:
        """Sum of the last layer and another one."""
        return self._add("shortcut", **{"from": self._name(layer)}, activation="linear")

    def maxpool(self, size: int, stride: int = 1) -> int:
        """Maximum over a window."""
        return self._add("maxpool", size=size, stride=stride)

    def upsample(self) -> int:
        """Twice the width and height."""
        return self._add("upsample", stride=2)

    def residuals(self, count: int, inner: int, outer: int) -> int:
        """``count`` times: 1×1 to ``inner``, 3×3 to ``outer`` channels, plus the input of the pair."""
        for _ in range(count):
            start = self.last
            self.conv(inner)
            self.conv(outer, 3)
            self.shortcut(start)
        return self.last

    def pairs(self, count: int, inner: int, outer: int) -> int:
        """``count`` times: 1×1 to ``inner``, 3×3 to ``outer`` channels."""
        for _ in range(count):
            self.conv(inner)
            self.conv(outer, 3)
        return self.last

    def spp(self) -> int:
        """Spatial pyramid pooling: the last layer and its maxima over 5, 9 and 13 pixels."""
        start = self.last
        five = self.maxpool(5)
        self.route(start)
        nine = self.maxpool(9)
        self.route(start)
        return self.route(self.maxpool(13), nine, five, start)

    def head(self, activation: str = "linear", **options: Value) -> int:
        """The last convolution and its ``[yolo]`` section."""
        mask = self.masks[self._heads]
        self._heads += 1
        filters = (self.classes + 5) * len(mask)
        self._add("convolutional", filters=filters, size=1, stride=1, pad=1, activation=activation)
        anchors = ", ".join(f"{width:g},{height:g}" for width, height in self.anchors)
        return self._add(
            "yolo",
            mask=list(mask),
            anchors=anchors,
            classes=self.classes,
            num=len(self.anchors),
            **{**self.options, **options},
        )
