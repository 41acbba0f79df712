# SPDX-License-Identifier: Apache-2.0
"""The stages of gpu_check.py: each returns its outcome and its numbers."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import shapes

from pydarknet import Network, TrainConfig, info, train
from pydarknet.cfg import new
from pydarknet.cfg.edit import copy
from pydarknet.cfg.model import CfgFile
from pydarknet.engine import benchmark, selftest
from pydarknet.engine._core import build_info
from pydarknet.errors import BackendError, DarknetError
from pydarknet.training import checkpoint, resume

ROOT = Path(__file__).resolve().parents[1]
Report = dict[str, Any]

LARGEST_LOSS_DIFFERENCE = 0.02  # of a training, relative to the CPU's in fp32
LARGEST_BOX_DIFFERENCE = 1.0  # pixels, and of a confidence:
LARGEST_CONFIDENCE_DIFFERENCE = 0.01


def impossible(reason: str) -> Report:
    """The report of a stage that this machine or version cannot run."""
    return {"outcome": "not possible", "reason": reason}


def judged(failures: list[str], **numbers: Any) -> Report:
    """The report of a stage that ran."""
    return {"outcome": "failed" if failures else "passed", "reason": "; ".join(failures[:3]), **numbers}


@dataclass(frozen=True)
class Check:
    """Machine and settings that the stages share.

    Attributes:
        out: folder for their files.
        build: build folder with the engine's test program.
        device: that is checked.
        rehearse: small networks and few repetitions, for the fakes.
    """

    out: Path
    build: Path
    device: str
    rehearse: bool

    # -- what is there

    def machine(self) -> Report:
        """GPU, driver and libraries, as far as they can be asked."""
        found = info()
        tools = {
            name: run_tool(["nvidia-smi", *words])
            for name, words in (("list", ["-L"]), ("clocks", ["-q", "-d", "CLOCK,POWER,PERFORMANCE"]))
        }
        why = found["cuda"]["why_not"]
        return judged([why] if why else [], info=found, nvidia_smi=tools)

    def selftest(self) -> Report:
        """The network with known numbers, on every device."""
        results = [asdict(one) for one in selftest.run()]
        failures = [f"{one['name']}: {one['detail']}" for one in results if not one["passed"]]
        if not any(one["name"].startswith("cuda") for one in results):
            failures.append("no GPU was tested")
        return judged(failures, results=results, not_run=selftest.not_run())

    def kernels(self) -> Report:
        """The engine's tests of layers, which run on every backend that is available; in a rehearsal few."""
        program = self.build / "darknet/tests/darknet_tests"
        if not program.is_file():
            return impossible(f"{program} was not built")
        command = [str(program), "--source-file=*tests/ops/*", *["--last=5"] * self.rehearse]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        failures = [] if done.returncode == 0 else ["a test failed"]
        if "test cases: 0 " in " ".join(done.stdout.split()):
            failures.append("no test was run")
        return judged(failures, output=done.stdout[-4000:])

    # -- the numbers

    def layers(self) -> Report:
        """Each layer of real networks against the reference, in every precision of the device."""
        worst, failures = {}, []
        for cfg in self._networks():
            for precision in self._precisions():
                name = f"{Path(cfg.path).stem} {precision}"
                try:
                    worst[name] = self._against_reference(cfg, precision)
                except DarknetError as error:
                    failures.append(f"{name}: {error}")
        return judged(failures, checked=worst)

    def detections(self) -> Report:
        """Detections of the device against those of the CPU in fp32, of the same random images."""
        cfg, weights = self._trained()
        rng, failures, rows = np.random.default_rng(0), [], 0
        images = [rng.integers(0, 256, (96, 96, 3), np.uint8) for _ in range(2 if self.rehearse else 16)]
        with (
            Network(cfg, weights, strict=False, device="cpu", precision="fp32") as expected,
            Network(cfg, weights, strict=False, device=self.device, precision="fp32") as network,
        ):
            for number, image in enumerate(images):
                ours, theirs = network.detect(image, 0.01), expected.detect(image, 0.01)
                rows += len(theirs)
                if len(ours) != len(theirs):
                    failures.append(f"image {number}: found {len(ours)} objects, expected {len(theirs)}")
                elif len(ours) and (
                    np.abs(ours.xyxy - theirs.xyxy).max() > LARGEST_BOX_DIFFERENCE
                    or np.abs(ours.confidence - theirs.confidence).max() > LARGEST_CONFIDENCE_DIFFERENCE
                ):
                    failures.append(f"image {number}: boxes or confidences differ")
        return judged(failures, images=len(images), objects=rows)

    def training(self) -> Report:
        """Losses against the CPU's; the same bits in a second run, and in one that was stopped."""
        length = 4 if self.rehearse else 20
        base = self._training("cpu", "training-cpu", length)
        expected = losses(train(base, verbose=False).folder)
        config = self._training(self.device, "training-1", length)
        try:
            first = train(config, verbose=False)
        except BackendError as error:
            return impossible(str(error)) if "does not train yet" in str(error) else judged([str(error)])
        found = losses(first.folder)
        off = max(abs(a - b) / max(abs(b), 1e-6) for a, b in zip(found, expected, strict=True))
        again = train(replace(config, out=self.out / "training-2"), verbose=False)
        train(replace(config, out=self.out / "training-3", max_batches=length // 2), verbose=False)
        third = train(resume(self.out / "training-3", max_batches=length), verbose=False)
        hashes = [digest(one.folder) for one in (first, again, third)]
        failures = [f"losses differ by {off:.1%}"] if off > LARGEST_LOSS_DIFFERENCE else []
        if hashes[0] != hashes[1]:
            failures.append("the same training twice has other bits")
        if hashes[0] != hashes[2]:
            failures.append("a training that was stopped and resumed has other bits")
        return judged(failures, losses=found, expected=expected, hashes=hashes, difference=off)

    # -- the speed

    def speed(self) -> Report:
        """Forward pass by batch and precision; with PyTorch beside it where that is installed."""
        rows = []
        seconds, batches = (0.0, (1,)) if self.rehearse else (1.0, (1, 8, 64))
        for cfg in self._networks():
            for precision in self._precisions():
                for batch in batches:
                    setting = benchmark.Setting(
                        self._saved(cfg), None, None, batch, precision, self.device, None, False
                    )
                    rows.append({"cfg": Path(cfg.path).stem, **asdict(benchmark.measure(setting, seconds))})
        peer = "installed" if importlib.util.find_spec("torch") else "PyTorch is not installed"
        return judged([], rows=rows, peer=peer if self.rehearse else self._peer(rows))

    def _peer(self, rows: list[Report]) -> Any:
        if not importlib.util.find_spec("torch"):
            return "PyTorch is not installed"
        sys.path.insert(0, str(ROOT / "benchmarks"))
        import torch
        from torch_darknet import Darknet

        if not torch.cuda.is_available():
            return "PyTorch finds no GPU"
        return [
            {"cfg": row["cfg"], "batch": row["batch"], "precision": row["precision"], "p50": self._torch(
                torch, Darknet(str(ROOT / f"cfg/{row['cfg']}.cfg")), row)}
            for row in rows
        ]  # fmt: skip

    def _torch(self, torch: Any, model: Any, row: Report) -> float:
        """Median milliseconds of a forward pass, channels last, under autocast."""
        kind = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(row["precision"])
        model = model.eval().to(self.device, memory_format=torch.channels_last)
        x = torch.rand(row["batch"], 3, row["height"], row["width"], device=self.device)
        x = x.to(memory_format=torch.channels_last)
        times = []
        with torch.inference_mode(), torch.autocast("cuda", dtype=kind, enabled=kind is not None):
            for _ in range(30):
                start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
                start.record()
                model(x)
                end.record()
                torch.cuda.synchronize()
                times.append(start.elapsed_time(end))
        return float(np.median(times[10:]))

    def sanitizer(self) -> Report:
        """NVIDIA's compute-sanitizer over the self-test: memory, then races."""
        if not shutil.which("compute-sanitizer"):
            return impossible("compute-sanitizer is not installed")
        command = [sys.executable, "-m", "pydarknet", "info", "--selftest"]
        reports = {
            tool: run_tool(["compute-sanitizer", "--tool", tool, "--error-exitcode", "9", *command], 50)
            for tool in ("memcheck", "racecheck")
        }
        return judged([tool for tool, text in reports.items() if "exit code 9" in text], reports=reports)

    def profile(self) -> Report:
        """Time of each layer, the slowest first."""
        tables = {}
        for cfg in self._networks():
            with Network(self._saved(cfg), device=self.device, strict=False) as network:
                rows = benchmark.per_layer(network, 1 if self.rehearse else 10)
            rows.sort(key=lambda row: -row.milliseconds)
            tables[Path(cfg.path).stem] = [asdict(row) for row in rows[:20]]
        return judged([], slowest=tables)

    # -- what they compute on

    def _networks(self) -> Iterator[CfgFile]:
        """Networks to compute: published ones, in a rehearsal a small input of the smallest."""
        for name, size in (("yolov4-tiny", 416), ("yolov4", 608)):
            cfg = copy(CfgFile.load(ROOT / f"cfg/{name}.cfg"))
            cfg.path = f"{name}.cfg"
            for key in ("width", "height"):
                cfg.net.set(key, 32 if self.rehearse else size)
            yield cfg
            if self.rehearse:
                return

    def _saved(self, cfg: CfgFile) -> str:
        path = self.out / Path(cfg.path).name
        path.write_text(str(cfg), "utf-8")
        return str(path)

    def _precisions(self) -> list[str]:
        """Precisions of the cuda backend here."""
        found = next((one for one in build_info()["backends"] if one["name"] == "cuda"), {})
        return [one["name"] for one in found.get("precisions", ())]

    def _against_reference(self, cfg: CfgFile, precision: str) -> str:
        backend = f"check:{self.device},ref"
        options: dict[str, Any] = {"name": cfg.path, "backend": backend, "precision": precision}
        with Network.parse(str(cfg), **options, strict=False) as network:
            shape = (1, network.info.channels, network.info.height, network.info.width)
            network.predict(np.random.default_rng(1).random(shape, np.float32))
            return f"{len(network.layers)} layers agree"

    def _training(self, device: str, name: str, length: int) -> TrainConfig:
        folder, cfg = self.out / "shapes", self.out / "shapes.cfg"
        if not folder.is_dir():
            shapes.write_darknet(folder, 16 if self.rehearse else 80)
            self._detector().save(cfg)
        return TrainConfig(
            cfg,
            folder / "shapes.data",
            out=self.out / name,
            max_batches=length,
            device=device,
            precision="fp32",
            map_every=0,
            dump_batches=0,
            plots=False,
            force=True,
            restart=True,
        )

    def _detector(self) -> CfgFile:
        """A yolov4-tiny for the shapes; in a rehearsal with an eighth of its filters."""
        size, batch = (64, 2) if self.rehearse else (416, 8)
        cfg = new("yolov4-tiny", classes=3, size=size, batch=batch, subdivisions=1, max_batches=2000)
        heads = [*cfg.layers[1:], None]
        for section, below in zip(cfg.layers, heads, strict=True):
            before_a_head = below is not None and below.type == "yolo"
            if self.rehearse and section.type == "convolutional" and not before_a_head:
                section.set("filters", section.integer("filters") // 8)
        return CfgFile.parse(str(cfg), "shapes.cfg")

    def _trained(self) -> tuple[str, str]:
        """A cfg and weights that detect something: a few iterations on the CPU."""
        config = self._training("cpu", "training-short", 2 if self.rehearse else 60)
        outcome = train(config, verbose=False)
        return str(outcome.folder / "shapes.cfg"), str(outcome.weights["final"])


def losses(folder: Path) -> list[float]:
    """The loss of each iteration of a run."""
    rows = (folder / "results.jsonl").read_text("utf-8").splitlines()
    return [float(json.loads(row)["loss"]) for row in rows]


def digest(folder: Path) -> str:
    """SHA-256 of all arrays of a run's state."""
    (path,) = (folder / "weights").glob("*_last.state")
    found = hashlib.sha256()
    for name, array in sorted(checkpoint.load(path).trainer["arrays"].items()):
        found.update(name.encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def run_tool(command: list[str], seconds: float = 20) -> str:
    """The output of a program of NVIDIA's, with its exit code if that is not 0."""
    if not shutil.which(command[0]):
        return f"{command[0]} is not installed"
    run: Callable[..., Any] = subprocess.run
    done = run(command, capture_output=True, text=True, timeout=seconds, check=False)
    code = f"\nexit code {done.returncode}" if done.returncode else ""
    return f"{done.stdout}{done.stderr}"[-4000:] + code
