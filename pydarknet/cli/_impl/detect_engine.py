# SPDX-License-Identifier: Apache-2.0
"""``pydarknet detect --engine``: detection by an executor that spreads batches of images."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydarknet.data import executors
from pydarknet.engine.detections import Detections
from pydarknet.engine.images import Pixels, load
from pydarknet.engine.worker_network import worker_network
from pydarknet.errors import ArgumentError, DataError
from pydarknet.streaming.detector import make_detector
from pydarknet.streaming.file_sources import Frame
from pydarknet.streaming.result import Result, Stats
from pydarknet.streaming.sources import StreamSource
from pydarknet.streaming.stream import Skip
from pydarknet.system.fetch import without_password

_Found = tuple[str, "Detections | DataError", float]


@dataclass(frozen=True)
class DetectJob:
    """Everything the result depends on besides the images; can be sent to another machine."""

    cfg: str
    weights: str
    loading: tuple[tuple[str, Any], ...]
    detecting: tuple[tuple[str, Any], ...]
    size: tuple[int, int] | None = None

    def __call__(self, batch: list[str]) -> list[_Found]:
        """Detect in a batch; runs in a worker, which keeps the network for the next batch."""
        start = time.perf_counter()
        network = worker_network(self.cfg, self.weights, self.loading, self.size)
        find = make_detector(network, **dict(self.detecting))
        loaded = [_loaded(path, network.info.channels) for path in batch]
        found = iter(find([image for image in loaded if not isinstance(image, DataError)]))
        outcomes = [image if isinstance(image, DataError) else next(found) for image in loaded]
        seconds = (time.perf_counter() - start) / len(batch)
        return [(path, outcome, seconds) for path, outcome in zip(batch, outcomes, strict=True)]


def _loaded(path: str, channels: int) -> Pixels | DataError:
    try:
        return load(path, channels, urls=True)
    except DataError as error:  # one unreadable image must not lose its batch
        return error


class Spread:
    """Iterator over results in order, like :class:`pydarknet.streaming.stream.Stream`, by many workers.

    Args:
        engine: name of an executor.
        job: the computation.
        sources: images only.
        channels: of the network.
        batch: images per task of a worker.
        skip: called with the error of each image that cannot be read.

    Raises:
        ArgumentError: a source is not an image file.
        DataError: the executor is unknown.
    """

    live = False

    def __init__(
        self,
        engine: str,
        job: DetectJob,
        sources: Sequence[StreamSource],
        channels: int,
        batch: int,
        skip: Skip,
    ) -> None:
        if other := next((source for source in sources if source.kind != "image"), None):
            raise ArgumentError(f"{other.name}: is not an image file; --engine spreads image files only")
        paths = [source.value for source in sources]
        batches = [paths[first : first + batch] for first in range(0, len(paths), batch)]
        self.stats = Stats(total=len(paths))
        self._found = executors.by_name(engine)(job, batches, os.cpu_count() or 1)
        self._channels, self._skip = channels, skip

    def __iter__(self) -> Iterator[Result]:
        for batch in self._found:
            for path, found, seconds in batch:
                image = found if isinstance(found, DataError) else _loaded(path, self._channels)
                if isinstance(image, DataError):
                    self.stats.failed += 1
                    self._skip(image)
                    continue
                assert isinstance(found, Detections)
                frame = Frame(image, without_password(path), still=True)
                result = Result(frame, found, seconds, seconds)
                self.stats.add(result)
                yield result

    def __enter__(self) -> Spread:
        return self

    def __exit__(self, *_: object) -> None:
        close = getattr(self._found, "close", None)
        if close is not None:
            close()
