# SPDX-License-Identifier: Apache-2.0
"""Plain facts that a training reports: random and frozen layers, device, settings, failures once."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import shapes
from helpers import run
from shapes import StopAt

from pydarknet import TrainConfig
from pydarknet.cfg import CfgFile
from pydarknet.errors import ArgumentError, CfgError, DataError, HookError
from pydarknet.training import Hook, Step, checkpoint, train
from pydarknet.training.loop import TrainingLoop
from pydarknet.weights import file as weights_file
from pydarknet.weights.pack import Parts, pack


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    data, cfg = shapes.data_set(tmp_path / "ds"), shapes.cfg(tmp_path, 12)
    return TrainConfig(cfg, data, out=tmp_path / "run", threads=1, force=True, plots=False, map_every=0)


def told(config: TrainConfig, until: int = 1) -> list[str]:
    lines: list[str] = []
    train(config, [StopAt(until)], notify=lines.append)
    return lines


# -- random and frozen layers


def test_a_random_start_is_reported(config: TrainConfig) -> None:
    """Once, by a new run; "none" is no file."""
    text = "no --weights: all layers begin with random values"
    assert text in told(config)
    assert text not in told(config, 2)
    assert replace(config, weights="none").weights is None
    weights = Path(config.out or "") / "weights/shapes_last.weights"
    assert text not in told(replace(config, weights=weights, out=weights.parent.with_name("b")), 3)


def test_freezing_random_layers_is_refused(config: TrainConfig, tmp_path: Path) -> None:
    """The heads would train on noise: without weights, and with a file of fewer layers."""
    with pytest.raises(ArgumentError, match="no --weights: layers 0 to 1 are frozen with random values"):
        train(replace(config, freeze="2"))
    told(replace(config, restart=True))
    whole = weights_file.load(Path(config.out or "") / "weights/shapes_last.weights")
    first = tmp_path / "first.weights"
    weights_file.save(first, whole.header, [whole.values[: 4 * 8 + 8 * 3 * 9]])
    new = replace(config, weights=first, out=tmp_path / "b", clear=True)
    with pytest.raises(ArgumentError, match=r"first.weights has 1 layers: layers 1 to 1 are frozen"):
        train(replace(new, freeze="2"))
    assert "layers 0 to 0 are frozen" in told(replace(new, freeze="1", restart=True))


def test_frozen_random_layers_of_a_cfg_are_reported(config: TrainConfig) -> None:
    cfg = CfgFile.load(config.cfg)
    cfg.layers[1].set("stopbackward", 1)
    cfg.save()
    assert any("layers 0 to 1 are frozen with random values" in line for line in told(config))


# -- device


def test_the_device_is_reported(config: TrainConfig) -> None:
    config = replace(config, backend="ref", precision="fp32")
    assert "computing on ref, fp32, 1 threads" in told(config)


# -- output from Python


def test_python_prints_what_the_command_prints(
    config: TrainConfig, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Notices and evaluations by default; nothing with verbose=False, where the log has them."""
    config = replace(config, map_every=2)
    train(config, [StopAt(3)])
    out = capsys.readouterr().out
    assert "no --weights: all layers begin with random values" in out
    assert "computing on" in out
    assert "mAP50" in out
    with caplog.at_level(logging.INFO, "pydarknet"):
        train(config, [StopAt(5)], verbose=False)
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "")
    assert "resuming at iteration 3 of 12" in caplog.text


def test_a_bar_on_a_terminal(
    config: TrainConfig, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    train(replace(config, max_batches=3))
    assert "3/3" in capsys.readouterr().err


# -- failures


def test_a_failed_preflight_is_printed_once(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = shapes.cfg(Path(config.cfg).parent, 3)  # too short
    words = ["train", "--cfg", cfg, "--data", config.data, "--out", config.out]
    assert run(monkeypatch, *words) == 3
    printed = capsys.readouterr()
    assert (printed.out + printed.err).count("L-08") == 1


def test_the_report_of_a_crash_does_not_outlive_it(config: TrainConfig) -> None:
    shapes.cfg(Path(config.cfg).parent, 3)  # too short
    with pytest.raises(DataError, match="preflight"):
        train(replace(config, force=False))
    crash = Path(config.out or "") / "crash.json"
    assert json.loads(crash.read_text())["reason"] == "data-error"
    told(config)
    assert not crash.exists()


def test_a_reason_that_there_is_not(config: TrainConfig) -> None:
    """The error names the reasons; what was trained is saved."""

    class Enough(Hook):
        def after_step(self, training: TrainingLoop, step: Step) -> None:
            if step.iteration == 3:
                training.stop_reason = "good enough"

    with pytest.raises(HookError, match=r"in after_step.*'good enough', expected one of finished"):
        train(config, [Enough()])
    assert checkpoint.load(Path(config.out or "") / "weights/shapes_last.state").trainer["iteration"] == 3


def test_a_state_that_is_not_json(config: TrainConfig) -> None:
    class Odd(Hook):
        name = "odd"

        def state(self) -> dict[str, object]:
            return {"path": Path("x")}

    with pytest.raises(HookError, match="the hook Odd failed in state: it is not made of JSON values"):
        train(config, [Odd(), StopAt(2)])


# -- settings


def test_a_key_of_another_section_is_suggested(config: TrainConfig) -> None:
    with pytest.raises(CfgError, match=r"'jitter'.*did you mean 'yolo.jitter'\?"):
        train(replace(config, settings=("jitter=0",)))


def test_weights_every_some_epochs(config: TrainConfig) -> None:
    """16 images in batches of 4: an epoch has 4 iterations."""
    train(replace(config, save_every="1.5e", keep="all"))
    numbers = {path.name for path in (Path(config.out or "") / "weights").glob("shapes_[0-9]*.weights")}
    assert numbers == {"shapes_6.weights", "shapes_12.weights"}
    for wrong in ("e", "0", "0e", "-1", "1.5", "nane", "infe", "x"):
        with pytest.raises(
            ArgumentError, match=r"found save_every='.*', expected a number of iterations, or"
        ):
            replace(config, save_every=wrong)


def test_a_pack_has_the_map_of_its_weights(config: TrainConfig, tmp_path: Path) -> None:
    outcome = train(replace(config, map_every=4))
    cfg, folder = outcome.folder / "shapes.cfg", outcome.folder / "weights"
    pack(Parts(cfg, folder / "shapes_final.weights", None), tmp_path / "final")
    card = json.loads((tmp_path / "final/model.json").read_text())
    summary = json.loads((outcome.folder / "summary.json").read_text())
    (expected,) = [file["map50"] for file in summary["files"] if file["kind"] == "final"]
    assert card["map50"] == expected is not None
