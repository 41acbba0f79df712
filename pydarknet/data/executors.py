# SPDX-License-Identifier: Apache-2.0
"""Execution of chunks of work: in this process, in several on this machine, or on several machines.

An engine is a function ``engine(work, chunks, jobs)`` that yields ``work(chunk)`` in the order of the
chunks and holds only a few of them at a time.
"""

from __future__ import annotations

import concurrent.futures
import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from pydarknet.system import extras

Chunk = TypeVar("Chunk")
Result = TypeVar("Result")
Engine = Callable[[Callable[[Any], Any], Iterable[Any], int], Iterator[Any]]


def local(work: Callable[[Chunk], Result], chunks: Iterable[Chunk], jobs: int) -> Iterator[Result]:
    """Run on this machine: in place for one job, otherwise in worker processes."""
    if jobs <= 1:
        yield from map(work, chunks)
        return
    # Not "fork": the caller may hold threads (OpenMP, CUDA), and those do not survive it.
    context = multiprocessing.get_context("spawn")
    pool = concurrent.futures.ProcessPoolExecutor(jobs, context, _install, (work,))
    try:
        waiting: deque[concurrent.futures.Future[Any]] = deque()
        for chunk in chunks:
            waiting.append(pool.submit(_run, chunk))
            if len(waiting) > 2 * jobs:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


_work: Callable[[Any], Any] | None = None


def _install(work: Callable[[Any], Any]) -> None:
    """Runs once in every worker: the context travels once, not with every chunk."""
    global _work  # noqa: PLW0603
    _work = work


def _run(chunk: Any) -> Any:
    assert _work is not None
    return _work(chunk)


def by_name(name: str) -> Engine:
    """Return ``local``, ``ray`` or an executor of another package.

    Raises:
        ArgumentError: no executor has this name.
        MissingExtra: its library is not installed.
    """
    engine: Engine = extras.load("pydarknet.executors", name)
    return engine
