# SPDX-License-Identifier: Apache-2.0
"""SageMaker's contract on a folder: what is read, what is written, how it fails, how it resumes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import shapes
from helpers import run

from pydarknet import Network

HYPERPARAMETERS = {
    "max_batches": "6",
    "map-every": "3",
    "last_every": "2",
    "seed": '"7"',
    "no-plots": "true",
    "force": "false",
    "set": "hue=0.05 saturation=1.2",
    "sagemaker_region": '"eu-west-1"',
    "dump-batches": "0",
}


def write(root: Path, name: str, content: Any) -> None:
    path = root / "input" / "config" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """FX-shapes in channels cfg, images, labels: labels lie beside the folder of the images, as in YOLOv5."""
    root = tmp_path / "ml"
    channels = root / "input" / "data"
    for name in ("cfg", "images", "labels"):
        (channels / name).mkdir(parents=True)
    shapes.data_set(tmp_path / "ds", train=8)
    for path in (tmp_path / "ds").glob("*/*"):
        place = channels / ("labels" if path.suffix == ".txt" else "images") / path.parent.name
        place.mkdir(exist_ok=True)
        shutil.copy(path, place)
    shapes.cfg(channels / "cfg", size=32)
    names = "\n".join(f"  {i}: {name}" for i, name in enumerate(shapes.NAMES))
    (channels / "cfg" / "data.yaml").write_text(
        f"path: ..\ntrain: images/train\nval: images/valid\nnc: 3\nnames:\n{names}\n"
    )
    write(root, "hyperparameters", HYPERPARAMETERS)
    write(root, "inputdataconfig", {name: {"TrainingInputMode": "File"} for name in ("cfg", "images")})
    write(root, "resourceconfig", {"current_host": "algo-1", "hosts": ["algo-1"]})
    return root


def train(monkeypatch: pytest.MonkeyPatch, root: Path) -> int:
    return run(monkeypatch, "sagemaker", "train", "--ml-root", root)


def test_a_training_leaves_a_model_and_an_endpoint_serves_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "output").mkdir()
    (root / "output" / "failure").write_text("of the last time")
    assert train(monkeypatch, root) == 0
    model = root / "model"
    assert sorted(path.name for path in model.iterdir()) == [
        *("model.cfg", "model.json", "model.names", "model.weights", "results.csv", "run.json")
    ]
    settings = json.loads((model / "run.json").read_text())["config"]
    assert settings["seed"] == 7
    assert settings["settings"] == ["hue=0.05", "saturation=1.2"]
    assert (root / "output" / "data" / "train.log").is_file()
    assert not (root / "output" / "failure").exists()
    with Network(model / "model.cfg", model / "model.weights", names=model / "model.names") as network:
        image = next((root / "input" / "data" / "images").glob("*/*.png"))
        expected = network.detect(image, thresh=0.01).to_records()
        assert network.names == shapes.NAMES
    (model / "code").mkdir()
    (model / "code" / "endpoint_answer.py").write_text(
        "def answer(found, image, query): return {'records': found.to_records()}\n"
    )
    more = {"PYDARKNET_THRESH": "0.01", "PYDARKNET_HANDLER": "endpoint_answer:answer"}
    more |= {"PYDARKNET_CONF": "0.9", "PYDARKNET_LIBRARY": "", "PYDARKNET_HTTP_TOKEN": "x"}
    command = [sys.executable, "-m", "pydarknet", "sagemaker", "serve", "--ml-root", str(root), "--json"]
    environment = {**os.environ, **more, "SAGEMAKER_BIND_TO_PORT": "0"}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment) as server:
        assert server.stdout is not None
        assert server.stderr is not None
        facts = json.loads(server.stdout.readline())
        assert facts["token"] == ""
        url = f"http://127.0.0.1:{httpx.URL(facts['url']).port}/invocations"
        answer = httpx.post(url, content=image.read_bytes(), timeout=20, trust_env=False)
        assert answer.json() == {"records": expected}
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0
        said = server.stderr.read()
    assert "warning: PYDARKNET_CONF has no effect; did you mean PYDARKNET_THRESH?" in said
    assert said.count("no effect") == 1


def test_a_training_that_was_lost_resumes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the weights of one that was not: only the checkpoints are kept."""
    whole = root.parent / "whole"
    shutil.copytree(root, whole)
    assert train(monkeypatch, whole) == 0
    write(
        root,
        "hyperparameters",
        {**HYPERPARAMETERS, "max-hours": "0.0000001"},
    )
    assert train(monkeypatch, root) == 0
    log = root / "checkpoints" / "run" / "results.csv"
    done = len(log.read_text().splitlines()) - 1
    assert 0 < done < 6
    for folder in ("model", "output"):
        shutil.rmtree(root / folder)
    write(root, "hyperparameters", HYPERPARAMETERS)
    assert train(monkeypatch, root) == 0
    runs = [place / "checkpoints" / "run" / "weights" / "shapes_final.weights" for place in (whole, root)]
    assert runs[0].read_bytes() == runs[1].read_bytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epoch": "3"}, "hyperparameters.json: No such option '--epoch'. Did you mean --epochs?"),
        ({"lr0": "0.1"}, "Use --lr."),
        ({"epochs": "many"}, "'many' is not a valid float"),
        ({"epochs": "-1", "max_batches": None}, "found epochs=-1, expected more than 0"),
        ({"no-plots": "perhaps"}, "found no-plots='perhaps', expected true or false"),
        ({"out": "runs/x"}, "'out' has no effect in a container"),
        ({"weights": "nothing.weights"}, "found weights='nothing.weights', which is in no channel"),
    ],
)
def test_hyperparameters_that_cannot_be_used(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, str | None],
    message: str,
) -> None:
    """The reason is in output/failure, and on stderr."""
    values = {name: text for name, text in {**HYPERPARAMETERS, **changes}.items() if text is not None}
    write(root, "hyperparameters", values)
    assert train(monkeypatch, root) != 0
    assert message in (root / "output" / "failure").read_text()
    assert message in capsys.readouterr().err
    assert not (root / "model").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("resourceconfig", {"hosts": ["algo-1", "algo-2"]}, "found 2 hosts, expected 1"),
        ("inputdataconfig", {"masks": {}}, "there is no such folder"),
        ("inputdataconfig", {"cfg": {"TrainingInputMode": "Pipe"}}, "is a pipe; expected the mode File"),
        ("hyperparameters", [], "is not a JSON object"),
    ],
)
def test_a_configuration_that_cannot_be_used(
    root: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: Any, message: str
) -> None:
    write(root, name, content)
    assert train(monkeypatch, root) == 2
    assert message in (root / "output" / "failure").read_text()


def test_inputs_that_are_ambiguous_or_missing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = root / "input" / "data" / "cfg"
    shutil.copy(cfg / "shapes.cfg", cfg / "other.cfg")
    assert train(monkeypatch, root) == 2
    assert (
        "has other.cfg, shapes.cfg; the hyperparameter 'cfg' chooses one"
        in (root / "output" / "failure").read_text()
    )
    for path in cfg.glob("*.cfg"):
        path.unlink()
    assert train(monkeypatch, root) == 2
    assert "there is no cfg file in any channel" in (root / "output" / "failure").read_text()


def test_a_failure_of_the_training_is_reported(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (root / "input" / "data" / "images").glob("*/*.png"):
        path.write_bytes(b"damaged")
    assert train(monkeypatch, root) == 3
    assert (root / "output" / "failure").read_text().strip()
