# SPDX-License-Identifier: Apache-2.0
"""The Ray engine on a cluster of two nodes on this machine: order, results, errors and lost workers."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from pydarknet.cli import cli
from pydarknet.cli._impl import eval as eval_command
from pydarknet.data.executors import by_name
from pydarknet.errors import BackendError, MissingExtra, RecordError
from pydarknet.evaluation.spread import EvaluationJob

needed = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed (extra: ray)"
)
# Ray's own sockets and processes end a little after shutdown() returns.
quiet = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def cluster():
    """Two nodes of one worker each."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:  # the workers import pydarknet and the functions below
        here = Path(__file__).parent
        patch.setenv("PYTHONPATH", str(here), prepend=os.pathsep)
        nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        nodes.add_node(num_cpus=1)
        nodes.wait_for_nodes()
        yield nodes.address
        nodes.shutdown()


@pytest.fixture
def address(cluster, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", cluster)


def where(number: int) -> tuple[int, str]:
    import time

    import ray

    time.sleep(0.05)
    return number * number, ray.get_runtime_context().get_node_id()


def fail(number: int) -> int:
    if number == 3:
        raise RecordError("parse", "bad", "x.txt", 3)
    return number


def die_once(folder: str) -> str:
    """The first worker that comes by is killed."""
    path = Path(folder) / "died"
    if not path.exists():
        path.touch()
        os._exit(1)
    return folder


class DyingJob(EvaluationJob):
    """The first worker that gets a chunk is killed; the folder is that of the weights."""

    def __call__(self, samples):
        die_once(str(Path(self.weights).parent))
        return super().__call__(samples)


@needed
@quiet
def test_results_in_order_from_both_nodes(address):
    found = list(by_name("ray")(where, range(40), 2))
    assert [square for square, _ in found] == [i * i for i in range(40)]
    assert len({node for _, node in found}) == 2


@needed
@quiet
def test_errors_arrive_as_they_were_raised(address):
    results = by_name("ray")(fail, range(10), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(RecordError, match=r"x\.txt:3: bad"):
        next(results)


@needed
@quiet
def test_a_lost_worker_is_replaced(address, tmp_path):
    assert list(by_name("ray")(die_once, [str(tmp_path)], 2)) == [str(tmp_path)]
    assert (tmp_path / "died").exists()


@needed
@quiet
def test_a_conversion_gives_the_same_files(address, tmp_path, monkeypatch):
    """Labels, lists and report of a conversion are those of one machine, byte for byte."""
    spec = importlib.util.spec_from_file_location("shapes", Path(__file__).parents[2] / "tools" / "shapes.py")
    shapes = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(shapes)
    source = shapes.write_voc(tmp_path / "voc", 600, size=32)
    (source / "Annotations" / "shape007.xml").write_text("<annotation>\n<object")
    made = {}
    for engine in ("ray", "local"):
        folder = tmp_path / engine / "ds"
        folder.parent.mkdir()
        monkeypatch.chdir(folder.parent)
        result = CliRunner().invoke(
            cli, ["convert", str(source), "--out", "ds", "--engine", engine, "--jobs", "2"]
        )
        assert isinstance(result.exception, SystemExit | None)
        made[engine] = {
            str(path.relative_to(folder)): path.read_bytes().replace(str(folder).encode(), b"")
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
    assert len(made["ray"]) > 1190
    assert made["ray"] == made["local"]


@needed
@quiet
def test_batch_detection_gives_the_same_file(address, tmp_path, tiny_files, levels, monkeypatch):
    """Detections of seven images, one of them broken, are those of one machine, digit for digit."""
    monkeypatch.chdir(tmp_path)
    for i in range(7):
        assert cv2.imwrite(f"{i}.png", np.roll(levels, i, axis=1))
    Path("4.png").write_bytes(b"no image")
    cfg, weights = tiny_files
    images = [f"{tmp_path}/{i}.png" for i in range(7)]
    made, errors = {}, {}
    for engine in ("ray", "local"):
        network = ["--cfg", str(cfg), "--weights", str(weights), "--precision", "fp32", "--batch", "2"]
        result = CliRunner().invoke(
            cli, ["detect", *network, "--engine", engine, "--out", engine, *images], standalone_mode=False
        )
        assert result.return_value == 1, result.output
        made[engine], errors[engine] = Path(engine, "detections.json").read_text(), result.stderr
    assert made["ray"] == made["local"]
    assert made["ray"].count("filename") == 6
    assert errors["ray"] == errors["local"]
    assert "4.png" in errors["ray"]


@needed
@quiet
def test_no_cluster_at_the_address(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(BackendError, match=r"no Ray cluster at 127\.0\.0\.1:1"):
        next(by_name("ray")(fail, [1], 1))


@pytest.fixture
def small_ray(monkeypatch):
    """What the engine uses of Ray, in this process."""
    calls = SimpleNamespace(remote=lambda work, chunk: work(chunk))
    ray = SimpleNamespace(
        is_initialized=lambda: True,
        remote=lambda **_: lambda _: calls,
        put=lambda work: work,
        get=lambda result: result,
        cluster_resources=lambda: {"CPU": 1},
        exceptions=SimpleNamespace(RayError=RuntimeError),
    )
    monkeypatch.setitem(sys.modules, "ray", ray)


def test_standard_output_stays_the_callers(small_ray):
    """Between results, after the last, and when the caller leaves results and redirects its output itself."""
    own = sys.stdout
    for _ in by_name("ray")(abs, range(4), 1):
        assert sys.stdout is own
    left = by_name("ray")(abs, range(9), 1)
    with contextlib.redirect_stdout(io.StringIO()) as mine:
        assert next(left) == 0
        assert sys.stdout is mine
    left.close()
    assert sys.stdout is own


def test_without_ray(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"pip install 'pydarknet\[ray\]'"):
        next(by_name("ray")(fail, [1], 1))


@needed
@quiet
def test_an_evaluation_gives_the_same_numbers_and_survives_a_worker(
    address, tmp_path, tiny_files, levels, monkeypatch
):
    """Every image counts once, though the first worker that comes by is killed; one image cannot be read."""
    cfg, weights = tiny_files
    listed = []
    for i in range(70):  # three chunks
        assert cv2.imwrite(f"{tmp_path}/{i}.png", np.roll(levels, i, axis=1))
        (tmp_path / f"{i}.txt").write_text("0 0.5 0.5 0.25 0.25\n")
        listed.append(f"{tmp_path}/{i}.png\n")
    (tmp_path / "40.png").write_bytes(b"no image")
    (tmp_path / "valid.txt").write_text("".join(listed))
    (tmp_path / "obj.names").write_text("thing\n")
    data = tmp_path / "obj.data"
    data.write_text(f"classes=1\nvalid={tmp_path}/valid.txt\nnames={tmp_path}/obj.names\n")
    network = ["--cfg", str(cfg), "--weights", str(weights), "--precision", "fp32", "--threads", "1"]
    monkeypatch.setattr(eval_command, "EvaluationJob", DyingJob)
    found = {}
    for engine in ("ray", "local"):
        line = ["eval", *network, "--data", str(data), "--engine", engine, "--json"]
        result = CliRunner().invoke(cli, line, standalone_mode=False)
        assert result.return_value == 0, result.output
        found[engine] = json.loads(result.stdout)  # what Ray says about the worker is not part of it
        del found[engine]["conditions"]
    assert (tmp_path / "died").exists()
    assert found["ray"] == found["local"]
    assert found["ray"]["images"] == 69
