# SPDX-License-Identifier: Apache-2.0
"""From the body of a request to its answer: limits, decoding, the network, the form of the answer."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from pydarknet.engine.detections import Detections
from pydarknet.engine.handle import NetworkInfo
from pydarknet.engine.images import Pixels
from pydarknet.engine.network import Network
from pydarknet.serving.answers import FORMS, JPEG, RECORDS
from pydarknet.serving.batcher import Batcher, Detect, Seen
from pydarknet.serving.images import check, file_of, pixels_of, value_bytes
from pydarknet.serving.limits import SHORT, SMALL_BYTES, SMALL_PIXELS, Budget, Limits, Refused, Share
from pydarknet.serving.metrics import Metrics
from pydarknet.streaming.detector import make_detector

Result = TypeVar("Result")

#: Customised answer: from detections, image (h, w, c) uint8, blue first, and the query of the address to any
#: value that JSON has.
Handler = Callable[[Detections, Pixels, Mapping[str, str]], Any]


@dataclass(frozen=True)
class Settings:
    """Settings of a server.

    Attributes:
        load: opens the network.
        detecting: arguments of :func:`pydarknet.streaming.detector.make_detector`; ``thresh`` is the default
            of requests.
        limits: of requests.
        batch: largest number of images in a forward pass.
        handler: makes the JSON of an answer, in place of the records.
    """

    load: Callable[[], Network]
    detecting: Mapping[str, Any] = field(default_factory=lambda: {"thresh": 0.25})
    limits: Limits = field(default_factory=Limits)
    batch: int = 8
    handler: Handler | None = None


class Service:
    """The network, its queue, and what requests share.

    Args:
        settings: of the server.
        ready: called in another thread when the network is loaded, or with the error.

    Attributes:
        settings: of the server.
        budget: bytes of bodies and images.
        metrics: of requests and batches.
    """

    def __init__(self, settings: Settings, ready: Callable[[BaseException | None], None]) -> None:
        self.settings = settings
        self.budget = Budget(settings.limits.memory)
        self.metrics = Metrics(lambda: self._batcher.waiting, settings.batch)
        self._sizes = sorted({settings.batch, *(2**i for i in range(settings.batch.bit_length()))})
        self._batcher = Batcher(
            self._load, self._sizes, lambda error: self._loaded(error, ready), self.metrics.batch
        )
        self._clones: list[Network] = []
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._decoders = ThreadPoolExecutor(min(cores, 4), thread_name_prefix="pydarknet-decode")
        self._inside, self._is_loaded = 0, False
        self._info: NetworkInfo | None = None

    def start(self) -> None:
        """Start to load the network."""
        self._batcher.start()

    def close(self) -> None:
        """Answer what waits, then free the network."""
        self._batcher.close()
        for clone in self._clones:
            clone.close()
        self._decoders.shutdown()

    @property
    def network(self) -> Network | None:
        """The network; None until it is loaded."""
        return self._batcher.network if self._is_loaded else None

    def loaded(self) -> Network:
        """The network.

        Raises:
            Refused: 503, it is not loaded yet.
        """
        if self.network is None:
            raise Refused(503, "the network is being loaded", retry=2)
        return self.network

    @property
    def info(self) -> NetworkInfo:
        """Facts about the network, kept since it was loaded: ``Network.info`` waits for the pass that runs.

        Raises:
            Refused: 503, it is not loaded yet.
        """
        self.loaded()
        assert self._info is not None
        return self._info

    def _load(self) -> tuple[Network, Detect]:
        network, detecting = self.settings.load(), dict(self.settings.detecting)
        del detecting["thresh"]
        networks = {}
        for size in self._sizes:
            networks[size] = network if size == self.settings.batch else network.clone()
            networks[size].batch = size
            self._clones.append(networks[size])
        self._info = network.info

        def detect(images: list[Pixels], thresh: float) -> list[Detections]:
            size = next(size for size in self._sizes if size >= len(images))
            return make_detector(networks[size], thresh=thresh, **detecting)(images)

        return network, detect

    def _loaded(self, error: BaseException | None, ready: Callable[[BaseException | None], None]) -> None:
        self._is_loaded = error is None
        self.metrics.loaded.set(error is None)
        ready(error)

    async def answer(
        self, body: bytes, content_type: str, form: str, thresh: float | None, query: Mapping[str, str]
    ) -> bytes:
        """The body of the answer to a request.

        Args:
            body: of the request.
            content_type: of the body.
            form: a media type of :data:`pydarknet.serving.answers.FORMS`.
            thresh: confidence above which an object is reported; None for that of the server.
            query: of the address, for the handler.

        Raises:
            Refused: the request is not valid, or the server is busy.
        """
        channels, seconds = self.info.channels, self.settings.limits.seconds
        thresh = self.settings.detecting["thresh"] if thresh is None else thresh
        with self._place(), self.budget.share() as share:
            decoded = partial(self._decoded, body, content_type, channels, share)
            task = asyncio.ensure_future(self._answered(decoded, len(body), form, thresh, query))
            try:
                # Not wait_for: a TimeoutError of a handler is not this limit.
                if not (await asyncio.wait({task}, timeout=seconds))[0]:
                    raise self._busy(f"no answer within {seconds:g} s")
                return task.result()
            finally:
                task.cancel()

    async def _answered(
        self,
        decoded: Callable[[int], Pixels],
        size: int,
        form: str,
        thresh: float,
        query: Mapping[str, str],
    ) -> bytes:
        image, found = await self._seen(decoded, size, thresh)
        formed = partial(self._formed, form, found, image, query)
        is_short = form != JPEG and self.settings.handler is None and len(found) <= SHORT
        return formed() if is_short else await self._in_pool(formed)

    async def _seen(self, decoded: Callable[[int], Pixels], size: int, thresh: float) -> Seen:
        """Decode an image and detect in it: in one thread while nothing else is to be done."""
        most = self.settings.limits.pixels
        if self._batcher.is_idle and size <= SMALL_BYTES:
            try:
                return await self._detect(partial(decoded, min(most, SMALL_PIXELS)), thresh)
            except Refused as error:
                if error.status != 413:
                    raise
        image = await self._in_pool(partial(decoded, most))
        return await self._detect(lambda: image, thresh)

    def _decoded(self, body: bytes, content_type: str, channels: int, share: Share, most: int) -> Pixels:
        """The image of a request, which takes its share of the budget; refused above ``most`` pixels."""
        data = file_of(body, content_type)
        width, height = check(data, most)
        share.take(width * height * max(channels, 3) * value_bytes(data))
        return pixels_of(data, channels)

    async def _detect(self, image: Callable[[], Pixels], thresh: float) -> Seen:
        return await asyncio.wrap_future(self._batcher.submit(image, thresh))

    def _formed(self, form: str, found: Detections, image: Pixels, query: Mapping[str, str]) -> bytes:
        handler = self.settings.handler
        if form == RECORDS and handler is not None:
            return json.dumps(handler(found, image, query)).encode()
        return FORMS[form](found, image)

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        """A place among the images that are decoded, waiting, or in the network."""
        if self._inside >= self.settings.limits.waiting + self.settings.batch:
            raise self._busy(f"{self._inside} images are waiting")
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    def _busy(self, why: str) -> Refused:
        seconds = math.ceil(self._inside * self._batcher.pace)
        return Refused(503, f"the server is busy: {why}", retry=max(1, seconds))

    async def _in_pool(self, function: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._decoders, function)


def is_handler(found: object) -> bool:
    """Whether an object can be called with three positional arguments."""
    try:
        inspect.signature(found).bind(None, None, None)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return True
