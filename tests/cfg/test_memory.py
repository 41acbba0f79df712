# SPDX-License-Identifier: Apache-2.0
"""The memory forecast: its terms by hand, and its sum against a real process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pydarknet import cfg
from pydarknet.cfg import parse
from pydarknet.cfg.memory import inference_memory, largest_size, smallest_subdivisions, training_memory
from pydarknet.engine._core import build_info
from pydarknet.engine.memory import free_memory
from pydarknet.errors import BackendError, CfgError

NET = "[net]\nbatch=8\nsubdivisions=2\nwidth=32\nheight=32\nchannels=3\n"
CONV = "[conv]\nfilters=4\nsize=3\npad=1\nactivation=leaky\n"


def test_parameters_and_their_updates_by_hand() -> None:
    need = training_memory(parse(NET + CONV))
    assert need.parameters == 4 * (4 + 4 * 27)
    adam = training_memory(parse(NET.replace("batch=8", "batch=8\nadam=1\nema_alpha=.9") + CONV))
    assert adam.plan - need.plan == 3 * need.parameters, "two moments and the moving average"


def test_outputs_grow_with_the_mini_batch() -> None:
    """``ref`` keeps the input, every output with its gradient, and the gradients of the weights."""
    outputs, inputs, weights = 4 * 32 * 32, 3 * 32 * 32, 4 + 4 * 27
    for subdivisions, mini in ((8, 1), (4, 2), (1, 8)):
        need = training_memory(parse(NET + CONV), 8, subdivisions, backend="ref").plan
        assert need == 4 * (mini * (inputs + 2 * outputs) + weights)


def test_a_backend_is_asked_in_its_own_precisions() -> None:
    with pytest.raises(BackendError, match='"ref": found precision bf16, expected fp32 or auto'):
        inference_memory(parse(NET + CONV), precision="bf16", backend="ref")
    wide = parse(NET + CONV.replace("filters=4", "filters=64"))
    for backend in build_info()["backends"]:
        if backend["available"] and "bf16" in [one["name"] for one in backend["precisions"]]:
            full, half = (
                training_memory(wide, precision=precision, backend=backend["name"]).plan
                for precision in ("fp32", "bf16")
            )
            assert half < 0.7 * full


def test_random_sizes_are_counted_at_the_largest() -> None:
    head = "[conv]\nfilters=18\n[yolo]\nclasses=1\nmask=0,1,2\nnum=3\n"
    fixed, moving = parse(NET + head), parse(NET + head + "random=1\n")
    assert training_memory(moving).plan > training_memory(fixed).plan
    assert training_memory(moving, largest=False) == training_memory(fixed)


@pytest.mark.parametrize(("size", "largest"), [(416, 608), (608, 896)])
def test_the_largest_size_is_darknets(size: int, largest: int) -> None:
    assert largest_size(cfg.yolov3(1, size)) == (largest, largest)
    assert largest_size(cfg.yolov4_tiny(1, size)) == (size, size), "random=0"


def test_detection_uses_buffers_again(backend: str) -> None:
    """Ten layers in a row need as many buffers as nine, where each has no buffer of its own."""
    one = inference_memory(parse(NET + CONV * 10), backend=backend).plan
    more = inference_memory(parse(NET + CONV * 11), backend=backend).plan - one
    output, weights = 4 * 4 * 32 * 32, 4 * (4 + 4 * 4 * 9)
    assert more == (output if backend == "ref" else weights)


def test_the_smallest_number_of_subdivisions_that_fits() -> None:
    network = cfg.yolov4_tiny(3)
    limit = training_memory(network, 64, 8).total
    assert smallest_subdivisions(network, limit) == 8
    assert smallest_subdivisions(network, limit - 1) == 16
    assert smallest_subdivisions(network, 2**20) is None
    assert smallest_subdivisions(network, limit, workers=16) == 16
    assert smallest_subdivisions(network, 2**40, workers=4) == 4
    assert smallest_subdivisions(network, 2**40, workers=3) is None  # 64 images


def test_a_batch_that_does_not_divide_is_an_error() -> None:
    with pytest.raises(CfgError, match=r"<cfg>:2 \[net\] batch: 8 is not divisible by 3 subdivisions"):
        training_memory(parse(NET + CONV), subdivisions=3)


def test_the_system_reports_what_is_free() -> None:
    free = free_memory()
    assert (free is None) == (not Path("/proc/meminfo").exists())
    assert free is None or 2**20 < free < 2**50


PEAK = "print([x for x in open('/proc/self/status') if x.startswith('VmHWM')][0].split()[1])\n"
HEAD = (
    "import sys, numpy as np\n"
    "from pydarknet import BackendError, Network\n"
    "network = Network(sys.argv[1], precision='fp32')\n"
)
DETECT = HEAD + "network.predict(np.zeros((1, 3, 256, 256), np.float32))\n" + PEAK
TRAIN = (
    HEAD
    + (
        "truths = np.zeros((4, 9, 6), np.float32)\n"
        "truths[:, 0, :4] = 0.5, 0.5, 0.3, 0.3\n"
        "try:\n"
        "    trainer = network.trainer()\n"
        "    for _ in range(2):\n"
        "        trainer.accumulate(np.full((4, 3, 256, 256), 0.5, np.float32), truths)\n"
        "except BackendError:\n"
        "    sys.exit(3)\n"
        "trainer.update()\n"
    )
    + PEAK
)


def _peak(*arguments: str | Path) -> int:
    """Largest resident set of a process, in bytes."""
    if not Path("/proc/self/status").exists():
        pytest.skip("this system does not tell a process's largest resident set")
    command = [sys.executable, "-c", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 3:
        pytest.skip("the cpu backend of this build does not train")
    assert done.returncode == 0, done.stderr
    return int(done.stdout) * 1024


@pytest.mark.parametrize("name", ["yolov4-tiny", "yolov7-tiny"])
def test_detection_needs_what_the_model_says(name: str, tmp_path: Path) -> None:
    network = cfg.new(name, 80, 256)
    network.save(tmp_path / "a.cfg")
    assert inference_memory(network).total == pytest.approx(_peak(DETECT, tmp_path / "a.cfg"), rel=0.15)


@pytest.mark.parametrize("name", ["yolov4-tiny", "yolov7-tiny"])
def test_training_needs_what_the_model_says(name: str, tmp_path: Path) -> None:
    network = cfg.new(name, 80, 256, batch=4, subdivisions=1)
    network.save(tmp_path / "a.cfg")
    need = training_memory(network, largest=False).total
    assert need == pytest.approx(_peak(TRAIN, tmp_path / "a.cfg", "train"), rel=0.15)


@pytest.mark.parametrize(
    ("net", "head", "message"),
    [
        ("width=32", "random=1e9", "exceed 2147483647 pixels per side"),
        ("width=99999999999", "", "exceed 2147483647 pixels per side"),
        ("width=32\nbatch=99999999999", "", "99999999999 exceeds 2147483647"),
    ],
)
def test_sizes_beyond_an_int(net: str, head: str, message: str) -> None:
    text = f"[net]\n{net}\nheight=32\nchannels=3\n[convolutional]\nfilters=18\n[yolo]\nmask=0,1,2\n{head}\n"
    with pytest.raises(CfgError, match=message):
        training_memory(parse(text))
