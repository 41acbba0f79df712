# SPDX-License-Identifier: Apache-2.0
"""The stages of gpu_check.py: each returns its outcome and its numbers."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import shapes
from gpu_base import Report, impossible, judged, run_tool
from gpu_speed import SpeedStages

from pydarknet import Network, TrainConfig, info, train
from pydarknet.cfg import new
from pydarknet.cfg.model import CfgFile
from pydarknet.engine import selftest
from pydarknet.errors import BackendError, DarknetError
from pydarknet.training import Hook, Step, checkpoint, resume
from pydarknet.training.loop import TrainingLoop

LARGEST_LOSS_DIFFERENCE = 0.02  # of a training, relative to the CPU's in fp32
LARGEST_BOX_DIFFERENCE = 1.0  # pixels, and of a confidence:
LARGEST_CONFIDENCE_DIFFERENCE = 0.01


@dataclass(frozen=True)
class Check(SpeedStages):
    """Every stage of the check."""

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
        for cfg in self.networks():
            for precision in self.precisions():
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
        train(replace(config, out=self.out / "training-3"), hooks=[StopAt(length // 2)], verbose=False)
        third = train(resume(self.out / "training-3"), verbose=False)
        hashes = [digest(one.folder) for one in (first, again, third)]
        failures = [f"losses differ by {off:.1%}"] if off > LARGEST_LOSS_DIFFERENCE else []
        if hashes[0] != hashes[1]:
            failures.append("the same training twice has other bits")
        if hashes[0] != hashes[2]:
            failures.append("a training that was stopped and resumed has other bits")
        return judged(failures, losses=found, expected=expected, hashes=hashes, difference=off)

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


class StopAt(Hook):
    """Ends a training in the middle of its schedule.

    Args:
        iteration: the last one.
    """

    def __init__(self, iteration: int) -> None:
        self._iteration = iteration

    def after_step(self, training: TrainingLoop, step: Step) -> None:
        """Set the reason to stop."""
        if step.iteration >= self._iteration:
            training.stop_reason = "signal"


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
