# SPDX-License-Identifier: Apache-2.0
"""Executor on a Ray cluster (https://docs.ray.io) for :mod:`pydarknet.data.executors`.

Every node needs pydarknet installed, and the data under the same paths (a shared file system). Only the
caller writes, so results are the same as on one machine.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from pydarknet.errors import BackendError
from pydarknet.system.extras import require

Chunk = TypeVar("Chunk")
Result = TypeVar("Result")


def engine(work: Callable[[Chunk], Result], chunks: Iterable[Chunk], jobs: int) -> Iterator[Result]:
    """Yield ``work(chunk)`` in the order of the chunks, computed on a Ray cluster.

    The cluster is the one this process is connected to, or else that of the environment variable
    ``RAY_ADDRESS`` (``auto`` finds one on this machine), or else a local one with ``jobs`` workers. A
    connection or cluster started here is closed at the end. Ray prints notices about lost workers on standard
    output, from a thread of its own.

    Args:
        work: computation on a chunk; must be picklable. It is sent to each node once.
        chunks: the chunks; only a few per worker are in flight at a time.
        jobs: workers of a local cluster; other clusters have their own number.

    Raises:
        MissingExtra: Ray is not installed.
        BackendError: the cluster cannot be reached, or loses a chunk four times in a row.
    """
    ray = require("ray", "ray")
    started = not ray.is_initialized()
    if started:
        _connect(ray, jobs)
    try:
        # A dead worker is replaced and its chunk repeated; exceptions of `work` are raised to the caller.
        remote = ray.remote(num_cpus=1, max_retries=3)(_call)
        shared = ray.put(work)
        in_flight = 2 * max(1, int(ray.cluster_resources().get("CPU", jobs)))
        waiting: deque[Any] = deque()
        for chunk in chunks:
            waiting.append(remote.remote(shared, chunk))
            if len(waiting) > in_flight:
                yield _result(ray, waiting.popleft())
        while waiting:
            yield _result(ray, waiting.popleft())
    finally:
        if started:
            ray.shutdown()


def _call(work: Callable[[Chunk], Result], chunk: Chunk) -> Result:
    return work(chunk)


def _connect(ray: Any, jobs: int) -> None:
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    address = os.environ.get("RAY_ADDRESS")
    if not address:
        ray.init(num_cpus=jobs, include_dashboard=False, **quiet)
        return
    try:
        _check_address(address)
        ray.init(**quiet)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise BackendError(f"no Ray cluster at {address}: {error}") from None


def _check_address(address: str) -> None:
    """Fail at once if nothing listens; Ray itself would wait for minutes."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


def _result(ray: Any, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", None)
        if isinstance(cause, Exception) and not isinstance(cause, ray.exceptions.RayError):
            raise cause from None  # the error of `work` itself, without Ray's wrapper
        raise BackendError(f"the Ray cluster lost a chunk: {error}") from error
