# SPDX-License-Identifier: Apache-2.0
"""One thread that runs the network on the images of all clients, in batches of those that are waiting.

A batch is what waits when the network is free, so one client has the latency of one image, and many have
the throughput of a batch; nothing waits for a batch to fill. A plan takes the time of its full batch, so
there is one for each power of two: five images are a batch of four and one of one.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from pydarknet.engine.detections import Detections
from pydarknet.engine.images import Pixels
from pydarknet.engine.network import Network
from pydarknet.serving.limits import Refused

Detect = Callable[[list[Pixels], float], list[Detections]]
Observe = Callable[[int, float], None]


#: An image as the network saw it, and what it found.
Seen = tuple[Pixels, Detections]


@dataclass
class _Job:
    image: Callable[[], Pixels]
    thresh: float
    seen: Future[Seen] = field(default_factory=Future)


class Batcher:
    """The thread; it loads the network first.

    Args:
        load: returns the network and the function that detects with it, from images and a threshold.
        sizes: of batches, in rising order, beginning with 1.
        ready: called with None when the network is loaded, and with the error that ends the thread.
        observe: called with the images and seconds of each batch.

    Attributes:
        network: None until it is loaded.
    """

    def __init__(
        self,
        load: Callable[[], tuple[Network, Detect]],
        sizes: Sequence[int],
        ready: Callable[[BaseException | None], None],
        observe: Observe,
    ) -> None:
        self._load, self._sizes, self._ready, self._observe = load, sizes, ready, observe
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._closed = self._rests = False
        self._pace = 0.0  # seconds of an image, smoothed
        self.network: Network | None = None
        self._thread = threading.Thread(target=self._run, name="pydarknet-network", daemon=True)

    def start(self) -> None:
        """Start to load the network."""
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Images that wait for the network."""
        return len(self._jobs)

    @property
    def is_idle(self) -> bool:
        """Whether the next image that comes is taken at once."""
        return self._rests and not self._jobs

    @property
    def pace(self) -> float:
        """Recent seconds of an image."""
        return self._pace

    def submit(self, image: Callable[[], Pixels], thresh: float) -> Future[Seen]:
        """Detect in an image with the next batch that has room; to cancel the result is to take it back.

        Args:
            image: returns the image, with the channels of the network; called by the thread.
            thresh: confidence above which an object is reported.
        """
        job = _Job(image, thresh)
        with self._changed:
            if self._closed:
                raise Refused(503, "the server is stopping", retry=5)
            self._jobs.append(job)
            self._changed.notify()
        return job.seen

    def close(self) -> None:
        """Finish the images that wait, then end the thread and free the network."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()
        if self.network is not None:
            self.network.close()

    def _run(self) -> None:
        try:
            self.network, detect = self._load()
            info = self.network.info
            blank = np.zeros((info.height, info.width, info.channels), np.uint8)
            for size in self._sizes:
                if self._closed:
                    return
                detect([blank] * size, 0.5)  # compiles its plan
            self._ready(None)
            while jobs := self._take():
                if ready := _with_images(jobs):
                    self._answer(ready, detect)
        except BaseException as error:
            self._refuse_waiting()
            self._ready(error)

    def _refuse_waiting(self) -> None:
        with self._changed:
            self._closed = True
            for job in self._jobs:
                if job.seen.set_running_or_notify_cancel():
                    job.seen.set_exception(Refused(503, "the server is stopping", retry=5))
            self._jobs.clear()

    def _take(self) -> list[_Job]:
        """Wait for images; none when the thread shall end."""
        with self._changed:
            while True:
                self._jobs = deque(job for job in self._jobs if not job.seen.cancelled())
                if self._jobs:
                    size = max(size for size in self._sizes if size <= len(self._jobs))
                    taken = [self._jobs.popleft() for _ in range(size)]
                    if jobs := [job for job in taken if job.seen.set_running_or_notify_cancel()]:
                        return jobs
                elif self._closed:
                    return []
                else:
                    self._rests = True
                    self._changed.wait()
                    self._rests = False

    def _answer(self, ready: list[tuple[_Job, Pixels]], detect: Detect) -> None:
        start = time.perf_counter()
        least = min(job.thresh for job, _ in ready)
        try:
            results = detect([image for _, image in ready], least)
        except Exception as error:
            for job, _ in ready:
                job.seen.set_exception(error)
            return
        seconds = time.perf_counter() - start
        pace = seconds / len(ready)
        self._pace = 0.8 * self._pace + 0.2 * pace if self._pace else pace
        self._observe(len(ready), seconds)  # first, so that who has an answer finds it counted
        for (job, image), found in zip(ready, results, strict=True):
            own = found if job.thresh == least else found[found.confidence > job.thresh]
            job.seen.set_result((image, own))


def _with_images(jobs: list[_Job]) -> list[tuple[_Job, Pixels]]:
    """The jobs whose image can be decoded; the others have their error."""
    ready = []
    for job in jobs:
        try:
            ready.append((job, job.image()))
        except Exception as error:
            job.seen.set_exception(error)
    return ready
