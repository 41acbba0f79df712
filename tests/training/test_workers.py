# SPDX-License-Identifier: Apache-2.0
"""Training on several processes, against one process; workers that die; other numbers of workers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import shapes

import pydarknet
from pydarknet import TrainConfig
from pydarknet.cfg import CfgFile
from pydarknet.errors import ArgumentError
from pydarknet.training import checkpoint, train
from pydarknet.training.workers import require_divisible, share_of

ROOT = Path(pydarknet.__file__).parents[1]
LENGTH = 10

#: Trains as the command does; every worker keeps the parameters that it ends with.
KEEPING = """
import sys
import numpy as np
from pydarknet.cli import main
from pydarknet.training.follower import Follower

folder, run = sys.argv.pop(1), Follower.run
def keeping(self):
    run(self)
    arrays = {n: a for n, a in self.trainer.state()["arrays"].items() if n.startswith("parameters")}
    np.savez(f"{folder}/worker{self.communicator.rank}.npz", **arrays)
Follower.run = keeping
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data set and a cfg of 4 mini-batches, the largest size twice in three iterations."""
    folder = tmp_path_factory.mktemp("workers")
    shapes.data_set(folder / "ds", train=8, valid=5)
    shapes.cfg(folder, LENGTH, batch=8, subdivisions=4, size=32)
    return folder


def words(place: Path, out: str, *more: str) -> list[str]:
    options = f"--cfg {place}/shapes.cfg --data {place}/ds/obj.data --out {place / out}"
    return [
        *f"train {options} --quiet --force --no-plots --precision fp32 --threads 1 --workers 1".split(),
        *more,
    ]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{Path(__file__).parent}"}


def command(place: Path, out: str, *more: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "pydarknet", *words(place, out, *more)]
    return subprocess.run(line, env=environment(), capture_output=True, text=True, check=False, cwd=place)


def arrays(run: Path) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = checkpoint.load(run / "weights/shapes_last.state").trainer["arrays"]
    return found


@pytest.fixture(scope="module")
def alone(place: Path) -> Path:
    """The run of one process, with an evaluation."""
    config = TrainConfig(place / "shapes.cfg", place / "ds/obj.data", out=place / "alone", force=True)
    train(replace(config, threads=1, workers=1, precision="fp32", plots=False, map_every=5), verbose=False)
    return place / "alone"


@pytest.fixture(scope="module", params=[2, 4])
def together(place: Path, request: pytest.FixtureRequest) -> tuple[int, Path]:
    """The same run with several workers, started by the launcher itself."""
    count, out = int(request.param), f"by{request.param}"
    script = place / "script.py"
    script.write_text(f"{KEEPING}\nmain()\n")
    mpiexec = Path(sys.executable).with_name("mpiexec")
    line = [mpiexec, "-n", str(count), sys.executable, script, place, *words(place, out, "--map-every", "5")]
    done = subprocess.run(line, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for rank in range(1, count):
        (place / f"worker{rank}.npz").rename(place / out / f"worker{rank}.npz")
    return count, place / out


def test_all_workers_have_the_same_bits(together: tuple[int, Path]) -> None:
    count, run = together
    own = arrays(run)
    for rank in range(1, count):
        other = np.load(run / f"worker{rank}.npz")
        assert len(other.files) > 10
        assert all(np.array_equal(own[name], other[name]) for name in other.files)


def test_the_result_is_that_of_one_process(alone: Path, together: tuple[int, Path]) -> None:
    """Weights and momentum to rounding, the same images, losses and evaluations."""
    one, several = arrays(alone), arrays(together[1])
    assert one.keys() == several.keys()
    for name, array in one.items():
        scale = 1 if name.startswith("parameters") else max(1, float(np.abs(array).max()))
        assert float(np.abs(array - several[name]).max()) < 1e-6 * scale, name
    rows = [
        [json.loads(line) for line in (run / "results.jsonl").read_text().splitlines()]
        for run in (alone, together[1])
    ]
    for first, second in zip(*rows, strict=True):
        assert (first["count"], first["images"], first["rate"]) == (
            second["count"],
            second["images"],
            second["rate"],
        )
        assert second["loss"] == pytest.approx(first["loss"], rel=1e-5)
        assert second["map"] == first["map"]
    assert rows[0][0]["loss"] == rows[1][0]["loss"]  # the weights are those of one process still
    assert rows[1][-1]["val_loss"] == pytest.approx(rows[0][-1]["val_loss"], rel=1e-5)


def test_times_of_each_worker_are_in_the_table(together: tuple[int, Path]) -> None:
    count, run = together
    for line in (run / "results.jsonl").read_text().splitlines():
        workers = json.loads(line)["workers"]
        assert len(workers) == count
        assert min(worker["wait"] for worker in workers) == 0  # of the slowest
        assert all(worker["compute"] > 0 for worker in workers)


def test_resume_with_other_numbers_of_workers(place: Path) -> None:
    """2, then 1, then 2: one training, which reports the changes."""
    out = place / "resumed"
    assert command(place, "resumed", "--processes", "2", "--max-batches", "4").returncode == 0
    second = command(place, "resumed", "--max-batches", "7")
    assert second.returncode == 0, second.stderr
    third = command(place, "resumed", "--max-batches", "10", "--processes", "2")
    assert third.returncode == 0, third.stderr
    assert "computed by 2 workers so far, by 1 from now on: results agree to rounding" in second.stdout
    assert "computed by 1 workers so far, by 2 from now on: results agree to rounding" in third.stdout
    assert third.stdout.count("finished at iteration 10") == 1
    state = checkpoint.load(out / "weights/shapes_last.state")
    assert (state.trainer["iteration"], state.trainer["seen"]) == (10, 80)
    assert [
        session.get("workers", 1) for session in json.loads((out / "run.json").read_text())["sessions"]
    ] == [
        2,
        1,
        2,
    ]


def workers_below(process: subprocess.Popen[str]) -> dict[int, psutil.Process]:
    """Workers of a launcher, by number."""
    found = {}
    for child in psutil.Process(process.pid).children(recursive=True):
        rank = child.environ().get("PMI_RANK")
        if rank is not None and child.cmdline()[0] == sys.executable:
            found[int(rank)] = child
    return found


@pytest.mark.parametrize("victim", [0, 1])
def test_a_dead_worker_ends_the_others(place: Path, victim: int) -> None:
    """They end in the time limit, name it, and the state that was saved before is whole."""
    out = place / f"without{victim}"
    more = ("--processes", "2", "--worker-timeout", "1", "--max-batches", "100000", "--last-every", "1")
    process = subprocess.Popen(
        [sys.executable, "-m", "pydarknet", *words(place, out.name, *more)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    state = out / "weights/shapes_last.state"
    while process.poll() is None and not state.exists():
        time.sleep(0.01)
    workers = workers_below(process)
    workers[victim].send_signal(signal.SIGKILL)
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 9, text
    assert f"worker {victim} of 2 gave no sign of life" in text
    assert not psutil.wait_procs(list(workers.values()), timeout=30)[1]  # none is left
    assert checkpoint.load(state).trainer["iteration"] >= 1
    if victim:
        assert json.loads((out / "run.json").read_text())["result"]["reason"] == "worker-lost"


def test_a_signal_to_the_launcher_saves_and_ends(place: Path) -> None:
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "pydarknet",
            *words(place, "stopped", "--processes", "2", "--max-batches", "100000"),
        ],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while process.poll() is None and not (place / "stopped/results.jsonl").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 130, text
    assert checkpoint.load(place / "stopped/weights/shapes_last.state").trainer["iteration"] >= 1


#: Stands in for ssh: a command in the network namespace of a host, with a name and shared memory of its own.
SSH = """#!/bin/sh
while [ "${1#-}" != "$1" ]; do shift; done
host=$1; shift
exec ip netns exec $PREFIX$host unshare -u -i -m sh -c "hostname $host; mount -t tmpfs none /dev/shm; $*"
"""


@pytest.fixture
def two_hosts(tmp_path: Path) -> Iterator[list[str]]:
    """Begin a command line that starts a worker on each of two hosts, which only a network connects."""
    if sys.platform != "linux" or not shutil.which("ip") or not shutil.which("unshare"):
        pytest.skip("no network namespaces here (ip, unshare)")
    prefix, links = f"pd{os.getpid()}-", ("pdv1", "pdv2")
    hosts = ("10.99.0.1", "10.99.0.2")

    def ip(*arguments: str) -> int:
        return subprocess.run(["ip", *arguments], capture_output=True, check=False).returncode

    try:
        if any(ip("netns", "add", prefix + host) for host in hosts):
            pytest.skip("no right to make network namespaces")
        ends = [name for host, link in zip(hosts, links, strict=True) for name in (link, prefix + host)]
        link = f"link add {ends[0]} netns {ends[1]} type veth peer name {ends[2]} netns {ends[3]}"
        if ip(*link.split()):
            pytest.skip("no right to connect network namespaces (veth)")
        for host, link in zip(hosts, links, strict=True):
            assert ip("-n", prefix + host, "addr", "add", f"{host}/24", "dev", link) == 0
            assert ip("-n", prefix + host, "link", "set", link, "up") == 0
            assert ip("-n", prefix + host, "link", "set", "lo", "up") == 0
        for host, link in zip(hosts, links, strict=True):  # the kernel reports a link up to a second late
            state = ["ip", "netns", "exec", prefix + host, "cat", f"/sys/class/net/{link}/operstate"]
            for _ in range(200):
                if subprocess.run(state, capture_output=True, check=True).stdout == b"up\n":
                    break
                time.sleep(0.05)
            else:
                pytest.skip("no right to connect network namespaces (no carrier)")
        ssh = tmp_path / "ssh"
        ssh.write_text(SSH.replace("$PREFIX", prefix))
        ssh.chmod(0o755)
        inside = ["ip", "netns", "exec", prefix + hosts[0]]
        if subprocess.run([ssh, hosts[1], "true"], capture_output=True, check=False).returncode:
            pytest.skip("no right to give a host shared memory of its own")
        mpiexec = str(Path(sys.executable).with_name("mpiexec"))
        reached = (
            f"-launcher ssh -launcher-exec {ssh} -hosts {','.join(hosts)} -localhost {hosts[0]} -iface pdv1"
        )
        yield [*inside, mpiexec, *reached.split(), "-ppn", "1", sys.executable, "-m", "pydarknet"]
    finally:
        for host in hosts:
            ip("netns", "del", prefix + host)


def test_two_hosts(place: Path, alone: Path, two_hosts: list[str]) -> None:
    """The result is that of one process; gradients travel through the network between the hosts."""
    inside = two_hosts[:4]

    def sent() -> int:
        counter = [*inside, "cat", "/sys/class/net/pdv1/statistics/tx_bytes"]
        return int(subprocess.run(counter, capture_output=True, check=True).stdout)

    before = sent()
    line = [*two_hosts, *words(place, "hosts", "--map-every", "5")]
    done = subprocess.run(line, env=environment(), capture_output=True, text=True, check=False, cwd=place)
    assert done.returncode == 0, done.stderr
    one, several = arrays(alone), arrays(place / "hosts")
    for name in (name for name in one if name.startswith("parameters")):
        assert float(np.abs(one[name] - several[name]).max()) < 1e-6, name
    parameters = sum(array.nbytes for name, array in one.items() if name.startswith("parameters"))
    assert sent() - before > LENGTH * parameters / 2  # without them, rolling statistics count as parameters


def test_subdivisions_are_chosen_for_all_workers(place: Path) -> None:
    """A multiple of their number, for the share of each in the memory."""
    done = command(place, "auto", "--processes", "2", "--subdivisions", "auto", "--max-batches", "1")
    assert done.returncode == 0, done.stderr
    assert "subdivisions 2: the smallest that fits into" in done.stdout
    assert "the share of each of 2 workers" in done.stdout
    assert "memory of each worker: about" in done.stdout


def test_an_error_of_worker_0_ends_all(place: Path) -> None:
    """As an error of one process: its message once, its exit code."""
    found = command(place, "wrong", "--processes", "2", "--subdivisions", "1")
    assert found.returncode == 1
    assert found.stderr.count("found subdivisions=1 with 2 workers, expected a multiple of 2") == 1
    assert "use --subdivisions 2" in found.stderr


@pytest.mark.parametrize(
    ("batch", "subdivisions", "workers", "advice"),
    [
        (64, 8, 3, "a batch that is a multiple of 3"),
        (24, 8, 3, "--subdivisions 6"),
        (64, 2, 4, "--subdivisions 4"),
    ],
)
def test_the_nearest_number_of_mini_batches_is_named(
    tmp_path: Path, batch: int, subdivisions: int, workers: int, advice: str
) -> None:
    cfg = CfgFile.load(shapes.cfg(tmp_path, batch=batch, subdivisions=subdivisions))
    with pytest.raises(
        ArgumentError, match=f"found subdivisions={subdivisions} with {workers} .* use {advice}$"
    ):
        require_divisible(cfg, workers)
    require_divisible(cfg, 2)


def test_batch_norm_across_mini_batches_is_refused(tmp_path: Path) -> None:
    path = shapes.cfg(tmp_path)
    path.write_text(path.read_text().replace("batch_normalize=1\nfilters=16", "cbn=1\nfilters=16"))
    with pytest.raises(ArgumentError, match=r"shapes\.cfg:28: batch norm across mini-batches \(cbn\)"):
        require_divisible(CfgFile.load(path), 2)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 9])
def test_parts_of_the_images_join_in_order(size: int) -> None:
    items: Sequence[int] = range(7)
    assert [item for rank in range(size) for item in share_of(items, rank, size)] == list(items)
