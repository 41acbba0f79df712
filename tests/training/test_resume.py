# SPDX-License-Identifier: Apache-2.0
"""A run that was stopped in any way ends with the bits of one that never was."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import shapes
from helpers import run
from shapes import StopAt

import pydarknet
from pydarknet import TrainConfig
from pydarknet.engine.trainer import Trainer
from pydarknet.errors import ArgumentError, DataError, FileError
from pydarknet.runs import lock
from pydarknet.runs.folder import RunFolder
from pydarknet.training import Hook, Outcome, Step, checkpoint, rerun, resume, train
from pydarknet.training.loop import TrainingLoop

ROOT = Path(pydarknet.__file__).parents[1]
LENGTH = 20


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    """A training of 20 iterations with mosaic and sizes that change; its folder has a space in its name."""
    place = tmp_path / "my drive"
    data = shapes.data_set(place / "ds")
    cfg = shapes.cfg(place, LENGTH, random=1)
    return TrainConfig(
        cfg, data, out=place / "run", threads=1, last_every=3, map_every=7, force=True, plots=False
    )


@pytest.fixture
def reference(config: TrainConfig) -> Outcome:
    """The same training, never stopped."""
    outcome = train(replace(config, out=Path(config.out).with_name("reference")))
    assert (outcome.reason, outcome.iteration) == ("finished", LENGTH)
    return outcome


def same(outcome: Outcome, reference: Outcome) -> bool:
    """Equal weights, equal momentum, equal best."""
    states = [checkpoint.load(o.folder / "weights/shapes_last.state") for o in (outcome, reference)]
    arrays = [state.trainer["arrays"] for state in states]
    assert arrays[0].keys() == arrays[1].keys()
    assert any(name.startswith("gradients/") for name in arrays[0])
    equal = all((arrays[0][name] == arrays[1][name]).all() for name in arrays[0])
    files = [o.weights["final"].read_bytes() for o in (outcome, reference)]
    return equal and files[0] == files[1] and states[0].meta["training"] == states[1].meta["training"]


def test_twenty_is_ten_and_ten(config: TrainConfig, reference: Outcome) -> None:
    """Stopped after 10 and continued by the same call: the same bits, one continuous history."""
    assert train(config, [StopAt(10)]).reason == "signal"
    outcome = train(config)
    assert (outcome.reason, outcome.iteration) == ("finished", LENGTH)
    assert same(outcome, reference)
    rows = (outcome.folder / "results.csv").read_text().splitlines()[1:]
    assert [int(row.split(",")[1]) for row in rows] == list(range(1, LENGTH + 1))
    assert {row.split(",")[0] for row in rows} == {"0", "1"}


def test_a_run_is_repeated(config: TrainConfig, reference: Outcome, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its folder alone: a run with settings of its own, stopped and resumed, has an equal twin."""
    folder = Path(config.out)
    monkeypatch.chdir(folder.parent)
    config = replace(config, lr=0.02, settings=("momentum=0.8",), size=(96, 64), max_batches=16)
    train(config, [StopAt(10)])
    outcome = train(config)
    assert not same(outcome, reference)
    repeated = rerun(folder)
    assert repeated.threads == 1
    again = train(repeated)
    assert again.folder == Path("runs/shapes-1")
    assert same(again, outcome)
    with pytest.raises(ArgumentError, match="is the run that is to be repeated"):
        rerun(folder, out=folder)
    texts = Path(config.data).parent.rglob("train/*.txt")
    label = next(path for path in texts if path.read_text().startswith("0 "))
    label.write_text("0 0.5 0.5 0.1 0.1\n")
    with pytest.raises(ArgumentError, match="the run had other images and labels; restore them"):
        rerun(folder)
    (folder / "weights/shapes_last.state").unlink()
    with pytest.raises(FileError, match=r"shapes_last\.state: not found; the run cannot be repeated"):
        rerun(folder)


def test_other_numbers_of_workers_change_nothing(config: TrainConfig, reference: Outcome) -> None:
    """The number of loader threads does not change the result."""
    assert same(train(replace(config, workers=3, cache="ram")), reference)


def start(config: TrainConfig, limit: int | None = None) -> subprocess.Popen[bytes]:
    """The same training in a process of its own; ``limit`` is the largest file it may write, in bytes."""
    words = [sys.executable, "-m", "pydarknet", "train", "--quiet", "--force", "--no-plots", "--threads", "1"]
    for name in ("cfg", "data", "out", "last_every", "map_every"):
        words += [f"--{name.replace('_', '-')}", str(getattr(config, name))]

    def prepare() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "env": environment}
    return subprocess.Popen(words, preexec_fn=prepare, **pipes)  # noqa: PLW1509  no thread of ours runs


@pytest.mark.slow
def test_sigterm_saves_and_ends(config: TrainConfig, reference: Outcome) -> None:
    """SIGTERM: the iteration is finished, the state saved, exit code 130; the same command resumes."""
    config = replace(config, last_every=1000)
    process = start(config)
    log = Path(config.out) / "results.csv"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (log.exists() and log.read_text().count("\n") > 2):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate()
    if process.returncode != 0:  # it may have been quicker than the signal
        assert process.returncode == 130, out.decode()
        assert b"signal at iteration" in out
    assert same(train(config), reference)


