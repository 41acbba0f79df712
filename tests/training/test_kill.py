# SPDX-License-Identifier: Apache-2.0
"""Twenty times killed, at any instant: the run ends with the bits of one that was left alone."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import shapes

import pydarknet
from pydarknet import TrainConfig
from pydarknet.training import checkpoint, train

ROOT = Path(pydarknet.__file__).parents[1]
KILLS = 20
LENGTH = 300
SCRATCH = ".shapes_last."  # the folder in which a state is written; a weights file is called .tmp-


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    """Saves after every iteration; the folder is reached by a link and has spaces in its name."""
    place = tmp_path / "My Drive" / "x y"
    data = shapes.data_set(place / "ds")
    cfg = shapes.cfg(place, LENGTH, random=1, size=32)
    (tmp_path / "link to it").symlink_to(place)
    out = tmp_path / "link to it" / "run"
    return TrainConfig(
        cfg,
        data,
        out=out,
        threads=1,
        workers=1,
        last_every=1,
        map_every=50,
        force=True,
        precision="fp32",
        plots=False,
    )


def start(config: TrainConfig) -> subprocess.Popen[bytes]:
    """The training in a process of its own."""
    words = [sys.executable, "-m", "pydarknet", "train", "--quiet", "--force", "--no-plots"]
    for name in ("cfg", "data", "out", "last_every", "map_every", "threads", "workers", "precision"):
        words += [f"--{name.replace('_', '-')}", str(getattr(config, name))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment)


def half_written(weights: Path) -> set[str]:
    """Files with a temporary name."""
    names = {path.name for path in weights.iterdir()} if weights.is_dir() else set()
    return {name for name in names if name.startswith(SCRATCH) or ".tmp-" in name}


def kill(config: TrainConfig, when: str, rng: random.Random) -> str:
    """Start the training, kill it at the wanted kind of instant, and return at what kind it was."""
    weights = Path(config.out or "") / "weights"
    state = weights / "shapes_last.state"
    process = start(config)
    before, left = state.stat().st_mtime_ns if state.exists() else 0, half_written(weights)
    if when == "start-up":
        time.sleep(rng.random() * 0.3)
    else:
        while process.poll() is None and not (state.exists() and state.stat().st_mtime_ns != before):
            time.sleep(0.001)
        time.sleep(rng.random() * 0.05)
        while when == "save" and process.poll() is None and not half_written(weights) - left:
            pass
    ended = process.poll() is not None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    if ended:
        return "too late"
    if half_written(weights) - left:
        return "save"
    moved = state.exists() and state.stat().st_mtime_ns != before
    return "between" if moved else "start-up"


@pytest.mark.slow
def test_sigkill_at_random_instants(config: TrainConfig) -> None:
    """In start-up, between and during saves: the state is complete, and no temporary files are left."""
    reference = train(replace(config, out=Path(config.out or "").with_name("reference")))
    rng = random.Random(5)
    wanted = ["start-up"] * 4 + ["any"] * 8 + ["save"] * 8
    rng.shuffle(wanted)
    hit: Counter[str] = Counter()
    state = Path(config.out or "") / "weights/shapes_last.state"
    reached = 0
    for when in wanted:
        hit[kill(config, when, rng)] += 1
        if state.exists():
            iteration = checkpoint.load(state).trainer["iteration"]
            assert reached <= iteration < LENGTH
            reached = iteration
    assert hit["too late"] == 0, hit
    assert hit["save"] >= 3, hit
    assert hit["start-up"] >= 2, hit
    assert sum(hit.values()) == KILLS
    outcome = train(config)
    assert (outcome.reason, outcome.iteration) == ("finished", LENGTH)
    states = [checkpoint.load(o.folder / "weights/shapes_last.state") for o in (outcome, reference)]
    first, second = (found.trainer["arrays"] for found in states)
    assert first.keys() == second.keys()
    assert all((first[name] == second[name]).all() for name in second)
    assert states[0].meta["training"] == states[1].meta["training"]
    assert outcome.weights["final"].read_bytes() == reference.weights["final"].read_bytes()
    left = {path.name for path in state.parent.iterdir()}
    weights = {f"shapes_{kind}.weights" for kind in ("last", "best", "final")}
    assert left == {"shapes_last.state", "shapes_best.json", *weights}
