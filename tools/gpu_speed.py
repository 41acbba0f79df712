# SPDX-License-Identifier: Apache-2.0
"""Stages of gpu_check.py that measure: ceilings of the GPU, convolutions, whole networks, layers."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import gpu_counters
import gpu_peer
import gpu_properties
import numpy as np
from gpu_base import Report, Stages, impossible, judged

from pydarknet import Network
from pydarknet.cfg.model import CfgFile
from pydarknet.engine import benchmark
from pydarknet.errors import BackendError, DarknetError

#: Largest difference of a convolution's output from the CPU's in fp32, relative to the largest value.
TOLERANCES = {"fp32": 1e-4, "tf32": 5e-3, "bf16": 2e-2, "fp16": 5e-3}
GRAPHS = "PYDARKNET_CUDA_GRAPHS"


class SpeedStages(Stages):
    """Stages that measure."""

    def ceilings(self) -> Report:
        """Rate of a large matrix product in each precision; bandwidth of an element-wise kernel in fp32."""
        channels, size = (64, 8) if self.rehearse else (4096, 64)
        product = f"[convolutional]\nfilters={channels}\nsize=1\nactivation=linear\n"
        rates = {
            precision: self._fastest(_net(channels, size, product), precision).gflops / 1e3
            for precision in self.precisions()
        }
        channels, size = (64, 8) if self.rehearse else (256, 1024)
        row = self._fastest(_net(channels, size, "[activation]\nactivation=leaky\n"), "fp32")
        moved = 2 * 4 * channels * size * size
        return judged([], teraflops=rates, gigabytes_per_second=moved / 1e6 / max(row.milliseconds, 1e-6))

    def _fastest(self, text: str, precision: str) -> benchmark.LayerRow:
        with Network.parse(text, device=self.device, precision=precision) as network:
            rows = benchmark.per_layer(network, 1 if self.rehearse else 20)
            return next(row for row in rows if row.layer == 0)

    def convolutions(self) -> Report:
        """Each distinct convolution against the CPU in fp32: error, engine of cuDNN and time."""
        rows, failures = [], []
        for name, text in sorted(self._distinct_convolutions().items()):
            for precision in self.precisions():
                try:
                    row = self._convolution(text, precision)
                except DarknetError as error:
                    failures.append(f"{name} {precision}: {error}")
                    continue
                rows.append({"convolution": name, "precision": precision, **row})
                if not row["error"] <= TOLERANCES[precision]:
                    failures.append(f"{name} {precision}: differs by {row['error']:.2g}")
        return judged(failures, rows=rows)

    def _distinct_convolutions(self) -> dict[str, str]:
        """Cfg text of each, by its shape; in a rehearsal two."""
        found = {}
        for cfg in self.networks():
            with Network.parse(str(cfg), name=cfg.path, device="cpu", strict=False) as network:
                for section, layer in zip(cfg.layers, network.layers, strict=True):
                    if section.type == "convolutional":
                        channels, height, width = layer.in_shape
                        keys = ("filters", "size", "stride", "pad", "groups")
                        lines = [f"{key}={section.get(key)}" for key in keys if key in section]
                        layers = "\n".join(["[convolutional]", *lines, "activation=linear"])
                        name = f"{channels}x{height}x{width} {' '.join(lines)}"
                        found[name] = _net(channels, height, layers, width)
        return dict(sorted(found.items())[:2]) if self.rehearse else found

    def _convolution(self, text: str, precision: str) -> Report:
        outputs, rng = [], np.random.default_rng(2)
        for device, kind in (("cpu", "fp32"), (self.device, precision)):
            with Network.parse(text, device=device, precision=kind) as network:
                if not outputs:
                    shape = (1, network.info.channels, network.info.height, network.info.width)
                    x = rng.random(shape, np.float32)
                outputs.append(np.array(network.predict(x)[0]))
        with Network.parse(text, device=self.device, precision=precision) as network:
            (row,) = benchmark.per_layer(network, 1 if self.rehearse else 5)
        expected, found = outputs
        error = float(np.abs(found - expected).max() / np.abs(expected).max())
        return {"error": error, "engine": row.what, "milliseconds": row.milliseconds, "gflops": row.gflops}

    def speed(self) -> Report:
        """Forward pass by batch and precision, with and without CUDA graphs; PyTorch beside it."""
        rows: list[Report] = []
        seconds, batches = (0.0, (1,)) if self.rehearse else (0.5, (1, 8, 64))
        for cfg in self.networks():
            for precision in self.precisions():
                for batch in batches:
                    for graphs in ("1", "0"):
                        setting = benchmark.Setting(
                            self.saved(cfg), None, None, batch, precision, self.device, None, False
                        )
                        row: Report = {"cfg": Path(cfg.path).stem, "graphs": graphs == "1"}
                        try:
                            with environment(GRAPHS, graphs):
                                row |= asdict(benchmark.measure(setting, seconds))
                        except DarknetError as error:  # one that fails must not lose the others
                            row |= {"batch": batch, "precision": precision, "error": str(error)}
                        rows.append(row)
        return judged([], rows=rows, peer=gpu_peer.inference(rows, self.device, self.rehearse))

    def training_speed(self) -> Report:
        """Mini-batches of a training with an update each, with and without CUDA graphs; PyTorch beside it."""
        rows: list[Report] = []
        batches = (1,) if self.rehearse else (8, 16, 32)
        for cfg in self.networks():
            for batch in batches:
                for graphs in ("1",) if self.rehearse else ("1", "0"):
                    row: Report = {"cfg": Path(cfg.path).stem, "batch": batch, "graphs": graphs == "1"}
                    try:
                        with environment(GRAPHS, graphs):
                            row |= self._trained_for(cfg, batch)
                    except DarknetError as error:
                        row["error"] = str(error)
                    rows.append(row)
        small = [row for row in rows if row["batch"] == batches[0]]  # a larger one need not fit
        failures = [f"{row['cfg']}: {row['error']}" for row in small if "error" in row]
        return judged(failures, rows=rows, peer=gpu_peer.training(rows, self.device, self.rehearse))

    def _trained_for(self, cfg: CfgFile, batch: int) -> Report:
        """Median milliseconds of a mini-batch, from images in main memory to updated weights."""
        first, steps = (2, 1) if self.rehearse else (3, 10)  # the first ones load and capture
        rng = np.random.default_rng(3)
        with (
            Network(self.saved(cfg), device=self.device, strict=False) as network,
            network.trainer() as trainer,
        ):
            info = network.info
            images = rng.random((2, batch, info.channels, info.height, info.width), np.float32)
            truths = np.zeros((batch, 8, 6), np.float32)
            truths[:, 0] = (0.5, 0.5, 0.3, 0.4, 1, 0)
            times = []
            for step in range(first + steps):
                begun = time.perf_counter()
                trainer.announce(images[(step + 1) % 2])
                trainer.accumulate(images[step % 2], truths)
                trainer.update()
                times.append(1000 * (time.perf_counter() - begun))
            middle = float(np.median(times[first:]))
            return {
                "precision": info.precision,
                "height": info.height,
                "width": info.width,
                "p50": middle,
                "images_per_second": 1000 * batch / middle,
            }

    def counters(self) -> Report:
        """Bytes and bandwidth of the slowest kernels, by NVIDIA's ncu."""
        tables = {}
        try:
            for cfg in self.networks():
                size = 1 if self.rehearse else 8
                tables[Path(cfg.path).stem] = gpu_counters.measure(self.saved(cfg), self.device, size, 50)
        except (BackendError, subprocess.TimeoutExpired) as error:
            return judged([], slowest=tables) if tables else impossible(str(error))
        return judged([], slowest=tables)

    def profile(self) -> Report:
        """Time of each layer, the slowest first."""
        tables = {}
        for cfg in self.networks():
            with Network(self.saved(cfg), device=self.device, strict=False) as network:
                rows = benchmark.per_layer(network, 1 if self.rehearse else 10)
            rows.sort(key=lambda row: -row.milliseconds)
            tables[Path(cfg.path).stem] = [asdict(row) for row in rows[:20]]
        return judged([], slowest=tables)

    def record(self) -> Report:
        """Properties of the GPU by cuDNN and the engine of each convolution, for tests without it."""
        engines = {}
        for cfg in self.networks():
            for precision in self.precisions():
                path = self.saved(cfg)
                with Network(path, device=self.device, precision=precision, strict=False) as network:
                    steps = network.profile()
                engines[f"{Path(cfg.path).stem} {precision}"] = {
                    step.layer: step.what for step in steps if step.what.startswith("cudnn")
                }
        try:
            properties = gpu_properties.read(self.device)
        except (OSError, BackendError) as error:
            return impossible(f"cuDNN does not describe the device: {error}")
        (self.out / "device_properties.json").write_text(properties, "utf-8")
        return judged([] if engines else ["no network was computed"], properties=properties, engines=engines)


def _net(channels: int, height: int, sections: str, width: int | None = None) -> str:
    return f"[net]\nwidth={width or height}\nheight={height}\nchannels={channels}\n{sections}\n"


@contextmanager
def environment(name: str, value: str) -> Iterator[None]:
    """A variable of the environment, as the engine reads it when it compiles a plan."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
