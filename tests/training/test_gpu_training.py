# SPDX-License-Identifier: Apache-2.0
"""Training with ``device=cuda``, on fakes of NVIDIA's libraries, which the build of the C++ tests makes.

The libraries are opened once in a process, so each test runs the functions below in a process of its own.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapes
from shapes import StopAt

from pydarknet import TrainConfig
from pydarknet.training import Hook, Outcome, Step, checkpoint, resume, train
from pydarknet.training.loop import TrainingLoop

FAKES = os.environ.get("PYDARKNET_FAKE_CUDA", "")

pytestmark = pytest.mark.skipif(not FAKES, reason="PYDARKNET_FAKE_CUDA names no folder of fakes")

Folder = Path
GPU = {"PYDARKNET_CUDA_PATH": FAKES}


def config(folder: Folder, name: str, device: str = "cuda", length: int = 4, **values: Any) -> TrainConfig:
    """A training of a few iterations, in a folder of that name."""
    place = folder / name
    place.mkdir()
    data = folder / "ds/obj.data"
    if not data.is_file():
        shapes.data_set(folder / "ds", 4, 2)
    cfg = shapes.cfg(place, length, **{"size": 32, "mosaic": 0, "batch": 2, **values})
    options: dict[str, Any] = {"force": True, "plots": False, "map_every": 0, "last_every": 1, "threads": 1}
    return TrainConfig(cfg, data, out=place / "run", device=device, **options)


def state(outcome: Outcome) -> dict[str, Any]:
    """Everything that the training resumes from, with digests in place of the arrays."""
    found = checkpoint.load(outcome.folder / "weights/shapes_last.state").trainer
    arrays = {name: array.tobytes().hex() for name, array in found["arrays"].items()}
    return {**found, "arrays": arrays}


class Killed(Hook):
    """Ends the process in the middle of an iteration, as the system does when memory is short."""

    def before_step(self, training: TrainingLoop) -> None:
        if training.iteration == 2:
            os.kill(os.getpid(), signal.SIGKILL)


def killed(folder: Folder) -> None:
    train(config(folder, "killed"), [Killed()])


def resumed(folder: Folder) -> None:
    """A training that was stopped, and one that was killed, end with the bits of one that never was."""
    whole = train(config(folder, "whole"))
    assert (whole.reason, whole.iteration) == ("finished", 4)
    stopped = config(folder, "stopped")
    assert train(stopped, [StopAt(2)]).reason == "signal"
    assert state(train(stopped)) == state(whole)
    assert state(train(resume(folder / "killed/run"))) == state(whole)
    assert any(name.startswith("gradients/") for name in state(whole)["arrays"])
    scale, updates = state(whole)["loss_scale"]
    assert 1 < scale <= 32768
    assert 1 <= updates <= 4
    session = json.loads((whole.folder / "run.json").read_text())["sessions"][0]
    assert session["backend"] == "cuda"
    assert session["device"].startswith("fake GPU (sm_75), cuDNN 9.10.2")
    assert session["precision"] == "fp16"


def elsewhere(folder: Folder) -> None:
    """From the GPU to the CPU and back: the run continues, and says that bits differ."""
    first = train(replace(config(folder, "moved"), max_batches=2))
    for device, length in (("cpu", 3), ("cuda", 4)):
        outcome = train(resume(first.folder, device=device, max_batches=length))
        assert (outcome.reason, outcome.iteration) == ("finished", length)
    sessions = json.loads((first.folder / "run.json").read_text())["sessions"]
    assert [session["backend"] for session in sessions] == ["cuda", "cpu", "cuda"]
    assert sessions[0]["precision"] == "fp16"
    for session in sessions[1:]:
        assert any("results will no longer be bit-identical" in note for note in session["notes"]), session


def overflows(folder: Folder) -> None:
    """A loss scale that is too large: updates are skipped and reported, and then the training learns."""

    class Weights(Hook):
        def __init__(self) -> None:
            self.seen: list[bytes] = []

        def after_step(self, training: TrainingLoop, step: Step) -> None:
            arrays = training.trainer.state()["arrays"]
            self.seen.append(
                arrays["parameters/0/weights"].tobytes() + arrays["gradients/0/weights"].tobytes()
            )

    weights = Weights()
    settings = config(folder, "overflow", length=10)
    cfg = Path(settings.cfg)
    cfg.write_text(cfg.read_text().replace("[net]", "[net]\nloss_scale=2e5", 1))
    outcome = train(settings, [weights])
    assert (outcome.reason, outcome.iteration) == ("finished", 10)
    rows = [json.loads(line) for line in (outcome.folder / "results.jsonl").read_text().splitlines()]
    skipped = [row["skipped"] for row in rows]
    assert skipped[0]
    assert not skipped[-1]
    for number in range(1, 10):
        assert (weights.seen[number] == weights.seen[number - 1]) == skipped[number]
        assert rows[number]["loss_scale"] == rows[number - 1]["loss_scale"] / (2 if skipped[number] else 1)
    log = (outcome.folder / "train.log").read_text()
    assert log.count("Gradients overflowed in fp16: update skipped, loss scale") == sum(skipped)


def spikes(folder: Folder) -> None:
    """Activations that overflow in one iteration: it is skipped as a whole, and the training continues."""

    class Spike(Hook):
        def __init__(self) -> None:
            self.seen: list[dict[str, bytes]] = []

        def before_step(self, training: TrainingLoop) -> None:
            state = training.trainer.state()
            self.seen.append({name: array.tobytes() for name, array in state["arrays"].items()})
            scales = state["arrays"]["parameters/0/scales"]
            if training.iteration in (2, 3):
                scales *= np.float32(1e7 if training.iteration == 2 else 1e-7)
                training.trainer.load_state(state)

    spike, settings = Spike(), config(folder, "spike", length=5)
    cfg = Path(settings.cfg)
    cfg.write_text(cfg.read_text().replace("[net]", "[net]\nloss_scale=1024", 1))
    outcome = train(settings, [spike])
    assert (outcome.reason, outcome.iteration) == ("finished", 5)
    rows = [json.loads(line) for line in (outcome.folder / "results.jsonl").read_text().splitlines()]
    assert [row["skipped"] for row in rows] == [False, False, True, False, False]
    assert [row["loss"] is None for row in rows] == [False, False, True, False, False]
    assert rows[2]["avg_loss"] == rows[1]["avg_loss"]
    before, after = spike.seen[2:4]
    changed = [name for name in before if before[name] != after[name]]
    assert changed == ["parameters/0/scales"], changed
    assert state(outcome)["skipped"] == 1


def ampere(folder: Folder) -> None:
    """In bf16, without a loss scale: stopped and resumed with the same bits."""
    whole, stopped = train(config(folder, "whole", length=3)), config(folder, "stopped", length=3)
    assert train(stopped, [StopAt(2)]).reason == "signal"
    assert state(train(stopped)) == state(whole)
    assert "loss_scale" not in state(whole)


def learns(folder: Folder) -> None:
    """A network that has learned on the CPU learns on, in fp16 as in fp32 there: the same mAP to rounding."""
    shapes.data_set(folder / "ds", 16, 8)
    how: dict[str, Any] = {"size": 48, "batch": 4, "subdivisions": 1}
    first = replace(config(folder, "first", "cpu", 450, **how), precision="fp32", last_every=450)
    learned = train(first, verbose=False)
    found = []
    for name, precision in (("cuda", "fp16"), ("cpu", "fp32")):
        more = replace(config(folder, name, name, 10, **how), map_every=10, clear=True)
        outcome = train(replace(more, weights=learned.weights["last"], precision=precision))
        assert outcome.best is not None
        found.append(outcome.best)
    assert found[1] > 0.15
    assert found[0] == pytest.approx(found[1], abs=0.03)


def composed(folder: Folder) -> None:
    """With images composed on the GPU: near that of the CPU; stopped and resumed bit for bit."""
    how: dict[str, Any] = {"mosaic": 1, "length": 3}
    device = {
        name: replace(config(folder, name, **how), augment_on="device") for name in ("whole", "stopped")
    }
    whole, stopped = train(device["whole"]), device["stopped"]
    assert train(stopped, [StopAt(2)]).reason == "signal"
    assert state(train(resume(stopped.out or ""))) == state(whole)
    assert json.loads((whole.folder / "run.json").read_text())["config"]["augment_on"] == "device"
    host = train(config(folder, "host", **how))
    losses = [
        [json.loads(line)["loss"] for line in (run.folder / "results.jsonl").read_text().splitlines()]
        for run in (whole, host)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=2e-2)
    assert losses[0] != losses[1]  # they round differently

    moved = train(resume(whole.folder, device="cpu", max_batches=4))
    session = json.loads((moved.folder / "run.json").read_text())
    assert session["config"]["augment_on"] == "cpu"
    for note in (
        "images are augmented on the CPU: the training does not compute on a GPU",
        "augmentation on device -> cpu: results will no longer be bit-identical",
    ):
        assert note in session["sessions"][-1]["notes"]
    noisy = replace(config(folder, "noisy", length=1), augment_on="device", settings=("gaussian_noise=5",))
    notes = json.loads((train(noisy).folder / "run.json").read_text())["sessions"][0]["notes"]
    assert (
        "images are augmented on the CPU: a GPU does not compute gaussian_noise, which the cfg asks for"
        in notes
    )


#: Python runs it in every worker: those besides worker 0 keep the parameters that they end with, or die.
SITE = """
import os
if os.environ.get("PMI_RANK", "0") != "0":
    import signal
    import numpy as np
    from pydarknet.engine.trainer import Trainer
    from pydarknet.training.follower import Follower
    run = Follower.run
    def keeping(self):
        run(self)
        arrays = {n: a for n, a in self.trainer.state()["arrays"].items() if n.startswith("parameters")}
        np.savez(os.environ["KEPT"], **arrays)
    Follower.run = keeping
    if "VICTIM" in os.environ:
        Trainer.sum_gradients = lambda self, limit: os.kill(os.getpid(), signal.SIGKILL)
