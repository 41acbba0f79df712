# SPDX-License-Identifier: Apache-2.0
"""Networks of cfg files in PyTorch, with a plain detection loss: the peer of the training benchmark.

Only what yolov4-tiny needs: convolutional, maxpool, route, upsample, shortcut, yolo.
The loss is simpler than Darknet's (no search for predictions to ignore), which favours PyTorch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Head:
    """A [yolo] section: all anchors in pixels, (num, 2), and the rows that belong to it."""

    anchors: Tensor
    mask: list[int]
    classes: int


def sections(path: str) -> list[tuple[str, dict[str, str]]]:
    """The sections of a cfg in order."""
    found: list[tuple[str, dict[str, str]]] = []
    for raw in Path(path).read_text().splitlines():
        line = raw.partition("#")[0].strip()
        if line.startswith("["):
            found.append((line.strip("[]"), {}))
        elif "=" in line:
            key, _, value = line.partition("=")
            found[-1][1][key.strip()] = value.strip()
    return found


def convolution(options: dict[str, str], channels: int) -> tuple[nn.Module, int]:
    """Convolution, batch normalisation and activation."""
    filters, size = int(options["filters"]), int(options.get("size", 1))
    normalized = options.get("batch_normalize") == "1"
    parts: list[nn.Module] = [
        nn.Conv2d(
            channels, filters, size, int(options.get("stride", 1)),
            size // 2 if options.get("pad") == "1" else 0, bias=not normalized,
        )
    ]  # fmt: skip
    if normalized:
        parts.append(nn.BatchNorm2d(filters))
    if options.get("activation") == "leaky":
        parts.append(nn.LeakyReLU(0.1, inplace=True))
    if options.get("activation") == "mish":
        parts.append(nn.Mish(inplace=True))
    return nn.Sequential(*parts), filters


class Darknet(nn.Module):
    """The network of a cfg; returns the raw input of each head."""

    def __init__(self, path: str) -> None:
        super().__init__()
        _, *self.plan = sections(path)
        self.parts, self.heads = nn.ModuleList(), []
        channels = [3]
        for index, (kind, options) in enumerate(self.plan):
            part: nn.Module = nn.Identity()
            width = channels[-1]
            if kind == "convolutional":
                part, width = convolution(options, width)
            elif kind == "maxpool":
                part = nn.MaxPool2d(int(options["size"]), int(options["stride"]), int(options["size"]) // 2)
                if options["size"] == "2":
                    part = nn.MaxPool2d(2, int(options["stride"]))
            elif kind == "upsample":
                part = nn.Upsample(scale_factor=int(options.get("stride", 2)))
            elif kind == "route":
                width = sum(channels[i + 1] for i in self.inputs(index))
                width //= int(options.get("groups", 1))
            elif kind == "yolo":
                anchors = torch.tensor([float(v) for v in options["anchors"].split(",")]).view(-1, 2)
                mask = [int(v) for v in options["mask"].split(",")]
                self.heads.append(Head(anchors, mask, int(options["classes"])))
            elif kind != "shortcut":
                raise SystemExit(f"[{kind}] is not part of this benchmark")
            self.parts.append(part)
            channels.append(width)

    def inputs(self, index: int) -> list[int]:
        """Layers that a route or shortcut reads."""
        options = self.plan[index][1]
        numbers = (int(v) for v in options.get("layers", options.get("from", "")).split(","))
        return [n + index if n < 0 else n for n in numbers]

    def forward(self, x: Tensor) -> list[Tensor]:
        outputs: list[Tensor] = []
        heads: list[Tensor] = []
        for index, (kind, options) in enumerate(self.plan):
            if kind == "route":
                x = torch.cat([outputs[i] for i in self.inputs(index)], 1)
                groups = int(options.get("groups", 1))
                if groups > 1:
                    x = x.chunk(groups, 1)[int(options.get("group_id", 0))]
            elif kind == "shortcut":
                x = x + outputs[self.inputs(index)[0]]
            elif kind == "yolo":
                heads.append(x)
            else:
                x = self.parts[index](x)
            outputs.append(x)
        return heads


def detection_loss(raw: Tensor, head: Head, boxes: Tensor, size: int) -> Tensor:
    """CIoU, objectness and class loss of one head.

    Args:
        raw: (n, anchors * (5 + classes), h, w).
        head: its section.
        boxes: (n, k, 5) relative centres and sizes, and classes.
        size: of the input in pixels.
    """
    n, _, h, w = raw.shape
    raw = raw.view(n, len(head.mask), 5 + head.classes, h, w).permute(0, 1, 3, 4, 2)
    wh = boxes[..., 2:4] * size
    both = torch.minimum(wh[..., None, :], head.anchors).prod(-1)
    iou = both / (wh.prod(-1)[..., None] + head.anchors.prod(-1) - both)
    best = iou.argmax(-1)
    image, box = torch.nonzero(torch.isin(best, torch.tensor(head.mask)), as_tuple=True)
    anchor = best[image, box] - head.mask[0]
    truth = boxes[image, box]
    i, j = (truth[:, 0] * w).long(), (truth[:, 1] * h).long()
    mine = raw[image, anchor, j, i]
    target = torch.zeros(raw.shape[:4])
    if len(mine):
        centre = (torch.sigmoid(mine[:, :2]) + torch.stack([i, j], 1)) / torch.tensor([w, h])
        extent = torch.exp(mine[:, 2:4].clamp(max=8)) * head.anchors[anchor + head.mask[0]] / size
        target[image, anchor, j, i] = 1
        box_loss = (1 - ciou(centre, extent, truth[:, :2], truth[:, 2:4])).sum()
        class_loss = functional.binary_cross_entropy_with_logits(
            mine[:, 5:], functional.one_hot(truth[:, 4].long(), head.classes).float(), reduction="sum"
        )
    else:
        box_loss = class_loss = raw.sum() * 0
    objectness = functional.binary_cross_entropy_with_logits(raw[..., 4], target, reduction="sum")
    return (0.07 * box_loss + objectness + class_loss) / n


def ciou(a: Tensor, a_size: Tensor, b: Tensor, b_size: Tensor) -> Tensor:
    """Complete IoU (Zheng et al., arXiv:1911.08287) of boxes given by centre and size."""
    low = torch.maximum(a - a_size / 2, b - b_size / 2)
    high = torch.minimum(a + a_size / 2, b + b_size / 2)
    both = (high - low).clamp(min=0).prod(-1)
    iou = both / (a_size.prod(-1) + b_size.prod(-1) - both + 1e-9)
    hull = torch.maximum(a + a_size / 2, b + b_size / 2) - torch.minimum(a - a_size / 2, b - b_size / 2)
    distance = ((a - b) ** 2).sum(-1) / ((hull**2).sum(-1) + 1e-9)
    angles = torch.atan(b_size[:, 0] / b_size[:, 1]) - torch.atan(a_size[:, 0] / (a_size[:, 1] + 1e-9))
    aspect = 4 / math.pi**2 * angles**2
    with torch.no_grad():
        weight = aspect / (1 - iou + aspect + 1e-9)
    return iou - distance - weight * aspect
