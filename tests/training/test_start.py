# SPDX-License-Identifier: Apache-2.0
"""Decisions and notices before the first iteration: time, memory, precision, hold-out, caches."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import shapes
from helpers import run
from shapes import StopAt

from pydarknet import TrainConfig
from pydarknet.cfg import CfgFile
from pydarknet.cfg.memory import training_memory
from pydarknet.data import album, read
from pydarknet.data.album import ImageCache
from pydarknet.data.splits import Splits
from pydarknet.engine._core import build_info
from pydarknet.engine.trainer import Trainer
from pydarknet.errors import ArgumentError, BackendError, DataError, FileError
from pydarknet.training import Hook, Step, effective_cfg, estimate, eta, startup_checks, train
from pydarknet.training.loop import TrainingLoop
from pydarknet.training.notices import Notices
from pydarknet.training.run import resume


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    data, cfg = shapes.data_set(tmp_path / "ds"), shapes.cfg(tmp_path, 600)
    return TrainConfig(cfg, data, out=tmp_path / "run", threads=1, force=True, map_every=200, plots=False)


@pytest.mark.parametrize("name", ["threads", "workers"])
def test_threads_are_bounded(config: TrainConfig, name: str) -> None:
    with pytest.raises(ArgumentError, match=rf"found .*{name}.*expected 1 to \d+.* \d+ cores"):
        train(replace(config, **{name: 100_000}))


# -- time


def test_estimate(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """--estimate measures, keeps nothing, and adds up; --json has the same values."""
    words = ["train", "--cfg", config.cfg, "--data", config.data, "--out", config.out, "--force"]
    words += ["--threads", 1, "--map-every", 200]
    assert run(monkeypatch, *words, "--estimate", "--max-hours", 1e-4, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert not Path(config.out or "").exists()
    assert (found["iteration"], found["max_batches"], found["evaluations"]) == (0, 600, 3)
    parts = found["load"] + found["compute"] + found["update"]
    assert found["seconds"] == pytest.approx(parts)
    whole = 600 * found["seconds"] + 3 * found["evaluation_seconds"]
    assert found["hours"] == pytest.approx(whole / 3600)
    assert found["sessions"] == -(-found["hours"] // 1e-4) > 1
    assert found["memory_bytes"] > 2**20
    assert found["subdivisions"] == 2
    assert found["smallest_subdivisions"] == 1
    assert run(monkeypatch, *words, "--estimate", "--max-batches", 9) == 3
    assert "shorter than the 10 iterations" in capsys.readouterr().err
    assert run(monkeypatch, *words, "--json") == 2


def test_an_estimate_asks_for_free_memory_before_it_takes_any(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Trainer] = []
    init = Trainer.__init__

    def noted(trainer: Trainer, *arguments: Any) -> None:
        made.append(trainer)
        init(trainer, *arguments)

    monkeypatch.setattr(Trainer, "__init__", noted)
    monkeypatch.setattr(eta, "free_memory", lambda _: 123 * 2**30 if not made else 0)
    assert estimate(replace(config, max_batches=20)).free_bytes == 123 * 2**30
    assert made


def test_estimate_of_the_rest(config: TrainConfig) -> None:
    """A run that was begun is estimated from where it stands."""
    train(config, [StopAt(250)])
    found = estimate(config)
    assert (found.iteration, found.evaluations) == (250, 2)
    assert f"from iteration 250 to {600}" in found.text()


def test_estimate_that_is_interrupted(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while it measures is an interrupt, and not a training that is too short."""
    update = Trainer.update

    def pressed(trainer: Trainer) -> None:
        update(trainer)
        if trainer.iteration == 2:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Trainer, "update", pressed)
    with pytest.raises(KeyboardInterrupt):
        estimate(replace(config, max_batches=40))


