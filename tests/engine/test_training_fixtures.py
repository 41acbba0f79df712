# SPDX-License-Identifier: Apache-2.0
"""Losses, gradients, updates and learning rates equal those computed with Darknet."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from pydarknet import Network
from pydarknet.engine.trainer import Trainer

FOLDER = Path(__file__).parents[1] / "fixtures"
ROLES = {"weight": "weights", "bias": "biases", "scale": "scales"}
COST, DELTA, GRADIENT, FIRST_UPDATE, LAST_UPDATE = 1e-5, 1e-4, 1e-4, 1e-5, 1e-3


def distance(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference, relative to the largest value expected."""
    return float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-12))


def check_weights(net: Network, cfg: Path, weights: Path, tolerance: float) -> None:
    expected = Network(cfg, weights, backend="ref")
    for layer in range(len(net.layers)):
        found = net.parameters(layer)
        for role, array in expected.parameters(layer).items():
            assert distance(found[role], array) <= tolerance, (weights.name, layer, role)


def check_first_iteration(trainer: Trainer, numbers: dict[str, np.ndarray], part: int) -> None:
    for key, expected in numbers.items():
        if key.startswith(f"output_sub{part}_"):
            assert distance(trainer.output(int(key[-3:])), expected) <= DELTA, key
        if key.startswith(f"delta_sub{part}_"):
            assert distance(trainer.delta(int(key[-3:])), expected) <= DELTA, key


@pytest.mark.parametrize("name", sorted(path.stem for path in (FOLDER / "train").glob("*.npz")))
def test_training_equals_darknet(backend: str, name: str) -> None:
    """Costs, deltas of the heads, accumulated gradients, weights after the first and the last update."""
    cfg = FOLDER / "train" / f"{name}.cfg"
    numbers = dict(np.load(cfg.with_suffix(".npz")))
    steps = sum(key.startswith("rate_step") for key in numbers)
    parts = sum(key.startswith("cost_step0_") for key in numbers)
    images = np.split(numbers["images"], steps * parts)
    truths = np.split(numbers["truths"], steps * parts)
    trainer = Network(cfg, cfg.with_suffix(".weights"), backend=backend, precision="fp32").trainer()
    for step in range(steps):
        for part in range(parts):
            at = step * parts + part
            cost = trainer.accumulate(images[at], truths[at])
            expected = float(numbers[f"cost_step{step}_sub{part}"][0])
            assert cost == pytest.approx(expected, rel=COST if step == 0 else LAST_UPDATE)
            if step == 0:
                check_first_iteration(trainer, numbers, part)
        if step == 0:
            for key, expected in numbers.items():
                if "_updates_layer" in key:
                    found = trainer.gradients(int(key[-3:]))[ROLES[key.split("_")[1]]]
                    assert distance(found, expected) <= GRADIENT, key
        trainer.update()
        assert trainer.rate == pytest.approx(float(numbers[f"rate_step{step}"][0]))
        after = cfg.with_name(f"{name}.step{step + 1}.weights")
        if after.exists():
            check_weights(trainer.network, cfg, after, FIRST_UPDATE if step == 0 else LAST_UPDATE)


@pytest.mark.parametrize("name", sorted(path.stem for path in (FOLDER / "schedule").glob("*.csv")))
def test_rates_equal_darknets(name: str) -> None:
    """Every policy, with and without burn-in, and beyond the end."""
    cfg = FOLDER / "schedule" / f"{name}.cfg"
    trainer = Network(cfg, backend="ref").trainer()
    state = trainer.state()
    with cfg.with_suffix(".csv").open() as file:
        for row in csv.DictReader(file):
            trainer.load_state({**state, "iteration": int(row["iteration"])})
            assert trainer.rate == pytest.approx(float(row["rate"]), rel=1e-5, abs=1e-12), row
