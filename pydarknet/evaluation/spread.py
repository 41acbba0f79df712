# SPDX-License-Identifier: Apache-2.0
"""Detections for an evaluation, collected by many workers through an executor."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydarknet.data import Sample, executors
from pydarknet.data.album import decoded
from pydarknet.engine.images import Pixels
from pydarknet.engine.worker_network import worker_network
from pydarknet.errors import DataError
from pydarknet.evaluation.collect import collect
from pydarknet.evaluation.columns import Judged
from pydarknet.system.notify import Progress, no_progress

_log = logging.getLogger("pydarknet")

CHUNK = 32  # images of a task, about


@dataclass(frozen=True)
class EvaluationJob:
    """Everything that the detections depend on besides the images; can be sent to another machine.

    Attributes:
        cfg: absolute path.
        weights: absolute path.
        loading: options of :class:`pydarknet.Network`.
        detecting: options of :func:`pydarknet.evaluation.collect.collect`.
        size: input size in place of the cfg's, (width, height).
    """

    cfg: str
    weights: str
    loading: tuple[tuple[str, Any], ...]
    detecting: tuple[tuple[str, Any], ...]
    size: tuple[int, int] | None = None

    def __call__(self, samples: Sequence[Sample]) -> tuple[list[Judged], dict[str, str]]:
        """Detections of a chunk, and its unreadable images with the reason; runs in a worker."""
        network = worker_network(self.cfg, self.weights, self.loading, self.size)
        chunk = _Chunk(samples, network.info.channels)
        return collect(network, chunk, **dict(self.detecting)), chunk.bad


@dataclass
class _Chunk:
    """Images of a task; how many may be unreadable is decided for all chunks together."""

    samples: Sequence[Sample]
    channels: int
    bad: dict[str, str] = field(default_factory=dict)

    def pixels(self, index: int) -> Pixels | None:
        try:
            return decoded(self.samples[index].image, self.channels)
        except DataError as error:
            self.bad[str(self.samples[index].image)] = str(error)
            return None


def collect_by(
    engine: str,
    job: EvaluationJob,
    samples: Sequence[Sample],
    *,
    batch: int = 1,
    limit: int = 100,
    progress: Progress = no_progress,
) -> list[Judged]:
    """Detections on all readable images, in order, each image once: a chunk that a worker lost is repeated.

    Args:
        engine: name of an executor.
        job: the computation.
        samples: the images.
        batch: images of an inference; chunks are whole batches.
        limit: unreadable images tolerated.
        progress: receives the number of images done.

    Raises:
        DataError: more images than ``limit``, or all of them, cannot be read.
        ArgumentError: no executor has this name.
        BackendError: a chunk was lost again and again.
    """
    size = -(-CHUNK // batch) * batch
    chunks = [samples[first : first + size] for first in range(0, len(samples), size)]
    found: list[Judged] = []
    bad: dict[str, str] = {}
    done = 0
    results: Iterator[Any] = executors.by_name(engine)(job, chunks, os.cpu_count() or 1)
    for chunk, (judged, unreadable) in zip(chunks, results, strict=True):
        found += judged
        for reason in unreadable.values():
            _log.warning("image left out: %s", reason)
        bad |= unreadable
        if len(bad) > limit or len(bad) == len(samples):
            raise DataError(f"{len(bad)} of {len(samples)} images cannot be read, the limit is {limit}")
        done += len(chunk)
        progress("images", done, len(samples))
    return found