@pytest.mark.slow
def test_a_full_disk_leaves_the_last_state(config: TrainConfig, reference: Outcome) -> None:
    """When a state cannot be written the run ends with code 4 and words; the older state is intact."""
    assert train(config, [StopAt(6)]).iteration == 6
    state = Path(config.out) / "weights/shapes_last.state"
    before = state.read_bytes()
    process = start(config, limit=len(before) // 2)
    out, _ = process.communicate()
    assert process.returncode == 4, out.decode()
    assert b"cannot be written" in out
    assert state.read_bytes() == before
    assert json.loads((Path(config.out) / "crash.json").read_text())["reason"] == "disk-error"
    assert same(train(config), reference)


def test_a_second_writer_is_refused(config: TrainConfig) -> None:
    """Two processes never write into one folder; the message names the first."""
    with (
        RunFolder(Path(config.out)).locked(),
        pytest.raises(FileError, match=rf"process {os.getpid()} .* is writing"),
    ):
        train(config)


def test_a_training_ends_when_its_lock_is_lost(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """After another machine took the folder over, nothing is written into it."""
    monkeypatch.setattr(lock, "BEAT", 0.02)
    config = replace(config, map_every=0)
    train(config, [StopAt(2)])
    folder = Path(config.out)

    def content() -> dict[str, bytes]:
        return {
            path.name: path.read_bytes() for path in folder.rglob("*") if path.suffix in (".state", ".json")
        }

    class Suspended(Hook):
        def before_step(self, training: TrainingLoop) -> None:
            if training.step.iteration == 4:
                self.before = content()
                deadline = time.monotonic() + 30
                while not training.config.run.is_lost and time.monotonic() < deadline:
                    (folder / "lock").write_text('{"token": "other", "pid": 1}')
                    time.sleep(0.02)

    hook = Suspended()
    with pytest.raises(FileError, match=r"process 1 on .* has taken over this folder"):
        train(config, [hook])
    assert content() == hook.before
    assert json.loads((folder / "lock").read_text())["token"] == "other"


def test_nothing_to_do_and_longer(config: TrainConfig) -> None:
    """A finished run is left as it is; --max-batches extends it and says what that does to the steps."""
    told: list[str] = []
    config = replace(config, max_batches=4)
    train(config)
    final = Path(config.out) / "weights/shapes_final.weights"
    before = final.stat().st_mtime_ns
    assert train(config, notify=told.append).reason == "nothing-to-do"
    assert "nothing to do: iteration 4 of 4 is reached; --max-batches N extends it" in told[-1]
    assert final.stat().st_mtime_ns == before
    outcome = train(resume(Path(config.out), max_batches=8), notify=told.append)
    assert (outcome.reason, outcome.iteration) == ("finished", 8)
    assert "max_batches 4 -> 8" in told
    assert any("steps 3 -> 6: they keep their share" in line for line in told)


def test_another_training_is_refused(config: TrainConfig) -> None:
    """A folder holds one training: another seed is refused with both values."""
    train(config, [StopAt(1)])
    with pytest.raises(ArgumentError, match=r"another seed \(0, not 3\); use another --out; a new run"):
        train(replace(config, seed=3))


def test_restart_moves_the_old_run_aside(config: TrainConfig) -> None:
    """Nothing is overwritten: the old folder gets another name."""
    train(config, [StopAt(2)])
    assert train(replace(config, restart=True, seed=4), [StopAt(1)]).iteration == 1
    aside = Path(config.out).with_name("run.before-1")
    assert checkpoint.load(aside / "weights/shapes_last.state").trainer["iteration"] == 2


def test_a_damaged_state_is_reported(config: TrainConfig) -> None:
    """A truncated state is an error that names the file, not a crash."""
    train(config, [StopAt(2)])
    state = Path(config.out) / "weights/shapes_last.state"
    state.write_bytes(state.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"shapes_last.state: is damaged"):
        train(config)


def test_darknet_weights_continue(config: TrainConfig) -> None:
    """Plain weights continue at the iteration of their counter; losses are reported."""
    first = train(config, [StopAt(6)])
    told: list[str] = []
    again = replace(config, out=Path(config.out).with_name("other"), weights=first.weights["last"])
    outcome = train(again, notify=told.append)
    assert outcome.iteration == LENGTH
    assert any(
        "resuming at iteration 6 (24 images in batches of 4); a weights file does not store momentum" in line
        for line in told
    )
    rows = (outcome.folder / "results.csv").read_text().splitlines()[1:]
    assert int(rows[0].split(",")[1]) == 7
    cleared = replace(again, out=Path(config.out).with_name("cleared"), clear=True)
    assert train(cleared, [StopAt(1)]).iteration == 1


def test_epochs_are_as_many_iterations_at_every_start(config: TrainConfig) -> None:
    """A length that is not a whole number of iterations is rounded in one way: 4 times 16/12 are 6."""
    config = replace(config, batch=12, epochs=4.0)
    told: list[str] = []
    assert train(config, [StopAt(3)], notify=told.append).reason == "signal"
    assert "max_batches 20 -> 6" in told
    told.clear()
    outcome = train(config, notify=told.append)
    assert (outcome.reason, outcome.iteration) == ("finished", 6)
    assert not any("max_batches" in line or "steps" in line for line in told)


def test_no_evaluation_in_the_burn_in_after_a_stop(config: TrainConfig) -> None:
    """A stop does not bring forward the first evaluation, which waits for the end of the burn-in."""
    config = replace(config, map_every=None, settings=("burn_in=600",), max_batches=700)
    assert train(config, [StopAt(2)]).reason == "signal"
    found: list[int] = []

    class Look(StopAt):
        def before_step(self, training: TrainingLoop) -> None:
            found.append(shapes.evaluator(training).next_map)

    train(config, [Look(3)])
    assert found == [600]
    train(replace(config, map_every=5), [Look(4)])  # by will it is
    assert found == [600, 8]


def test_evaluations_that_begin_later(config: TrainConfig) -> None:
    """A run without evaluations that is continued with some has the first when it is planned, not at once."""
    config = replace(config, map_every=0)
    train(config, [StopAt(2)])
    found: list[int | None] = []

    class Look(Hook):
        def after_step(self, training: TrainingLoop, step: Step) -> None:
            found.append(step.iteration if step.times.get("eval") else None)

    train(replace(config, map_every=5), [Look(), StopAt(8)])
    assert found == [None, None, None, None, 7, None]


def test_final_is_written_by_the_next_start(config: TrainConfig, reference: Outcome) -> None:
    """Killed between the last state and ``_final``: the same command writes it, whatever stands there."""
    outcome = train(config)
    final = outcome.weights["final"]
    whole = final.read_bytes()
    final.unlink()
    told: list[str] = []
    assert train(config, notify=told.append).weights["final"].read_bytes() == whole
    assert told[-1] == f"{final} was missing, and is written now"
    train(resume(outcome.folder, max_batches=LENGTH + 2))
    longer = final.read_bytes()
    final.write_bytes(whole)  # that of the shorter schedule
    assert train(resume(outcome.folder)).reason == "nothing-to-do"
    assert final.read_bytes() == longer != whole


def test_a_second_interrupt_breaks_the_iteration_off(
    config: TrainConfig, reference: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an iteration nothing is saved; the error is the interrupt, the state that of before."""
    update = Trainer.update

    def interrupted(trainer: Trainer) -> None:
        if trainer.iteration == 8:
            raise KeyboardInterrupt
        update(trainer)

    monkeypatch.setattr(Trainer, "update", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(config)
    monkeypatch.setattr(Trainer, "update", update)
    words = json.loads((Path(config.out) / "crash.json").read_text())
    assert words["reason"] == "signal"
    state = checkpoint.load(Path(config.out) / "weights/shapes_last.state")
    assert state.trainer["iteration"] == 7  # of the evaluation
    assert same(train(config), reference)


def test_a_reason_of_a_hook_saves_too(config: TrainConfig, reference: Outcome) -> None:
    """Whatever reason a hook has to stop, the iterations that were done are saved."""

    class Enough(Hook):
        def after_step(self, training: TrainingLoop, step: Step) -> None:
            if step.iteration == 5:
                training.stop_reason = "early-stop"

    assert train(config, [Enough()]).reason == "early-stop"
    state = checkpoint.load(Path(config.out) / "weights/shapes_last.state")
    assert state.trainer["iteration"] == 5
    assert state.meta["hooks"]["diagnostics"]["lowest"] == []  # in the burn-in
    assert train(config, [StopAt(7)]).iteration == 7
    meta = checkpoint.load(Path(config.out) / "weights/shapes_last.state").meta
    assert meta["hooks"]["diagnostics"]["lowest"][-1] == meta["training"]["avg_loss"]
    assert same(train(config), reference)


@pytest.mark.parametrize("words", [["--clear"], ["--restart"], ["--out", "other"]])
def test_options_that_resume_refuses(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    """--resume takes no option that it would have to ignore."""
    assert run(monkeypatch, "train", "--resume", "runs/x", *words) == 2
    assert f"--resume takes this setting from the run; leave out {words[0]}" in capsys.readouterr().err


def test_an_extended_run_that_was_killed_resumes(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A run that was extended after its end does not get a new numbered folder."""
    monkeypatch.chdir(tmp_path)
    config = replace(config, out=None, max_batches=2)
    assert train(config).reason == "finished"
    longer = replace(config, max_batches=4)

    def killed(*_: object) -> None:
        raise OSError("nothing of the end is written")

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "finish", killed)
        with pytest.raises(OSError, match="nothing of the end"):
            train(longer, [StopAt(3)])
    outcome = train(longer)
    assert (outcome.folder, outcome.iteration) == (Path("runs/shapes-1"), 4)
