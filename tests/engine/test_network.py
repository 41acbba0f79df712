# SPDX-License-Identifier: Apache-2.0
"""Network: what people call, what it answers, and how it ends."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import is_the_object

from pydarknet import ArgumentError, BackendError, DataError, Network
from pydarknet.engine import selftest
from pydarknet.system.memory import resident_memory

Make = Callable[..., Network]
LAYERS = Path(__file__).parents[1] / "fixtures" / "layers"


# -- detect and predict --------------------------------------------------------------------------------------


def test_detect_finds_the_object(tiny: Make, levels: np.ndarray, backend: str) -> None:
    with tiny(backend=backend, names=["thing"]) as network:
        dets = network.detect(levels, thresh=0.5)
        assert network(levels, thresh=0.5) == dets
    assert is_the_object(dets)
    assert dets.class_id.tolist() == [0]
    assert dets.names == ("thing",)
    assert (dets.xyxy.dtype, dets.confidence.dtype) == (np.float32, np.float32)
    assert dets.image_size == (4, 4)


def test_detect_of_a_list_gives_a_list(tiny: Make, levels: np.ndarray) -> None:
    with tiny(batch=2) as network:
        for images in ([levels] * 5, (levels,) * 5, iter([levels] * 5), (levels for _ in range(5))):
            found = network.detect(images, thresh=0.5)
            assert len(found) == 5
            assert all(is_the_object(dets) for dets in found)
        assert network.detect([]) == []


def test_an_iterator_is_read_batch_by_batch(tiny: Make, levels: np.ndarray) -> None:
    read: list[int] = []

    def images() -> Iterator[np.ndarray | str]:
        for number in range(9):
            read.append(number)
            yield levels if number < 3 else "gone.png"

    with tiny(batch=2) as network, pytest.raises(DataError, match=r"gone\.png"):
        network.detect(images())
    assert read == [0, 1, 2, 3]


def test_an_address_is_an_image(tiny: Make, levels: np.ndarray, pages: dict[str, bytes], url: str) -> None:
    pages["/levels.png"] = cv2.imencode(".png", levels)[1].tobytes()
    with tiny() as network:
        assert is_the_object(network.detect(f"{url}/levels.png", thresh=0.5))
        assert is_the_object(network.examine(f"{url}/levels.png", np.zeros((0, 6)), thresh=0.5)[0])
        assert np.array_equal(network.preprocess(f"{url}/levels.png"), network.preprocess(levels))


def test_boxes_scale_with_the_image(tiny: Make, levels: np.ndarray) -> None:
    """Corner-aligned resizing of a grid's repetition differs inside, but the box is relative to the image."""
    flat = np.full((12, 20), 255, np.uint8)
    with tiny() as network:
        dets = network.detect(flat, thresh=0.0, nms=0)
    # every cell of a white image has an object; the last cell's box is the image's right lower half
    np.testing.assert_allclose(dets.xyxy[-1], [10, 6, 20, 12], atol=1e-3)


def test_threshold_and_nms(tiny: Make, levels: np.ndarray) -> None:
    with tiny() as network:
        assert len(network.detect(levels, thresh=0.0)) == 4  # a box per cell; they do not overlap
        assert len(network.detect(levels, thresh=0.4)) == 2  # 0.4501660 * 0.9969815 is the next
        assert len(network.detect(levels, thresh=0.9)) == 0


def test_a_view_of_an_array_is_read_in_place(tiny: Make, levels: np.ndarray) -> None:
    big = np.zeros((9, 11), np.uint8)
    big[3:7, 2:6] = levels
    mirrored = levels[:, ::-1].copy()[:, ::-1]  # negative strides
    with tiny() as network:
        assert is_the_object(network.detect(big[3:7, 2:6], thresh=0.5))
        assert is_the_object(network.detect(mirrored, thresh=0.5))
        assert is_the_object(network.detect(np.asfortranarray(levels), thresh=0.5))


def test_predict_returns_the_heads_or_the_layers_asked_for(tiny: Make, backend: str) -> None:
    x = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4) / 15
    with tiny(backend=backend) as network:
        heads = network.predict(np.concatenate([x] * 3))
        assert list(heads) == [3]
        assert heads[3].shape == (3, 24)
        np.testing.assert_allclose(heads[3], [selftest._HEAD] * 3, atol=1e-5)
        both = network.predict(x, layers=[1, 3])
        np.testing.assert_allclose(both[1], [selftest._POOLED], atol=1e-5)
        np.testing.assert_allclose(both[3], [selftest._HEAD], atol=1e-5)
        assert network.outputs == (3,)


