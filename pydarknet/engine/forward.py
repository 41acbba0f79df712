# SPDX-License-Identifier: Apache-2.0
"""Raw outputs of layers for prepared input, batch by batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pydarknet.engine._core import EngineHandle
from pydarknet.engine.handle import Floats, LayerInfo
from pydarknet.engine.layer_table import default_outputs
from pydarknet.errors import ArgumentError


def outputs_of(
    handle: EngineHandle, x: npt.ArrayLike, layers: Sequence[LayerInfo], chosen: Sequence[int] | None
) -> dict[int, Floats]:
    """Run a network; see ``Network.predict``.

    Args:
        handle: of the network; the caller holds its lock.
        x: (n, c, h, w), of the network's input size.
        layers: all layers of the network.
        chosen: which outputs to return; None for the default ones.

    Raises:
        ArgumentError: the shape is not the network's, or there is no such layer.
    """
    try:
        planes = np.ascontiguousarray(x, np.float32)
    except (TypeError, ValueError):
        raise ArgumentError(
            f"found {type(x).__name__}, expected an array (n, c, h, w); detect() takes images"
        ) from None
    info = handle.info()
    shape = (info.channels, info.height, info.width)
    if planes.ndim != 4 or planes.shape[1:] != shape or not len(planes):
        raise ArgumentError(
            f"found input of shape {planes.shape}, expected (n, {shape[0]}, {shape[1]}, {shape[2]}); "
            "resize() changes the network's size"
        )
    wanted = default_outputs(layers) if chosen is None else [int(i) for i in chosen]
    if wrong := [i for i in wanted if not 0 <= i < info.layers]:
        raise ArgumentError(f"found layer {wrong[0]}, expected 0 to {info.layers - 1}")
    parts: dict[int, list[Floats]] = {i: [] for i in wanted}
    for first in range(0, len(planes), info.batch):
        part = planes[first : first + info.batch]
        handle.predict(part, wanted)
        for i in wanted:
            parts[i].append(handle.read(i, len(part), layers[i].outputs))
    return {i: np.concatenate(rows) if len(rows) > 1 else rows[0] for i, rows in parts.items()}