"""


def command(folder: Folder, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run ``pydarknet train`` on a machine with two GPUs."""
    return run(folder, "train", *words, **variables)


def run(folder: Folder, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run any command there."""
    (folder / "site").mkdir(exist_ok=True)
    (folder / "site/sitecustomize.py").write_text(SITE)
    path = os.pathsep.join([str(folder / "site"), *sys.path])
    values = {"DN_FAKE_devices": "2", "KEPT": str(folder / "kept.npz"), "TMPDIR": str(folder)}
    return subprocess.run(
        [sys.executable, "-m", "pydarknet", *words],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **GPU, **values, "PYTHONPATH": path, "XDG_CACHE_HOME": str(folder), **variables},
    )


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """Options of a training of 3 iterations in fp32."""
    data = shapes.data_set(tmp_path / "ds", 4, 2)
    cfg = shapes.cfg(tmp_path, 3, size=32, mosaic=0)
    more = "--force --no-plots --map-every 0 --last-every 1 --threads 1 --workers 1 --precision fp32"
    return ["--cfg", str(cfg), "--data", str(data), *more.split()]


def test_workers_sum_their_gradients_on_the_gpus(tmp_path: Path, words: list[str]) -> None:
    """Both end with the same bits, which are those of one process to rounding, and of MPI's sum."""
    runs = {
        "alone": ("--device", "cuda"),
        "mpi": ("--device", "cuda", "--processes", "2"),
        "nccl": ("--devices", "1,0"),
    }
    states = {}
    for name, how in runs.items():
        missing = {"DN_FAKE_nccl": "2804"} if name == "mpi" else {}
        done = command(tmp_path, *words, "--out", str(tmp_path / name), *how, **missing)
        assert done.returncode == 0, done.stderr
        if name == "nccl":
            assert "gradients are summed by NCCL 2.27.3 on the GPUs" in done.stdout
        if name == "mpi":
            assert "gradients are summed by MPI in main memory (worker 0: found NCCL 2.8.4" in done.stdout
        states[name] = checkpoint.load(tmp_path / name / "weights/shapes_last.state").trainer["arrays"]
    other = np.load(tmp_path / "kept.npz")
    assert len(other.files) > 10
    assert all(np.array_equal(states["nccl"][name], other[name]) for name in other.files)
    for name, array in states["alone"].items():
        scale = 1 if name.startswith("parameters") else max(1, float(np.abs(array).max()))
        assert float(np.abs(array - states["nccl"][name]).max()) < 1e-6 * scale, name
        assert np.array_equal(states["mpi"][name], states["nccl"][name]), name  # of two, sums are the same


def test_darknets_command_line_with_several_gpus(tmp_path: Path) -> None:
    """Each computes its part; where they cannot share a training, the first computes alone, with a note."""
    data, cfg = shapes.data_set(tmp_path / "ds", 4, 2), shapes.cfg(tmp_path, 2, size=32, mosaic=0)
    data.write_text(f"{data.read_text()}\nbackup = {tmp_path / 'run'}\n")
    done = run(tmp_path, "detector", "train", str(data), str(cfg), "-gpus", "1,0", "-force", "-dont_show")
    assert done.returncode == 0, done.stderr
    assert "gradients are summed by NCCL 2.27.3 on the GPUs" in done.stdout
    assert checkpoint.load(tmp_path / "run/weights/shapes_last.state").trainer["iteration"] == 2

    whole = shapes.cfg(tmp_path / "ds", 2, subdivisions=1)
    for gpus, words, note in (
        ("0,1", [str(whole)], "computing on GPU 0 alone: 1 subdivisions cannot be divided by 2"),
        ("1,2", [str(cfg)], 'computing on GPU 1 alone: backend "cuda:2" is not available: found device 2'),
    ):
        refused = run(tmp_path, "detector", "train", str(tmp_path / "gone.data"), *words, "-gpus", gpus)
        assert refused.returncode == 1
        assert f"note: -gpus {gpus}: " in refused.stderr
        assert note in refused.stderr
        assert "gone.data" in refused.stderr


def test_a_worker_that_dies_in_the_sum_ends_the_other(tmp_path: Path, words: list[str]) -> None:
    more = ("--out", str(tmp_path / "run"), "--devices", "0,1", "--worker-timeout", "1")
    done = command(tmp_path, *words, *more, VICTIM="1")
    assert done.returncode == 9, done.stderr
    assert "worker 1 of 2 gave no sign of life in 1 s" in done.stderr


def test_workers_do_not_share_a_gpu(tmp_path: Path, words: list[str]) -> None:
    """As many workers as GPUs, whoever starts them."""
    wrong = command(tmp_path, *words, "--device", "cuda", "--processes", "3")
    assert wrong.returncode == 1
    assert "error: found 2 GPUs for 3 workers on this machine, expected one for each" in wrong.stderr
    one = command(tmp_path, *words, "--device", "cuda:1", "--processes", "2")
    assert "found 1 GPU for 2 workers on this machine" in one.stderr
    gone = command(tmp_path, *words, "--devices", "0,2")
    assert "found device 2, expected 0 to 1" in gone.stderr


@pytest.mark.parametrize(
    "name", ["resumed", "elsewhere", "overflows", "spikes", "learns", "composed", "ampere"]
)
def test_training_on_fakes(name: str, tmp_path: Path) -> None:
    if name == "resumed":
        assert called("killed", tmp_path).returncode == -signal.SIGKILL
    arch, precision = (80, "bf16") if name == "ampere" else (75, "fp16")
    done = called(name, tmp_path, DN_FAKE_arch=str(arch))
    assert done.returncode == 0, done.stdout + done.stderr
    where = f"computing on cuda (fake GPU (sm_{arch}), cuDNN 9.10.2), {precision}, 1 threads"
    assert done.stdout.startswith(where)


def called(name: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a function of this file in a process that finds the fakes."""
    values = {**GPU, "XDG_CACHE_HOME": str(folder / "cache"), **variables}
    return subprocess.run(
        [sys.executable, __file__, name, folder],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **values, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]))
