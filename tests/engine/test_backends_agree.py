# SPDX-License-Identifier: Apache-2.0
"""Backend cpu against ref in corners that published networks do not reach; gradients against differences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pydarknet import Network
from pydarknet.engine import _core
from pydarknet.engine.trainer import Trainer
from pydarknet.errors import BackendError, CfgError

pytestmark = pytest.mark.skipif(
    "cpu" not in _core.backend_names(), reason="this build has no backend cpu (oneDNN was not found)"
)

CONV = "[convolutional]\nfilters=8\nsize=3\npad=1\nactivation=linear\n"
# Darknet forgets the dilation in its shape.
MISREAD = "[convolutional]\nfilters=8\nsize=3\npadding=2\ndilation=2\nactivation=leaky\n"
SQUEEZE = "[avgpool]\n[scale_channels]\nfrom=-2\n"
SOFTMAX = "activation=normalize_channels_softmax\n"


def net(sections: str, width: int = 12, height: int = 8, keys: str = "") -> str:
    return f"[net]\nwidth={width}\nheight={height}\nchannels=3\n{keys}{sections}"


def output(cfg: str, backend: str, precision: str = "fp32") -> np.ndarray:
    with Network.parse(cfg, backend=backend, precision=precision, batch=2, threads=4) as network:
        info = network.info
        x = np.random.default_rng(5).random((2, info.channels, info.height, info.width), np.float32)
        return next(iter(network.predict(x).values()))


@pytest.mark.parametrize(
    "sections",
    [
        pytest.param(CONV + "[activation]\n" + SOFTMAX, id="normalised activation"),
        pytest.param(CONV + CONV + "[shortcut]\nfrom=-2\n" + SOFTMAX, id="normalised shortcut"),
        pytest.param(CONV + CONV + "[sam]\nfrom=-2\n" + SOFTMAX, id="normalised sam"),
        pytest.param(CONV + SQUEEZE + SOFTMAX, id="normalised scale_channels"),
        pytest.param(CONV + "[connected]\noutput=5\n" + SOFTMAX, id="normalised connected"),
        pytest.param(
            "[convolutional]\nfilters=8\nsize=1\npadding=3\nactivation=logistic\n", id="rows of padding alone"
        ),
        pytest.param(
            "[convolutional]\nfilters=8\nsize=2\npad=1\ndilation=3\nantialiasing=2\nactivation=mish\n",
            id="dilated and antialiased",
        ),
        pytest.param(
            CONV + MISREAD + "[route]\nlayers=-2\n" + MISREAD + "[shortcut]\nfrom=-3\nactivation=linear\n",
            id="misread windows and a shortcut",
        ),
    ],
)
def test_cpu_computes_what_ref_does(sections: str) -> None:
    expected = output(net(sections), "ref")
    np.testing.assert_allclose(output(net(sections), "cpu"), expected, atol=1e-4 * np.abs(expected).max())


def test_bf16_connected_reads_a_narrow_float_layer() -> None:
    cfg = net(CONV + "[connected]\noutput=48\nactivation=leaky\n")
    expected = output(cfg, "ref")
    try:
        found = output(cfg, "cpu", "bf16")
    except BackendError as error:  # only what the processor lacks is no failure
        if "needs a processor" in str(error):
            pytest.skip(str(error))
        raise
    np.testing.assert_allclose(found, expected, atol=0.03 * np.abs(expected).max())


def make_trainer(folder: Path, sections: str, backend: str, precision: str = "fp32") -> Trainer:
    cfg = folder / "net.cfg"
    cfg.write_text(net(sections, 6, 6, "learning_rate=0.1\nmomentum=0\ndecay=0\n"))
    return Network(cfg, backend=backend, precision=precision, threads=1).trainer()


def batch(outputs: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(6)
    return random.random((2, 3, 6, 6), np.float32), random.random((2, outputs), np.float32)


@pytest.mark.parametrize("activation", ["linear", "leaky", "swish", "mish", "gelu", "hard_mish", "logistic"])
@pytest.mark.parametrize("layer", ["sam", "scale_channels"])
def test_gradient_through_gates_is_that_of_differences(
    tmp_path: Path, backend: str, layer: str, activation: str
) -> None:
    gate = CONV + ("[avgpool]\n" if layer == "scale_channels" else CONV)
    sections = f"{gate}[{layer}]\nfrom=-2\nactivation={activation}\n[cost]\ntype=sse\n"
    x, truths = batch(8 * 6 * 6)
    with make_trainer(tmp_path, sections, backend) as trainer:
        state = trainer.state()
        trainer.accumulate(x, truths)
        gradient = trainer.gradients(0)["weights"]
        for index in (0, 50, 215):
            costs = []
            for step in (0.02, -0.02):
                arrays = {name: array.copy() for name, array in state["arrays"].items()}
                arrays["parameters/0/weights"][index] += step
                trainer.load_state({**state, "arrays": arrays})
                costs.append(trainer.accumulate(x, truths))
            # The cost is the sum of squares, the delta half its negative gradient.
            assert gradient[index] == pytest.approx(-(costs[0] - costs[1]) / 0.04 / 2, rel=0.02, abs=0.02)


def test_softmax_followed_by_cost_learns_from_both_as_in_darknet(tmp_path: Path, backend: str) -> None:
    plain = "[connected]\noutput=4\nactivation=linear\n[softmax]\n"
    x, _ = batch(4)
    truths = np.eye(4, dtype=np.float32)[[1, 3]]
    with make_trainer(tmp_path, plain, backend) as trainer:
        trainer.accumulate(x, truths)
        once = trainer.gradients(0)
    with make_trainer(tmp_path, plain + "[cost]\ntype=sse\n", backend) as trainer:
        trainer.accumulate(x, truths)
        twice = trainer.gradients(0)
    for role in ("weights", "biases"):
        np.testing.assert_allclose(twice[role], 2 * once[role], rtol=1e-4, atol=1e-5)


def test_crop_stops_gradients_and_nothing_else(tmp_path: Path, backend: str) -> None:
    sections = "[crop]\ncrop_width=4\ncrop_height=4\n[connected]\noutput=4\nactivation=linear\n[softmax]\n"
    with make_trainer(tmp_path, sections, backend) as trainer:
        trainer.accumulate(batch(4)[0], np.eye(4, dtype=np.float32)[[1, 3]])
        assert np.abs(trainer.gradients(1)["weights"]).max() > 0


def test_layer_without_a_loss_here_is_named(tmp_path: Path, backend: str) -> None:
    sections = CONV.replace("filters=8", "filters=7") + "[detection]\nclasses=2\ncoords=4\nside=6\n"
    with pytest.raises(CfgError, match=r"net.cfg:\d+ \[detection\]: cannot be trained: the loss of YOLOv1"):
        make_trainer(tmp_path, sections, backend)


def test_convolution_without_a_fast_kernel_still_trains(tmp_path: Path) -> None:
    odd = "[convolutional]\nfilters=1\nsize=5\npadding=5\nactivation=relu\n"
    sections = CONV + odd + "[connected]\noutput=4\nactivation=linear\n[softmax]\n"
    x, truths = batch(4)[0], np.eye(4, dtype=np.float32)[[1, 3]]
    found = []
    for backend in ("ref", "cpu"):
        with make_trainer(tmp_path, sections, backend) as trainer:
            trainer.accumulate(x, truths)
            found.append(trainer.gradients(1)["weights"])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-3, atol=1e-4)


def test_outputs_are_read_at_the_size_that_is_trained(tmp_path: Path, backend: str) -> None:
    with make_trainer(tmp_path, CONV + "[cost]\ntype=sse\n", backend) as trainer:
        trainer.resize(12, 9)
        trainer.accumulate(np.zeros((2, 3, 9, 12), np.float32), np.zeros((2, 8 * 9 * 12), np.float32))
        assert trainer.output(0).shape == trainer.delta(1).shape == (2, 8 * 9 * 12)


def test_check_is_no_backend_to_train_with(tmp_path: Path) -> None:
    with pytest.raises(
        BackendError, match='"check:cpu,ref" compares inference and cannot train; use "cpu" or "ref"'
    ):
        make_trainer(tmp_path, CONV + "[cost]\ntype=sse\n", "check:cpu,ref")


def test_truths_of_no_class_are_passed_over(tmp_path: Path, backend: str) -> None:
    head = "[yolo]\nmask=0\nnum=1\nanchors=2,2\nclasses=2\n"
    truths = np.zeros((2, 3, 6), np.float32)
    with make_trainer(tmp_path, CONV.replace("filters=8", "filters=7") + head, backend) as trainer:
        expected = trainer.accumulate(batch(1)[0], truths)
        for wrong in (-1, 2, 1e30, np.nan):
            truths[:, 0] = (0.5, 0.5, 0.3, 0.3, wrong, 0)
            assert trainer.accumulate(batch(1)[0], truths) == expected


def test_bf16_trains_a_convolution_behind_a_head(tmp_path: Path) -> None:
    sections = (
        f"{CONV.replace('filters=8', 'filters=14')}[yolo]\nmask=0,1\nnum=2\nanchors=2,2, 3,3\nclasses=2\n"
        f"{CONV.replace('filters=8', 'filters=14')}"
        "[yolo]\nmask=0,1\nnum=2\nanchors=2,2, 3,3\nclasses=2\n"
    )
    x, truths = batch(1)[0], np.zeros((2, 3, 6), np.float32)
    truths[:, 0] = (0.5, 0.5, 0.3, 0.3, 1, 0)
    with make_trainer(tmp_path, sections, "ref") as trainer:
        expected = trainer.accumulate(x, truths)
    with make_trainer(tmp_path, sections, "cpu", "bf16") as trainer:
        try:
            assert trainer.accumulate(x, truths) == pytest.approx(expected, rel=0.05)
        except BackendError as error:
            if "needs a processor" in str(error):
                pytest.skip(str(error))
            raise


@pytest.mark.parametrize(
    ("key", "first_update"),
    [("", 1), ("stopbackward=1", None), ("train_only_bn=1", None), ("stopbackward=2", 3)],
)
def test_a_key_holds_the_layers_in_front_as_well(
    tmp_path: Path, backend: str, key: str, first_update: int | None
) -> None:
    norm = CONV + "batch_normalize=1\n"
    with make_trainer(tmp_path, norm + norm + key + "\n" + CONV + "[cost]\ntype=sse\n", backend) as trainer:
        before = trainer.network.parameters(0)
        moved = []
        for update in range(1, 4):
            trainer.accumulate(*batch(8 * 6 * 6))
            trainer.update()
            now = trainer.network.parameters(0)
            if (now["weights"] != before["weights"]).any():
                moved.append(update)
            assert (now["means"] != before["means"]).any() == (key != "stopbackward=1")
            before = now
        assert (moved or [None])[0] == first_update