def sigmoid(raw: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-raw))


def test_predict_of_heads_returns_the_values_that_its_description_states(backend: str) -> None:
    """Of the raw values of the layer before: by planes for [yolo], cell by cell for [region]."""
    net = "[net]\nwidth=32\nheight=64\nchannels=3\n[convolutional]\nfilters=14\nsize=16\nstride=16\n"
    heads = {
        "yolo": "[yolo]\nmask=0,1\nnum=2\nclasses=2\nanchors=4,5, 6,7\n",
        "region": "[region]\nnum=2\nclasses=2\ncoords=4\nsoftmax=1\nanchors=1,2, 2,1\n",
    }
    x = np.random.default_rng(3).random((2, 3, 64, 32), np.float32)
    for name, head in heads.items():
        with Network.parse(net + "activation=linear\n" + head, backend=backend, precision="fp32") as network:
            outputs = network.predict(x, [0, 1])
        raw = outputs[0].reshape(2, 2, 7, 4, 2)  # images, anchors, values, rows, columns
        assert outputs[0].std() > 0.01
        boxes, objectness, classes = raw[:, :, :4], sigmoid(raw[:, :, 4:5]), raw[:, :, 5:]
        if name == "yolo":
            expected = [sigmoid(boxes[:, :, :2]), boxes[:, :, 2:], objectness, sigmoid(classes)]
            found = outputs[1].reshape(raw.shape)
        else:
            powers = np.exp(classes)
            expected = [boxes, objectness, powers / powers.sum(2, keepdims=True)]
            found = outputs[1].reshape(2, 4, 2, 2, 7).transpose(0, 3, 4, 1, 2)
        np.testing.assert_allclose(found, np.concatenate(expected, 2), atol=1e-5)


def test_predict_of_a_classifier_returns_its_last_layer() -> None:
    with Network(LAYERS / "classifier.cfg", LAYERS / "classifier.weights", precision="fp32") as network:
        (output,) = network.outputs
        assert network.layers[output].type != "cost"
        assert network.info.classes == 0


def test_preprocess_is_the_image_over_255(tiny: Make, levels: np.ndarray) -> None:
    with tiny() as network:
        np.testing.assert_allclose(network.preprocess(levels), levels[np.newaxis] / 255, rtol=1e-6)


def test_profile_times_layers(tiny: Make) -> None:
    with tiny() as network:
        steps = network.profile()
    assert steps
    assert all(step.seconds >= 0 and step.what and -1 <= step.layer < 4 for step in steps)


def test_errors_of_layers_are_those_between_two_backends(tiny: Make) -> None:
    with tiny(backend="check:ref,ref") as network:
        assert network.layer_errors() == [0.0] * len(network.layers)
    with tiny(backend="ref") as network, pytest.raises(BackendError, match=r"expected a backend check:A,B"):
        network.layer_errors()


# -- what it is ----------------------------------------------------------------------------------------------


def test_layers_info_and_repr(tiny: Make) -> None:
    with tiny(threads=1) as network:
        conv, pool, _, yolo = network.layers
        assert (conv.type, conv.in_shape, conv.out_shape) == ("convolutional", (1, 4, 4), (1, 4, 4))
        assert (conv.parameters, conv.inputs, conv.is_head) == (13, (-1,), False)
        assert conv.where.endswith("tiny.cfg:7 [convolutional]")
        assert conv.bflops == pytest.approx(2 * 9 * 16 / 1e9)
        assert pool.out_shape == (1, 2, 2)
        assert (yolo.is_head, yolo.outputs) == (True, 24)
        info = network.info
        assert (info.width, info.height, info.channels, info.classes) == (4, 4, 1, 1)
        assert (info.parameters, info.layers, info.layers_loaded, info.threads) == (25, 4, 4, 1)
        assert "tiny.cfg" in repr(network)
        assert "4×4, 1 classes" in repr(network)
    assert repr(network) == "Network(cfg='tiny.cfg', closed)"


def test_summary_counts_layers_parameters_and_operations_of_yolov4(shared: Path) -> None:
    """The published numbers: 162 layers, 64 429 405 parameters, 60.137 BFLOPs at 416."""
    with Network(shared / "fixtures" / "zoo" / "yolov4.cfg") as network:
        network.resize(416, 416)
        assert network.info.parameters == 64_429_405
        assert network.info.bflops == pytest.approx(60.137, abs=5e-4)
        text = network.summary()
    assert "162 layers: 110 convolutional, 23 shortcut, 21 route, 3 maxpool, 3 yolo, 2 upsample" in text
    assert "64,429,405 parameters (257.7 MB), 60.137 BFLOPs" in text


