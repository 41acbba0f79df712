# SPDX-License-Identifier: Apache-2.0
"""A trainer and its network: turns, ends, sizes, and the state of one in another."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest

from pydarknet import ArgumentError, Network
from pydarknet.engine.trainer import Trainer

CFG = (
    "[net]\nwidth=8\nheight=8\nchannels=3\nlearning_rate=0.001\nmomentum=0.9\n"
    "[convolutional]\nfilters=4\nsize=3\npad=1\nactivation=leaky\n[cost]\ntype=sse\n"
)


@pytest.fixture
def network(tmp_path: Path, backend: str) -> Network:
    (tmp_path / "net.cfg").write_text(CFG)
    return Network(tmp_path / "net.cfg", backend=backend, precision="fp32", threads=1)


def step(trainer: Trainer, side: int = 8) -> float:
    cost = trainer.accumulate(np.full((2, 3, side, side), 0.5, np.float32), np.zeros((2, 4 * side * side)))
    trainer.update()
    return cost


def test_inference_follows_the_updates(network: Network) -> None:
    x = np.full((1, 3, 8, 8), 0.5, np.float32)
    before = network.predict(x, [0])[0]
    trainer = network.trainer()
    costs = [step(trainer) for _ in range(3)]
    assert costs[2] < costs[0]
    assert (trainer.iteration, trainer.seen) == (3, 6)
    assert np.abs(network.predict(x, [0])[0]).sum() < np.abs(before).sum()  # towards the truths, which are 0


def test_weights_have_one_trainer_at_a_time(network: Network) -> None:
    with network.trainer():
        for other in (network, network.clone()):
            with pytest.raises(ArgumentError, match="train"):
                other.trainer()
    with network.trainer() as trainer:
        step(trainer)


def test_a_closed_trainer_leaves_its_network(network: Network) -> None:
    trainer = network.trainer()
    trainer.close()
    trainer.close()
    with pytest.raises(ArgumentError, match="the trainer is closed, or its network"):
        trainer.update()
    assert network.predict(np.zeros((1, 3, 8, 8)), [0])[0].shape == (1, 4 * 8 * 8)


def test_a_closed_network_ends_its_trainer(network: Network) -> None:
    trainer = network.trainer()
    network.close()
    for call in (trainer.update, trainer.state, trainer.losses, lambda: trainer.iteration):
        with pytest.raises(ArgumentError, match="closed"):
            call()
    with pytest.raises(ArgumentError, match="the network is closed"):
        network.trainer()


def test_a_forgotten_trainer_is_freed_at_once(network: Network) -> None:
    """Its memory does not wait for the collector of cycles."""
    gc.disable()
    try:
        network.trainer()
        step(network.trainer())
    finally:
        gc.enable()


def test_the_size_that_is_trained_is_not_that_of_the_network(network: Network) -> None:
    trainer = network.trainer()
    trainer.resize(12, 12)
    with pytest.raises(ArgumentError, match=r"of shape \(2, 3, 8, 8\), expected \(n, 3, 12, 12\)"):
        step(trainer)
    step(trainer, 12)
    assert (network.info.width, network.info.height) == (8, 8)
    assert trainer.output(0).shape == (2, 4 * 12 * 12)


def test_a_state_in_another_network(network: Network, tmp_path: Path) -> None:
    first = network.trainer()
    step(first)
    with Network(tmp_path / "net.cfg", backend="ref", threads=1) as twin:
        second = twin.trainer()
        second.load_state(first.state())
        assert (second.iteration, second.seen) == (1, 2)
        expected, found = first.state()["arrays"], second.state()["arrays"]
        assert expected.keys() == found.keys()
        assert any(name.startswith("gradients/") for name in found)
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array, name)


def test_a_state_is_taken_between_updates(network: Network) -> None:
    trainer = network.trainer()
    trainer.accumulate(np.zeros((2, 3, 8, 8)), np.zeros((2, 4 * 8 * 8)))
    with pytest.raises(ArgumentError, match=r"2 images are accumulated; take the state after update\(\)"):
        trainer.state()


def test_announced_images_change_no_result(network: Network) -> None:
    images, truths = np.random.default_rng(1).random((2, 2, 3, 8, 8), np.float32), np.zeros((2, 4 * 8 * 8))
    with network.trainer() as trainer:
        with pytest.raises(ArgumentError, match=r"found images of shape \(2, 3, 8, 9\), expected \(n, 3"):
            trainer.announce(np.zeros((2, 3, 8, 9), np.float32))
        expected = [trainer.accumulate(x, truths) for x in images]
        for following in (images[1], images[0][:1]):
            trainer.announce(following)
            assert [trainer.accumulate(x, truths) for x in images] == expected


def test_nothing_to_read_before_the_first_mini_batch(network: Network) -> None:
    with pytest.raises(ArgumentError, match="nothing was accumulated yet"):
        network.trainer().output(0)


def test_repr(network: Network) -> None:
    assert repr(network.trainer()) == f"Trainer({network!r})"
