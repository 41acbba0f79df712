# SPDX-License-Identifier: Apache-2.0
"""Network: what people call, and what must hold around it (threads, forks, memory, failures)."""

from __future__ import annotations

import faulthandler
import gc
import logging
import math
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pydarknet import ArgumentError, DataError, Detections, Network, machine, selftest
from pydarknet.images import load

Make = Callable[..., Network]
Real = tuple[Callable[[], Network], list[Path]]
LAYERS = Path(__file__).parent / "fixtures" / "layers"


def is_the_object(dets: Detections) -> bool:
    """What the self-test's arithmetic says is in the self-test's image."""
    return (
        len(dets) == 1
        and bool(np.allclose(dets.xyxy, [[2, 2, 4, 4]], atol=1e-4))
        and math.isclose(dets.confidence[0], selftest._CONFIDENCE, rel_tol=1e-4)
    )


# -- detect and predict --------------------------------------------------------------------------------------


def test_detect_finds_the_object(tiny: Make, levels: np.ndarray, backend: str) -> None:
    with tiny(backend=backend, names=["thing"]) as network:
        dets = network.detect(levels, thresh=0.5)
    assert is_the_object(dets)
    assert dets.class_id.tolist() == [0]
    assert dets.names == ("thing",)
    assert (dets.xyxy.dtype, dets.confidence.dtype) == (np.float32, np.float32)
    assert dets.image_size == (4, 4)


def test_detect_of_a_list_gives_a_list(tiny: Make, levels: np.ndarray) -> None:
    with tiny(batch=2) as network:
        for images in ([levels] * 5, (levels,) * 5):
            found = network.detect(images, thresh=0.5)
            assert len(found) == 5
            assert all(is_the_object(dets) for dets in found)
        assert network.detect([]) == []


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
        before = machine.resident_memory()
        twins = [network.clone() for _ in range(4)]
        after = machine.resident_memory()
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


# -- threads, processes, signals -----------------------------------------------------------------------------


@pytest.fixture
def real(shared: Path) -> Real:
    """A trained network and pictures, for answers worth comparing."""
    nets, images = shared / "fixtures" / "nets", shared / "fixtures" / "images"
    cfg, weights = nets / "yolo-fastest-1.1.cfg", nets / "yolo-fastest-1.1.weights"
    return lambda: Network(cfg, weights, precision="fp32"), sorted(images.glob("*.jpg"))


def same(some: list[Detections], others: list[Detections]) -> bool:
    return all(
        np.array_equal(a.xyxy, b.xyxy) and np.array_equal(a.confidence, b.confidence)
        for a, b in zip(some, others, strict=True)
    )


def test_one_network_in_many_threads_answers_as_in_one(
    real: Real,
) -> None:
    make, images = real
    with make() as network, ThreadPoolExecutor(4) as pool:
        serial = [network.detect(path) for path in images]
        assert sum(map(len, serial)) > 0
        for _ in range(2):
            assert same(list(pool.map(network.detect, images)), serial)


def test_networks_and_clones_in_threads_answer_as_in_one(
    real: Real,
) -> None:
    make, images = real
    with make() as network, make() as other, network.clone() as clone, ThreadPoolExecutor(3) as pool:
        serial = [network.detect(path) for path in images]
        jobs = [pool.submit(lambda n=n: [n.detect(path) for path in images]) for n in (network, other, clone)]
        for job in jobs:
            assert same(job.result(), serial)


def _detect_in_child(network: Network, image: np.ndarray, queue: multiprocessing.Queue) -> None:  # type: ignore[type-arg]
    faulthandler.dump_traceback_later(50)  # where it hangs, should it
    try:
        queue.put(network.detect(image).confidence)
    except BaseException as error:
        queue.put(error)
        raise
    finally:
        faulthandler.cancel_dump_traceback_later()


def confidences_in_child(network: Network, image: np.ndarray) -> np.ndarray:
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_detect_in_child, args=(network, image, queue))
    child.start()
    try:
        answer = queue.get(timeout=60)
    finally:
        child.join(10)
        if child.is_alive():
            child.kill()
    assert isinstance(answer, np.ndarray), answer
    return answer


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings(
    "ignore:.*fork.*:DeprecationWarning"
)  # of processes with threads: the case at hand
def test_a_forked_child_can_detect(real: Real) -> None:
    make, images = real
    dog = load(images[0])
    with make() as network:
        expected = network.detect(dog).confidence  # the parent's OpenMP threads now exist
        np.testing.assert_array_equal(confidences_in_child(network, dog), expected)
        np.testing.assert_array_equal(network.detect(dog).confidence, expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_forked_while_another_thread_computes_can_detect(real: Real) -> None:
    make, images = real
    dog, other = load(images[0]), load(images[1])  # arrays: OpenCV's locks may not survive a fork
    with make() as network:
        expected = network.detect(dog).confidence
        stop = threading.Event()

        def work() -> None:
            while not stop.is_set():
                network.detect(other)

        busy = threading.Thread(target=work)
        busy.start()
        try:
            np.testing.assert_array_equal(confidences_in_child(network, dog), expected)
        finally:
            stop.set()
            busy.join()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX here")
def test_ctrl_c_stops_a_long_list(tiny: Make, levels: np.ndarray) -> None:
    with tiny() as network:
        timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
        timer.start()
        start = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            network.detect([levels] * 10_000_000)
        assert time.monotonic() - start < 10
        timer.join()
        assert is_the_object(network.detect(levels, thresh=0.5))


# -- manners -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_memory_is_flat_over_ten_thousand_detections(tiny: Make, levels: np.ndarray) -> None:
    if machine.resident_memory() is None:
        pytest.skip("memory cannot be measured on this system")
    white = np.full((64, 64), 255, np.uint8)
    with tiny(threads=1) as network:
        for _ in range(500):
            network.detect(white, thresh=0.0, nms=0)
        gc.collect()
        before = machine.resident_memory()
        for i in range(10_000):
            network.detect(white if i % 2 else levels, thresh=0.0)
        gc.collect()
        after = machine.resident_memory()
    assert before is not None
    assert after is not None
    assert after - before < 2e6  # 200 bytes a call would be seen


def test_opening_and_closing_does_not_grow_memory(tiny: Make, levels: np.ndarray) -> None:
    if machine.resident_memory() is None:
        pytest.skip("memory cannot be measured on this system")

    def cycle(times: int) -> int:
        for _ in range(times):
            with tiny(threads=1) as network:
                network.detect(levels)
                network.clone().close()
        gc.collect()
        return machine.resident_memory() or 0

    before = cycle(50)
    assert cycle(300) - before < 4e6


def test_floating_point_mode_and_stdout_stay_untouched(tiny_files: tuple[Path, Path]) -> None:
    """Denormals survive (no flush-to-zero), division still rounds to nearest, and nothing is printed."""
    script = f"""
import numpy as np
from pydarknet import Network
def mode():
    tiny = np.float32(1e-40) * np.float32(0.5)
    return float(tiny), float(np.float32(1) / np.float32(3))
before = mode()
with Network({str(tiny_files[0])!r}, {str(tiny_files[1])!r}) as network:
    network.detect(np.zeros((4, 4), np.uint8))
    network.predict(np.full((1, 1, 4, 4), 1e-40, np.float32))
assert mode() == before, (mode(), before)
assert before[0] > 0
"""
    root = Path(__file__).parents[1]
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=root, check=False
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_import_is_quick_and_pulls_nothing_heavy() -> None:
    script = (
        "import sys, pydarknet; print(sorted({'numpy', 'cv2', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[1]
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=root, check=True)
    assert run.stdout.strip() == "[]"
