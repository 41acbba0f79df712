# SPDX-License-Identifier: Apache-2.0
"""Validation loss: equal to the training's own loss on the same images, and without any effect on it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapes

from pydarknet import Network, TrainConfig
from pydarknet.cfg import CfgFile
from pydarknet.data import Sample, read
from pydarknet.data.album import ImageCache
from pydarknet.data.splits import Splits
from pydarknet.engine.images import load
from pydarknet.errors import ArgumentError
from pydarknet.evaluation.collect import collect
from pydarknet.training import train, truth_boxes, validation_loss


@pytest.fixture
def valid(tmp_path: Path) -> tuple[Sample, ...]:
    return Splits.of(read(shapes.data_set(tmp_path / "ds", valid=5))).valid


def plain(folder: Path, loss: str = "ciou", batch_norm: bool = False) -> Path:
    """The network of the other tests; without batch norm training and inference compute the same."""
    cfg = shapes.cfg(folder)
    text = cfg.read_text().replace("iou_loss=ciou", f"iou_loss={loss}")
    cfg.write_text(text if batch_norm else text.replace("batch_normalize=1\n", ""))
    return cfg


def planes(network: Network, valid: tuple[Sample, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The validation set as one mini-batch."""
    images = ImageCache(valid, 3)
    x = np.stack([network.preprocess(load(sample.image, 3)) for sample in valid])
    return x, np.stack([truth_boxes.packed(images.boxes(i), 200) for i in range(len(valid))])


@pytest.mark.parametrize("backend", ["ref", "cpu"])
@pytest.mark.parametrize("loss", ["ciou", "mse"])
def test_equals_the_loss_of_training(
    tmp_path: Path, valid: tuple[Sample, ...], loss: str, backend: str
) -> None:
    """The same number as a mini-batch of all validation images gives in training."""
    cfg = plain(tmp_path, loss)
    with Network(cfg, backend=backend, precision="fp32", threads=1) as network:
        meter = validation_loss.LossMeter(CfgFile.load(cfg), len(valid))
        collect(network, ImageCache(valid, 3), detect=meter.detect)
        trainer = network.trainer()
        cost = trainer.accumulate(*planes(network, valid))
        (report,) = trainer.losses()
    found = meter.result()
    assert found is not None
    assert found.loss == pytest.approx(cost / len(valid), rel=1e-5)
    assert found.class_loss == pytest.approx(report.class_loss / len(valid), rel=1e-5)
    assert found.iou_loss == pytest.approx(report.iou_loss / len(valid), rel=1e-4, abs=1e-4)


def test_mean_of_mini_batches(tmp_path: Path, valid: tuple[Sample, ...]) -> None:
    """Without boxes nothing is a mean over predictions: any mini-batch gives the mean over the images."""
    cfg = plain(tmp_path, "mse")
    with Network(cfg, threads=1, precision="fp32") as network:
        x, t = planes(network, valid)
        trainer = network.trainer()
        singles = [trainer.accumulate(x[i : i + 1], t[i : i + 1]) for i in range(len(x))]
        meter = validation_loss.LossMeter(CfgFile.load(cfg), 2)
        collect(network, ImageCache(valid, 3), detect=meter.detect)
    found = meter.result()
    assert found is not None
    assert found.loss == pytest.approx(np.mean(singles), rel=1e-5)


def test_nothing_is_learned(tmp_path: Path, valid: tuple[Sample, ...]) -> None:
    """The state of the training has the same bits before and after, rolling statistics and counters too."""
    with Network(plain(tmp_path, batch_norm=True), threads=1) as network:
        x, t = planes(network, valid)
        trainer = network.trainer()
        trainer.accumulate(x, t)
        trainer.update()
        before = trainer.state()
        meter = validation_loss.LossMeter(CfgFile.load(network.cfg), 2)
        collect(network, ImageCache(valid, 3), detect=meter.detect)
        after = trainer.state()
    assert (before["iteration"], before["seen"]) == (after["iteration"], after["seen"])
    for name, array in before["arrays"].items():
        assert (array == after["arrays"][name]).all(), name


def test_training_ends_with_the_same_weights(tmp_path: Path) -> None:
    """A run that is evaluated after every iteration learns what one without evaluations learns."""
    data, cfg = shapes.data_set(tmp_path / "ds"), shapes.cfg(tmp_path, 6)
    config = TrainConfig(cfg, data, out=tmp_path / "with", threads=1, force=True, map_every=1, plots=False)
    first = train(config)
    second = train(replace(config, out=tmp_path / "without", map_every=0))
    assert first.weights["final"].read_bytes() == second.weights["final"].read_bytes()


def test_truths_in_a_letter_box() -> None:
    """An image of 100 x 50 in a net of 64 x 64 has 16 pixels of border above and below."""
    boxes = np.array([[0.5, 0.5, 0.2, 0.4, 1], [0.25, 0.0, 0.5, 0.02, 2]])
    rows = validation_loss.table(boxes, (100, 50), (64, 64), True, 4)
    assert rows[0].tolist() == pytest.approx([0.5, 0.5, 0.2, 0.2, 1, 0])
    assert rows.shape == (4, 6)
    plain = validation_loss.table(boxes, (100, 50), (64, 64), False, 4)
    assert plain[0].tolist() == pytest.approx([0.5, 0.5, 0.2, 0.4, 1, 0])


def test_letter_box_is_that_of_the_engine(tmp_path: Path) -> None:
    """A white image on the grey border: the white part is where the truth of the whole image lies."""
    cfg = plain(tmp_path)
    for size in ((100, 50), (37, 90), (48, 48), (300, 14)):
        with Network(cfg, threads=1) as network:
            x = network.preprocess(np.full((size[1], size[0], 3), 255, np.uint8), letterbox=True)
            ys, xs = np.nonzero(x[0] > 0.9)
        whole = np.array([[0.5, 0.5, 1.0, 1.0, 0]])
        cx, cy, w, h = validation_loss.table(whole, size, (48, 48), True, 1)[0, :4] * 48
        edges = (cx - w / 2, cx + w / 2, cy - h / 2, cy + h / 2)
        assert edges == pytest.approx((xs.min(), xs.max() + 1, ys.min(), ys.max() + 1), abs=1e-4)


def test_losses_need_a_prediction(tmp_path: Path) -> None:
    """Truths of other than the predicted images are refused."""
    from pydarknet.engine import _core, _trainer
    from pydarknet.engine.handle import EngineOptions

    handle = _core.EngineHandle.load(str(plain(tmp_path)), None, EngineOptions())
    with pytest.raises(ArgumentError, match="found truths of 1 images, the last prediction had 0"):
        _trainer.losses(handle, np.zeros((1, 6), np.float32), 5)
    handle.close()


def test_fingerprint(tmp_path: Path) -> None:
    """The same set in another place has the same hash; another label has another."""
    first = Splits.of(read(shapes.data_set(tmp_path / "a"))).valid
    second = Splits.of(read(shapes.data_set(tmp_path / "b"))).valid
    assert validation_loss.fingerprint(first) == validation_loss.fingerprint(second)
    label = second[0].image.with_suffix(".txt")
    label.write_text(label.read_text().replace("0.", "0.0", 1))
    third = Splits.of(read(tmp_path / "b/obj.data")).valid
    assert validation_loss.fingerprint(third) != validation_loss.fingerprint(first)
    assert validation_loss.fingerprint(first[:-1]) != validation_loss.fingerprint(first)
