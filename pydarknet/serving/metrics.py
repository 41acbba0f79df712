# SPDX-License-Identifier: Apache-2.0
"""Metrics of the server for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

KIND = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Metrics:
    """Counters of one server.

    Args:
        waiting: number of images that wait for the network.
        batch: largest number of images in a batch.
    """

    def __init__(self, waiting: Callable[[], int], batch: int) -> None:
        self.registry = registry = CollectorRegistry()
        self._requests = Counter(
            "pydarknet_requests", "Requests by path and status code", ["path", "code"], registry=registry
        )
        self._seconds = Histogram(
            "pydarknet_request_seconds",
            "From the first byte of a request for detections to its answer",
            buckets=_SECONDS,
            registry=registry,
        )
        sizes = sorted({*(2**i for i in range(8) if 2**i < batch), batch})
        self._images = Histogram(
            "pydarknet_batch_images", "Images of a batch", buckets=sizes, registry=registry
        )
        self._network = Histogram(
            "pydarknet_network_seconds",
            "Time of a batch in the network",
            buckets=_SECONDS,
            registry=registry,
        )
        self.loaded = Gauge("pydarknet_loaded", "1 once the network is loaded", registry=registry)
        Gauge("pydarknet_waiting_images", "Images that wait for the network", registry=registry).set_function(
            waiting
        )
        ProcessCollector(registry=registry)

    def batch(self, images: int, seconds: float) -> None:
        """Count a batch."""
        self._images.observe(images)
        self._network.observe(seconds)

    def request(self, path: str, code: int, seconds: float | None) -> None:
        """Count a request, with its time if it was one for detections."""
        self._requests.labels(path, str(code)).inc()
        if seconds is not None:
            self._seconds.observe(seconds)

    def text(self) -> bytes:
        """In the format of Prometheus."""
        return generate_latest(self.registry)
