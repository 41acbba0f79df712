# SPDX-License-Identifier: Apache-2.0
"""The network of a worker that computes one task after the other."""

from __future__ import annotations

import functools
from typing import Any

from pydarknet.engine.network import Network


@functools.lru_cache(maxsize=1)
def worker_network(
    cfg: str, weights: str, loading: tuple[tuple[str, Any], ...], size: tuple[int, int] | None
) -> Network:
    """A network that this process keeps for its next task.

    Args:
        cfg: absolute path.
        weights: absolute path.
        loading: options of :class:`Network`.
        size: input size in place of the cfg's, (width, height).
    """
    network = Network(cfg, weights, **dict(loading))
    if size:
        network.resize(*size)
    return network