def test_resize_and_batch(tiny: Make) -> None:
    with tiny() as network:
        network.resize(8, 6)
        network.batch = 3
        assert network.batch == 3
        assert network.layers[-1].out_shape == (6, 3, 4)
        assert network.predict(np.zeros((5, 1, 6, 8), np.float32))[3].shape == (5, 72)


def test_parameters_are_those_of_the_file(tiny: Make) -> None:
    with tiny() as network:
        first, second = network.parameters(0), network.parameters(2)
        assert network.parameters(1) == {}
    assert list(first) == ["biases", "scales", "means", "variances", "weights"]
    np.testing.assert_array_equal(first["weights"], np.ones(9))
    np.testing.assert_array_equal(first["means"], [2])
    assert list(second) == ["biases", "weights"]


def test_saved_weights_are_the_loaded_ones(tiny: Make, tiny_files: tuple[Path, Path], tmp_path: Path) -> None:
    with tiny() as network:
        network.save_weights(tmp_path / "copy.weights")
        network.save_weights(tmp_path / "part.weights", cutoff=2)
    assert (tmp_path / "copy.weights").read_bytes() == tiny_files[1].read_bytes()
    with Network(tiny_files[0], tmp_path / "part.weights") as part:
        assert part.info.layers_loaded == 1  # the pool has no weights by which to tell
        np.testing.assert_array_equal(part.parameters(0)["weights"], np.ones(9))


def test_cfg_and_weights_alone_are_enough(
    tiny_files: tuple[Path, Path], levels: np.ndarray, tmp_path: Path
) -> None:
    """Nothing else in the folder, and another working directory."""
    with Network(*tiny_files, precision="fp32") as network:
        assert network.names == ("0",)
        assert is_the_object(network.detect(levels, thresh=0.5))


def test_warnings_are_logged(tiny_files: tuple[Path, Path], caplog: pytest.LogCaptureFixture) -> None:
    cfg, weights = tiny_files
    cfg.write_text(selftest.CFG.replace("size=3", "size=3\nstrid=1"))
    with caplog.at_level(logging.WARNING, "pydarknet"), Network(cfg, weights, strict=False):
        pass
    assert [record.name for record in caplog.records] == ["pydarknet"]
    assert 'unknown key "strid"; did you mean "stride"?' in caplog.text


# -- life ----------------------------------------------------------------------------------------------------


def test_close_twice_is_fine_and_use_after_it_an_error(tiny: Make, levels: np.ndarray) -> None:
    network = tiny()
    network.close()
    network.close()
    for call in (lambda: network.detect(levels), lambda: network.info, lambda: network.layers, network.clone):
        with pytest.raises(ArgumentError, match="the network is closed"):
            call()


def test_a_clone_outlives_its_original(tiny: Make, levels: np.ndarray) -> None:
    network = tiny(names=["thing"])
    twin = network.clone()
    network.close()
    with twin:
        assert twin.names == ("thing",)
        assert is_the_object(twin.detect(levels, thresh=0.5))


def test_clones_share_weights(tmp_path: Path) -> None:
    cfg = "[net]\nwidth=64\nheight=64\nchannels=256\n[convolutional]\nfilters=8192\nsize=3\n"
    with Network.parse(cfg) as network:
        before = resident_memory()
        twins = [network.clone() for _ in range(4)]
        after = resident_memory()
        if before is None or after is None:
            pytest.skip("memory cannot be measured on this system")
        assert after - before < 30e6
        for twin in twins:
            twin.close()


def test_a_failing_call_leaves_the_network_usable(tiny: Make, levels: np.ndarray) -> None:
    with tiny() as network:
        for bad in (
            lambda: network.detect("missing.jpg"),
            lambda: network.detect(np.zeros((0, 4), np.uint8)),
            lambda: network.predict(np.zeros((1, 1, 5, 5))),
            lambda: network.resize(7, 4),
            lambda: network.predict(np.zeros((1, 1, 4, 4)), layers=[9]),
            lambda: setattr(network, "batch", 0),
            lambda: network.save_weights("/nonexistent-folder/x.weights"),
        ):
            with pytest.raises(Exception, match=r".+"):
                bad()
            assert is_the_object(network.detect(levels, thresh=0.5))


def test_a_bad_image_in_a_list_is_named(tiny: Make, levels: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n")
    with tiny() as network, pytest.raises(DataError, match=r"bad\.png: cannot be decoded"):
        network.detect([levels, tmp_path / "bad.png"])
