# SPDX-License-Identifier: Apache-2.0
"""Behaviour around a Network: threads, forks, signals, memory, output."""

from __future__ import annotations

import copy
import faulthandler
import gc
import multiprocessing
import os
import pickle
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

from pydarknet import ArgumentError, Detections, Network
from pydarknet.engine.images import load
from pydarknet.system.memory import resident_memory

Make = Callable[..., Network]
Real = tuple[Callable[[], Network], list[Path]]


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_network_is_not_copied_by_accident(tiny: Make, way: Callable[[object], object]) -> None:
    """A copy would share memory that one of the two frees."""
    with tiny() as network, network.clone() as clone:
        with pytest.raises(ArgumentError, match=r"a Network cannot be copied or pickled; clone\(\) makes"):
            way(network)
        trainer = network.trainer()
        with pytest.raises(ArgumentError, match="a Trainer cannot be copied or pickled"):
            way(trainer)
        trainer.close()
        assert clone.info.classes == 1


# -- threads, processes, signals -----------------------------------------------------------------------------


@pytest.fixture
def real(shared: Path) -> Real:
    """A trained network and images, for answers worth comparing."""
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
    # Shows where it hangs, should it; dump_traceback_later would wait for pytest's own watchdog thread, which
    # was not forked.
    faulthandler.register(signal.SIGALRM)
    signal.alarm(50)
    try:
        queue.put(network.detect(image).confidence)
    except BaseException as error:
        queue.put(error)
        raise
    finally:
        signal.alarm(0)


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
def test_ctrl_c_stops_a_long_list(tiny_files: tuple[Path, Path]) -> None:
    """In a process of its own: here, callbacks of plugins may receive the interrupt and lose it."""
    words = [sys.executable, "-c", _INTERRUPTED, *map(str, tiny_files)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        assert child.stdout.readline() == "detecting\n"
        time.sleep(0.3)
        child.send_signal(signal.SIGINT)
        try:
            assert child.communicate(timeout=60)[0] == "interrupted, 1 object\n"
        finally:
            child.kill()


_INTERRUPTED = """
import signal, sys
import numpy as np
from pydarknet import Network
signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs of a shell may ignore it
image = np.arange(16, dtype=np.uint8).reshape(4, 4) * 17
with Network(*sys.argv[1:], precision="fp32") as network:
    print("detecting", flush=True)
    try:
        network.detect([image] * 10_000_000)
    except KeyboardInterrupt:
        print("interrupted,", len(network.detect(image, thresh=0.5)), "object")
"""


# -- manners -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_memory_is_flat_over_ten_thousand_detections(tiny: Make, levels: np.ndarray) -> None:
    if resident_memory() is None:
        pytest.skip("memory cannot be measured on this system")
    white = np.full((64, 64), 255, np.uint8)
    with tiny(threads=1) as network:
        for _ in range(500):
            network.detect(white, thresh=0.0, nms=0)
        gc.collect()
        before = resident_memory()
        for i in range(10_000):
            network.detect(white if i % 2 else levels, thresh=0.0)
        gc.collect()
        after = resident_memory()
    assert before is not None
    assert after is not None
    assert after - before < 2e6  # 200 bytes a call would be seen


def test_opening_and_closing_does_not_grow_memory(tiny: Make, levels: np.ndarray) -> None:
    if resident_memory() is None:
        pytest.skip("memory cannot be measured on this system")

    def cycle(times: int) -> int:
        for _ in range(times):
            with tiny(threads=1) as network:
                network.detect(levels)
                network.clone().close()
        gc.collect()
        return resident_memory() or 0

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
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_import_is_quick_and_pulls_nothing_heavy() -> None:
    script = (
        "import sys, pydarknet; print(sorted({'numpy', 'cv2', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