def test_no_plots(config: TrainConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """--no-plots leaves out plots and report, the same command without it does not."""
    words = ["train", "--cfg", config.cfg, "--data", config.data, "--max-batches", 1, "--force", "--quiet"]
    drawn = {"labels.png", "chart.png", "report.html"}
    for folder, more, expected in ((tmp_path / "a", ["--no-plots"], set()), (tmp_path / "b", [], drawn)):
        assert run(monkeypatch, *words, "--out", folder, *more) == 0
        assert drawn & {path.name for path in folder.iterdir()} == expected


def test_every_run_reports_the_rest(config: TrainConfig) -> None:
    """After the first iterations; more than --max-hours is sessions, not an error."""
    told: list[str] = []
    train(config, [StopAt(12)], notify=told.append)
    (line,) = [line for line in told if line.startswith("note L-33: 590 iterations of ")]
    assert "sessions" not in line

    class Slow(Hook):
        def after_step(self, training: TrainingLoop, step: Step) -> None:
            step.times.update(load=0.0, compute=36.0, update=0.0)

    train(replace(config, max_hours=2.0, restart=True), [Slow(), StopAt(11)], notify=told.append)
    assert "590 iterations of 36 s take 5.9 hours" in told[-1]
    assert "3 sessions of --max-hours 2, each of which saves and stops in time" in told[-1]


# -- memory


def test_memory_is_reported_or_refused(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Need and fitting subdivisions are reported; too large a need is an error with the number to use."""
    told: list[str] = []
    train(config, [StopAt(1)], notify=told.append)
    (line,) = [line for line in told if line.startswith("memory: about")]
    assert "for 2 images at a time" in line
    assert "subdivisions=1 would fit too" in line
    big = replace(config, size=(1024, 1024), batch=64, subdivisions="1", out=Path(config.cfg).parent / "big")
    monkeypatch.setattr("pydarknet.check.rules_cfg.free_memory", lambda _: 2**30)
    with pytest.raises(DataError, match=r"error +L-14(.|\n)*Set subdivisions=\d+ or more"):
        train(replace(big, force=False))


# -- precision


def test_precision_is_settled_once(config: TrainConfig) -> None:
    """auto is what the backend prefers here; a run keeps what it began with, wherever it is resumed."""
    train(replace(config, precision="auto"), [StopAt(1)])
    kept = json.loads((Path(config.out or "") / "run.json").read_text())["config"]["precision"]
    costs = {precision["name"]: precision["reason"] for precision in _precisions(config.backend)}
    assert kept == ("fp32" if costs.get("bf16", "not there") else "bf16")
    notices = Notices(lambda _: None)
    before = replace(config, precision="fp32")
    assert startup_checks.settle_precision(config, before, notices) == "fp32"
    assert not notices.kept
    if "bf16" in costs:
        forced = replace(config, precision="bf16")
        assert startup_checks.settle_precision(forced, before, notices) == "bf16"
        assert notices.changes == ["precision fp32 -> bf16: results will no longer be bit-identical"]


def _precisions(backend: str) -> list[dict[str, str]]:
    """Precisions of a backend that is available, each with what it costs here."""
    backends = [
        one for one in build_info()["backends"] if one["available"] and backend in ("auto", one["name"])
    ]
    return list(backends[0]["precisions"])


def test_what_a_precision_costs_here_is_reported(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run begun in bf16 is resumed in bf16 on a processor that multiplies it as fp32."""
    notices = Notices(lambda _: None)
    reason = "this CPU multiplies bf16 as fp32"
    made = SimpleNamespace(place="cpu", threads=1, precision="bf16", precision_reason=reason)
    monkeypatch.setattr(startup_checks, "engine_info", lambda *_: made)
    before = replace(config, precision="bf16")
    assert startup_checks.settle_precision(config, before, notices) == "bf16"
    assert notices.kept == [reason]
    assert startup_checks.settle_precision(config, None, notices) == "bf16"
    assert len(notices.kept) == 1  # why the backend prefers it is not asked


def test_a_precision_that_is_not_there(config: TrainConfig) -> None:
    with pytest.raises(BackendError, match='"ref": found precision bf16, expected fp32 or auto'):
        train(replace(config, backend="ref", precision="bf16"))


def test_a_run_whose_precision_this_machine_lacks_continues_in_another(config: TrainConfig) -> None:
    """A build without oneDNN has only fp32: it resumes a bf16 run all the same, and reports what is lost."""
    train(replace(config, backend="ref", precision="fp32"), [StopAt(1)])
    file = Path(config.out or "") / "run.json"
    record = json.loads(file.read_text())
    record["config"]["precision"] = "bf16"  # as if begun elsewhere
    record["sessions"][0] |= {"backend": "cpu", "device": "avx512_core_bf16"}
    file.write_text(json.dumps(record))
    told: list[str] = []
    resumed = replace(resume(config.out or ""), backend="ref")
    train(resumed, [StopAt(2)], notify=told.append)
    assert "precision bf16 -> fp32: results will no longer be bit-identical" in told
    assert any("computed on cpu (avx512_core_bf16) so far, on ref from now on" in line for line in told)
    after = json.loads(file.read_text())
    assert after["config"]["precision"] == "fp32"
    assert [session["precision"] for session in after["sessions"]] == ["fp32", "fp32"]  # the first is made up
    lost = "precision bf16 -> fp32: results will no longer be bit-identical"
    assert lost in after["sessions"][1]["inputs"]["changes"]
    assert any("rounding depends on it" in note for note in after["sessions"][1]["notes"])


def test_another_thread_count_is_reported(config: TrainConfig) -> None:
    """Rounding depends on the thread count: a resumed run reports another count."""
    told: list[str] = []
    train(config, [StopAt(1)], notify=told.append)
    train(config, [StopAt(2)], notify=told.append)
    assert not any("computed in" in line for line in told)
    train(replace(config, threads=2), [StopAt(3)], notify=told.append)
    assert any("computed in 1 threads so far, in 2 from now on" in line for line in told)
    assert any("(--threads 1 keeps them so)" in line for line in told)


def test_bf16_resumes_on_a_lesser_processor(config: TrainConfig) -> None:
    """Another instruction set rounds sums differently: the run continues in bf16 there, and reports it."""
    started = replace(config, precision="bf16", max_batches=3)
    if "bf16" not in {precision["name"] for precision in _precisions(config.backend)}:
        pytest.skip("no backend of this build has bf16")
    train(started, [StopAt(1)])
    device = build_info()["backends"][0]["device"]
    limit = "SSE41" if device.startswith("avx2") else "AVX2"
    done = subprocess.run(
        [sys.executable, "-m", "pydarknet", "train", "--resume", str(config.out)],
        env={**os.environ, "ONEDNN_MAX_CPU_ISA": limit},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"computed on cpu ({device}) so far, on cpu ({limit.lower()}) from now on" in done.stdout
    assert "precision" not in done.stderr
    record = json.loads((Path(config.out or "") / "run.json").read_text())
    assert [session["device"] for session in record["sessions"]] == [device, limit.lower()]
    assert record["config"]["precision"] == "bf16"
    assert record["result"]["iteration"] == 3
    assert any("results will no longer be bit-identical" in note for note in record["result"]["notes"])
    assert done.stdout.startswith(f"computing on cpu ({limit.lower()}), bf16, 1 threads\n")


def test_the_device_of_a_run_can_change(config: TrainConfig) -> None:
    """What is chosen now counts, also where it contradicts what the run began with."""
    told: list[str] = []
    train(replace(config, backend="ref", precision="fp32"), [StopAt(1)], notify=told.append)
    assert told[0] == "computing on ref, fp32, 1 threads"
    before = resume(config.out or "", device="cpu")
    assert (before.device, before.backend) == ("cpu", "auto")
    train(before, [StopAt(2)], notify=told.append)
    record = json.loads((Path(config.out or "") / "run.json").read_text())
    assert record["machine"]["computes_on"].startswith(record["sessions"][1]["backend"])
    assert record["sessions"][1]["libraries"].keys() <= record["versions"].keys()
    with pytest.raises(BackendError, match='"cuda:99"'):
        train(resume(config.out or "", device="cuda:99"))


# -- hold-out


def test_hold_out(config: TrainConfig) -> None:
    """A seeded share, disjoint from what is trained on, each different image on one side only."""
    place = Path(config.data)
    text = place.read_text()
    place.write_text("".join(line for line in text.splitlines(True) if not line.startswith("valid")))
    listed = place.parent / "train.txt"
    lines = listed.read_text().splitlines(True)
    listed.write_text("".join(lines + lines[:3]))  # a weight of 2 for the first ones
    sets = Splits.of(read(place), 0.25, seed=1)
    train_files, valid_files = ({str(s.image) for s in part} for part in (sets.train, sets.valid))
    assert len(valid_files) == 4
    assert len(train_files) == 12
    assert not train_files & valid_files
    again, other = ({str(s.image) for s in Splits.of(read(place), 0.25, seed).valid} for seed in (1, 2))
    assert again == valid_files != other
    told: list[str] = []
    outcome = train(replace(config, val_fraction=0.25, max_batches=3), notify=told.append)
    assert outcome.best is not None
    assert not any("L-19" in line or "no validation images" in line for line in told)
    with pytest.raises(ArgumentError, match="another val_fraction"):
        train(replace(config, val_fraction=0.5))
    with pytest.raises(DataError, match="puts 0 of"):
        Splits.of(read(place), 0.001)


def test_hold_out_needs_a_reason(config: TrainConfig) -> None:
    with pytest.raises(DataError, match="already has 4 validation images; leave out --val-fraction"):
        train(replace(config, val_fraction=0.25))
    with pytest.raises(ArgumentError, match="found val_fraction=1, expected more than 0 and less than 1"):
        replace(config, val_fraction=1.0)


# -- caches and folders


def test_a_cache_that_does_not_fit(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """RAM: reported, and as much as possible is kept.  Disk: refused before the start."""
    told: list[str] = []
    need = 20 * 96 * 96 * 3
    assert Splits.of(read(Path(config.data))).bytes(3) == need
    monkeypatch.setattr(album, "available_memory", lambda: need)
    assert train(replace(config, cache="ram", max_batches=2), notify=told.append).reason == "finished"
    assert any("cache ram:" in line and "are decoded every time" in line for line in told)
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=need - 1))
    with pytest.raises(FileError, match=r"the decoded images take .* are free; leave out --cache disk"):
        train(replace(config, cache="disk", restart=True))


def test_caches_share_what_the_training_leaves_free(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of it, for the images of training and validation together."""
    cfg = CfgFile.load(config.cfg)
    need = training_memory(cfg, precision=config.precision, backend=config.engine_backend).total
    image = 96 * 96 * 3
    monkeypatch.setattr(album, "available_memory", lambda: need + 2 * 3 * image)
    room = startup_checks.cache_room(replace(config, cache="ram"), cfg)
    assert room is not None
    sets = Splits.of(read(Path(config.data)))
    caches = [ImageCache(part, 3, "ram", room=room) for part in (sets.train, sets.valid)]
    with ThreadPoolExecutor(4) as pool:
        for cache in caches:
            list(pool.map(cache.pixels, [0, 1, 0, 1]))
    assert [len(cache._ram) for cache in caches] == [2, 1]
    assert room.left == 0
    monkeypatch.setattr(album, "available_memory", lambda: need - 1)
    room = startup_checks.cache_room(replace(config, cache="ram"), cfg)
    assert room is not None
    assert room.left == 0
    assert startup_checks.cache_room(config, cfg) is None


def test_automatic_subdivisions_of_workers(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch must be divisible; main memory is shared by the workers, that of a GPU is not."""
    auto = replace(config, subdivisions="auto", batch=64)
    monkeypatch.setattr(effective_cfg, "launched", lambda: 3)
    with pytest.raises(ArgumentError, match="found batch=64 with 3 workers, expected a multiple of 3"):
        effective_cfg.requested_cfg(auto, print)
    monkeypatch.setattr(effective_cfg, "launched", lambda: 2)
    monkeypatch.setattr(effective_cfg, "launched_here", lambda: 2)
    for on_gpu in (False, True):
        told: list[str] = []
        monkeypatch.setattr(effective_cfg, "is_gpu", lambda _, on_gpu=on_gpu: on_gpu)
        effective_cfg.requested_cfg(auto, told.append)
        assert ("the share of each of 2 workers" in told[0]) != on_gpu


def test_a_folder_that_cannot_be(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing folder is created with its parents; one below a file is refused first."""
    deep = Path(config.out or "") / "a/b c/run"
    assert train(replace(config, out=deep, max_batches=1)).folder == deep
    (deep / "file").write_text("")
    words = ["train", "--cfg", config.cfg, "--data", config.data, "--force", "--quiet"]
    assert run(monkeypatch, *words, "--out", deep / "file/run") == 4
    assert "cannot be created: Not a directory" in capsys.readouterr().err


def test_weights_of_another_batch_are_explained(config: TrainConfig, tmp_path: Path) -> None:
    """Darknet's counter is of images: with another batch it is another iteration, which is reported."""
    first = train(config, [StopAt(6)])
    assert CfgFile.load(config.cfg).net.integer("batch") == 4
    told: list[str] = []
    again = replace(config, weights=first.weights["last"], out=tmp_path / "other", batch=2)
    assert train(again, [StopAt(13)], notify=told.append).iteration == 13
    assert any(
        "resuming at iteration 12 (24 images in batches of 2)" in line and "--clear starts at 0" in line
        for line in told
    )


# -- the preflight


def test_a_length_that_was_given_does_not_stop_a_training(config: TrainConfig) -> None:
    """500 iterations of the cfg are refused as far too short; ``--epochs`` and ``--ignore`` are decisions."""
    strict = replace(config, force=False, settings=("max_batches=500", "steps=400,450"))
    with pytest.raises(DataError, match=r"error   L-08"):
        train(strict)
    told: list[str] = []
    assert train(replace(strict, epochs=0.5), notify=told.append).reason == "finished"
    assert any(line.startswith("warning L-08") for line in told)
    assert any(line.startswith("warning L-10") for line in told)
    assert train(replace(strict, ignore=("L-08",), restart=True), [StopAt(1)]).iteration == 1
    with pytest.raises(ArgumentError, match="'L-99' is not a rule; `pydarknet check --rules` lists them"):
        train(replace(strict, ignore=("L-99",), restart=True))


def test_labels_in_another_folder_are_named(config: TrainConfig) -> None:
    """As the preflight says: where a label was searched, and where one seems to be."""
    images = Path(config.data).parent
    moved = images / "annotations"
    moved.mkdir()
    for label in sorted(images.rglob("*.txt")):
        if label.with_suffix(".png").exists() or label.with_suffix(".jpg").exists():
            label.rename(moved / label.name)
    with pytest.raises(DataError, match=r"(?s)no images to train on.*L-20: .* tried .*L-21: .*annotations"):
        train(config)
