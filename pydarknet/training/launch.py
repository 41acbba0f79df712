# SPDX-License-Identifier: Apache-2.0
"""Start of several workers on this machine, by the ``mpiexec`` of the environment."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from pydarknet.errors import MissingExtra
from pydarknet.system.extras import require
from pydarknet.system.launcher import FOLDER

#: Runs a worker, and ends only when all are over: ``mpiexec`` would kill the others after one that died, and
#: they could neither name it nor end in order.
_SHELL = f"""
"$@"
cd "${FOLDER}" || exit
rank=${{PMI_RANK:-$OMPI_COMM_WORLD_RANK}}
[ -e "$rank.exit" ] || : > "$rank.died"
while kill -0 {{launcher}} 2>/dev/null && [ ! -e over ]; do sleep 0.1; done
"""


def launch(words: Sequence[str], processes: int, gpus: Sequence[int] = ()) -> tuple[int, str]:
    """Run ``python -m pydarknet`` in several processes; returns exit code and error of worker 0.

    Signals to this process reach the workers. A worker that dies does not end the others: they notice it
    themselves and name it. If it was worker 0, code and error are those of another one.

    Args:
        words: the command and its options.
        processes: number of workers.
        gpus: numbers of those that the workers see, as their first, second, ...; by default all.

    Raises:
        MissingExtra: mpi4py or ``mpiexec`` is not installed.
    """
    mpiexec = _mpiexec()
    with tempfile.TemporaryDirectory(prefix="pydarknet-") as name:
        folder, script = Path(name), _SHELL.replace("{launcher}", str(os.getpid()))
        worker = [sys.executable, "-m", "pydarknet", *words]
        process = subprocess.Popen(
            [mpiexec, "-n", str(processes), "/bin/sh", "-c", script, "sh", *worker],
            env={**os.environ, FOLDER: name, **_visible(gpus)},
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is passed on to worker 0 alone
        )
        with _passing_signals(folder):
            while process.poll() is None and _ended(folder) < processes:
                time.sleep(0.05)
            folder.joinpath("over").touch()
            code = process.wait()
        ends = {int(path.stem): path.read_bytes() for path in folder.glob("*.exit")}
    if not ends:
        return code or 1, ""
    number, _, error = ends[min(ends)].decode("utf-8", "surrogateescape").partition("\n")
    return int(number), error


def why_not_launched() -> str:
    """Reason why :func:`launch` cannot start workers here, or ""."""
    try:
        _mpiexec()
    except MissingExtra as missing:
        return str(missing)
    return ""


def _mpiexec() -> str:
    require("mpi4py", "distributed")
    beside = Path(sys.executable).with_name("mpiexec")
    found = str(beside) if beside.exists() else shutil.which("mpiexec")
    if not found:
        raise MissingExtra("mpiexec", "distributed")
    return found


def _visible(gpus: Sequence[int]) -> dict[str, str]:
    """The variable by which CUDA lists these GPUs alone; their numbers are those that it lists now."""
    if not gpus:
        return {}
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = listed.split(",") if listed else None
    return {"CUDA_VISIBLE_DEVICES": ",".join(names[gpu].strip() if names else str(gpu) for gpu in gpus)}


def _ended(folder: Path) -> int:
    return sum(path.suffix in (".exit", ".died") for path in folder.iterdir())


@contextlib.contextmanager
def _passing_signals(folder: Path) -> Iterator[None]:
    def pass_on(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        for path in sorted(folder.glob("*.pid"))[:1]:
            with contextlib.suppress(OSError, ValueError):
                os.kill(int(path.read_text()), number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
