# SPDX-License-Identifier: Apache-2.0
"""Speed of a network on this machine: latency, throughput, memory and the time of each layer."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np

from pydarknet.engine.model_files import found_files
from pydarknet.engine.network import Network
from pydarknet.system.memory import peak_memory, reset_peak_memory, resident_memory


@dataclass(frozen=True)
class Row:
    """Measurements of one setting; times are milliseconds of a call on ``batch`` images.

    Attributes:
        width: of the network's input.
        height: of the network's input.
        batch: images in a call.
        precision: the one that was used: ``"fp32"``, ``"bf16"``, ...
        p50: median time of a forward pass.
        p95: 95th percentile of it.
        detect_p50: median time of ``detect()`` on arrays: resize, forward pass, decoding, NMS.
        images_per_second: of the forward pass, from the median.
        runs: forward passes that were timed.
        memory_mb: peak memory of the process beyond that before loading; None if unknown.
        place: backend and hardware that computed: ``"cpu (avx2)"``.
    """

    width: int
    height: int
    batch: int
    precision: str
    p50: float
    p95: float
    detect_p50: float
    images_per_second: float
    runs: int
    memory_mb: float | None
    place: str = ""


@dataclass(frozen=True)
class Setting:
    """Case to measure: arguments of :class:`pydarknet.Network`, and size, (width, height) or the cfg's."""

    cfg: str
    weights: str | None = None
    size: tuple[int, int] | None = None
    batch: int = 1
    precision: str = "auto"
    backend: str = "auto"
    threads: int | None = None
    strict: bool = True

    def has_weights(self) -> bool:
        """Whether the weights are those of a file, of a run or of a pack, and not random."""
        with found_files(self.cfg, self.weights) as (_, file):
            return file is not None

    def load(self) -> Network:
        """The network, ready to be timed."""
        network = Network(
            self.cfg,
            self.weights,
            backend=self.backend,
            precision=self.precision,
            batch=self.batch,
            threads=self.threads,
            strict=self.strict,
        )
        if self.size:
            network.resize(*self.size)
        return network


def measure_apart(setting: Setting, seconds: float) -> Row:
    """:func:`measure` in its own process: memory freed by earlier measurements does not count."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, setting, seconds).result()


def measure(setting: Setting, seconds: float, warmup: int = 3) -> Row:
    """Load a network and time it.

    Args:
        setting: network and options.
        seconds: time for the forward pass, and again for ``detect()``; at least three calls each.
        warmup: untimed calls before.
    """
    before = resident_memory()
    reset_peak_memory()
    # Random weights can give every box a probability, which no trained network does: NMS would take minutes.
    thresh = 0.25 if setting.has_weights() else 1.0
    with setting.load() as network:
        info = network.info
        rng = np.random.default_rng(0)  # noise, so that no value is special
        x = rng.random((info.batch, info.channels, info.height, info.width), np.float32)
        shape = (info.height, info.width, info.channels)
        images = [rng.integers(0, 256, shape, np.uint8) for _ in range(info.batch)]
        forward = _times(lambda: network.predict(x), seconds, warmup)
        detect = _times(lambda: network.detect(images, thresh), seconds, warmup) if info.classes else forward
        peak = peak_memory()
        p50, p95 = np.percentile(forward, [50, 95])
        return Row(
            info.width,
            info.height,
            info.batch,
            network.info.precision,
            float(p50) * 1e3,
            float(p95) * 1e3,
            float(np.median(detect)) * 1e3,
            info.batch / float(p50),
            len(forward),
            None if peak is None or before is None else round((peak - before) / 1e6, 1),
            network.info.place,
        )


def _times(call: Callable[[], object], seconds: float, warmup: int) -> list[float]:
    for _ in range(warmup):
        call()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return times


@dataclass(frozen=True)
class LayerRow:
    """Median time of one step over several passes; ``error`` as of ``Network.layer_errors``."""

    layer: int
    type: str
    description: str
    what: str
    milliseconds: float
    gflops: float  # per second
    error: float | None = None

    def share(self, total: float) -> float:
        """Share of the whole pass, 0..1."""
        return self.milliseconds / total if total else 0.0


def per_layer(network: Network, passes: int = 10) -> list[LayerRow]:
    """Time of every step of a forward pass, in the order of the layers, and errors of a ``check:A,B``."""
    network.profile()  # warm up
    profiles = [network.profile() for _ in range(passes)]
    errors = network.layer_errors() if network.info.backend.startswith("check:") else None
    layers, batch = network.layers, network.batch
    rows = []
    for steps in zip(*profiles, strict=True):
        seconds = float(np.median([step.seconds for step in steps]))
        index, what = steps[0].layer, steps[0].what
        if index < 0:
            rows.append(LayerRow(index, "input", "", what, seconds * 1e3, 0.0))
            continue
        layer = layers[index]
        gflops = layer.bflops * batch / seconds if seconds else 0.0
        error = errors[index] if errors else None
        rows.append(LayerRow(index, layer.type, layer.description, what, seconds * 1e3, gflops, error))
    return rows
