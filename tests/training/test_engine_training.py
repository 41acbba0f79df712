# SPDX-License-Identifier: Apache-2.0
"""The engine under training: bf16 beside fp32, repetition, and memory under dynamic resize."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pydarknet import Network
from pydarknet.engine import _core
from pydarknet.engine.trainer import Trainer
from pydarknet.training.loader import network_size

pytestmark = pytest.mark.skipif(
    "cpu" not in _core.backend_names(), reason="this build has no backend cpu (oneDNN was not found)"
)

NORM = "batch_normalize=1\npad=1\nsize=3\nactivation=leaky\n"
CFG = (
    "[net]\nbatch=4\nwidth=64\nheight=64\nchannels=3\nlearning_rate={rate}\nmomentum=0.9\ndecay=0.0005\n"
    f"[convolutional]\nfilters=16\nstride=2\n{NORM}[convolutional]\nfilters=32\nstride=2\n{NORM}"
    f"[maxpool]\nsize=2\nstride=2\n[convolutional]\nfilters=32\nstride=1\n{NORM}"
    "[convolutional]\nfilters=7\nsize=1\nactivation=linear\n"
    "[yolo]\nmask=0\nnum=1\nanchors=16,16\nclasses=2\niou_loss=ciou\niou_normalizer=0.07\n"
)


def squares(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise with one bright (class 0) or dark (class 1) square of a quarter of the side in each image."""
    random = np.random.default_rng(3)
    images = random.uniform(0.4, 0.6, (count, 3, 64, 64)).astype(np.float32)
    truths = np.zeros((count, 2, 6), np.float32)
    for image, rows in zip(images, truths, strict=True):
        left, top, label = random.integers(0, 48), random.integers(0, 48), random.integers(0, 2)
        image[:, top : top + 16, left : left + 16] = 1 - label
        rows[0] = ((left + 8) / 64, (top + 8) / 64, 0.25, 0.25, label, 0)
    return images, truths


def make_trainer(folder: Path, precision: str, rate: float = 0.005) -> Trainer:
    cfg = folder / "net.cfg"
    cfg.write_text(CFG.format(rate=rate))
    return Network(cfg, backend="cpu", precision=precision, threads=2).trainer()


def trained(folder: Path, precision: str, updates: int = 80) -> tuple[list[float], Trainer]:
    """The costs of a run, and its trainer."""
    trainer = make_trainer(folder, precision)
    images, truths = squares(32)
    costs = []
    for update in range(updates):
        at = slice(update * 4 % 32, update * 4 % 32 + 4)
        costs.append(trainer.accumulate(images[at], truths[at]))
        trainer.update()
    return costs, trainer


def gradients(trainer: Trainer) -> dict[str, np.ndarray]:
    """Those that the last update left behind, with its momentum."""
    return {name: array for name, array in trainer.state()["arrays"].items() if name.startswith("gradients/")}


def test_bf16_learns_and_repeats_itself(tmp_path: Path) -> None:
    rounded, second = trained(tmp_path, "bf16")
    again, third = trained(tmp_path, "bf16")
    with second, third:
        assert rounded == again
        for name, array in second.state()["arrays"].items():
            np.testing.assert_array_equal(array, third.state()["arrays"][name], name)
        assert np.mean(rounded[-8:]) < np.mean(rounded[:8]) / 4


@pytest.mark.parametrize("updates", [0, 8, 16, 40])
def test_bf16_steps_as_fp32_does_from_the_same_state(tmp_path: Path, updates: int) -> None:
    """Two runs drift apart, whatever rounds them; one step from the same state must not."""
    images, truths = squares(4)
    _, exact = trained(tmp_path, "fp32", updates)
    with exact, make_trainer(tmp_path, "bf16") as rounded:
        rounded.load_state(exact.state())
        cost = rounded.accumulate(images, truths)
        assert cost == pytest.approx(exact.accumulate(images, truths), rel=0.1)
        exact.update()
        rounded.update()
        found = gradients(rounded)
        for name, expected in gradients(exact).items():
            assert np.linalg.norm(found[name] - expected) <= 0.25 * np.linalg.norm(expected), name


def test_bf16_keeps_weights_in_float32(tmp_path: Path) -> None:
    """Steps far below what bf16 resolves move the weights all the same, and add up."""
    images, truths = squares(4)
    with make_trainer(tmp_path, "bf16", rate=1e-7) as trainer:
        before = trainer.network.parameters(0)["weights"]
        for _ in range(3):
            trainer.accumulate(images, truths)
            trainer.update()
        moved = np.abs(trainer.network.parameters(0)["weights"] - before)
        assert moved.dtype == np.float32
        assert (moved > 0).mean() > 0.9
        assert (moved < np.abs(before) / 2**9).mean() > 0.9


@pytest.mark.parametrize("random", [1, 1.2, 2])
def test_the_largest_size_comes_first(random: float) -> None:
    size = network_size((416, 320), random, 32, 1000, seed=7)
    sizes = [size(iteration) for iteration in range(1000)]
    assert len(set(sizes)) > 3
    assert all(w <= sizes[0][0] and h <= sizes[0][1] for w, h in sizes)


RESIZE = """
import sys
import numpy as np
from pydarknet import Network

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

trainer = Network(sys.argv[1], backend="cpu", precision="fp32", threads=2).trainer()
truths = np.zeros((2, 1, 6), np.float32)
peaks = []
for side in 2 * (512, 416, 320, 448, 352, 480):
    images = np.full((2, 3, side, side), 0.5, np.float32)
    trainer.resize(side, side)
    trainer.accumulate(images, truths)
    trainer.update()
    peaks.append(peak())
print(*peaks)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_memory_that_suffices_for_the_largest_size_suffices_for_all(tmp_path: Path) -> None:
    make_trainer(tmp_path, "fp32").close()
    command = [sys.executable, "-c", RESIZE, tmp_path / "net.cfg"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    peaks = [int(word) for word in out.split()]
    assert max(peaks) <= peaks[0] + 20_000, peaks  # KiB: oneDNN's code for each size
    assert max(peaks) <= 1.03 * max(peaks[:7]), peaks
