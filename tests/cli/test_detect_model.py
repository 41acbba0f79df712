# SPDX-License-Identifier: Apache-2.0
"""``detect`` and ``eval`` with a pack and with the folder of a run; ``detect`` at another size."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import run

from pydarknet.weights.pack import Parts, pack


@pytest.fixture(autouse=True)
def _here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_files: tuple[Path, Path], levels: np.ndarray
) -> None:
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("x.png", levels)
    Path("tiny.names").write_text("plate\n")
    Path("run/weights").mkdir(parents=True)
    Path("run/run.json").write_text('{"names": ["plate"]}')
    Path("run/net.cfg").write_text(tiny_files[0].read_text())
    for name in ("net_last", "net_best"):
        Path(f"run/weights/{name}.weights").write_bytes(tiny_files[1].read_bytes())


@pytest.mark.parametrize(
    "model",
    [
        ["model.tar.gz"],
        ["--weights", "model.tar.gz"],
        ["packed"],
        ["run"],
        ["--weights", "run"],
        ["--weights", "run/weights/net_last.weights"],
        ["run/weights/net_best.weights"],
    ],
)
def test_a_model(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], model: list[str]
) -> None:
    parts = Parts(Path("tiny.cfg"), Path("tiny.weights"), Path("tiny.names"))
    pack(parts, Path("model.tar.gz"))
    pack(parts, Path("packed"))
    assert run(monkeypatch, "detect", *model, "x.png", "--to", "jsonl=-", "--thresh", 0.5) == 0
    (found,) = json.loads(capsys.readouterr().out)["objects"]
    assert found["name"] == "plate"
    assert found["confidence"] == pytest.approx(0.7304, abs=5e-3)


def test_a_damaged_pack(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    Path("model.tar.gz").write_bytes(b"nothing")
    assert run(monkeypatch, "detect", "model.tar.gz", "x.png") == 1
    assert "model.tar.gz: cannot be read as a pack" in capsys.readouterr().err


def test_weights_without_a_network(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "detect", "--weights", "tiny.weights", "x.png") == 2
    assert "Missing option '--cfg': the network of these weights" in capsys.readouterr().err


def test_another_size(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """As ``Network.resize``: more cells find more objects."""
    from pydarknet import Network

    with Network("tiny.cfg", "tiny.weights", names="tiny.names", precision="fp32") as network:
        network.resize(8, 16)
        expected = network.detect("x.png").to_records()
    line = ["detect", "tiny.cfg", "tiny.weights", "x.png", "--size", "8x16", "--precision", "fp32"]
    assert run(monkeypatch, *line, "--to", "jsonl=-") == 0
    assert json.loads(capsys.readouterr().out)["objects"] == expected
    assert run(monkeypatch, *line[:-4], "--size", "7") == 1
    assert "expected multiples of its stride 2" in capsys.readouterr().err


@pytest.fixture
def labelled() -> None:
    Path("x.txt").write_text("0 0.75 0.75 0.5 0.5\n")
    Path("valid.txt").write_text("x.png\n")
    Path("obj.data").write_text("classes = 1\nvalid = valid.txt\nnames = tiny.names\n")


@pytest.mark.parametrize(
    "model",
    [
        ["run"],
        ["model.tar.gz"],
        ["run/weights/net_best.weights"],
        ["--weights", "run"],
        ["run/net.cfg", "run/weights/net_last.weights"],
        ["run/net.cfg", "--weights", "run/weights/net_last.weights"],
        ["run", "--compare", "model.tar.gz"],
    ],
)
@pytest.mark.usefixtures("labelled")
def test_a_model_is_evaluated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], model: list[str]
) -> None:
    pack(Parts(Path("run/net.cfg"), Path("run/weights/net_last.weights"), None), Path("model.tar.gz"))
    assert run(monkeypatch, "eval", *model, "--data", "obj.data", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["map50"] == 1  # one object, found at its place
    if "--compare" in model:
        assert found["compare"]["map50"] == 1
        assert found["compare"]["conditions"]["weights"] == "model.tar.gz"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "Missing argument 'CFG WEIGHTS' or 'MODEL'."),
        (["run/net.cfg"], "Missing argument 'WEIGHTS' after run/net.cfg"),
        (["run/net.cfg", "a.weights", "x.png"], "found 'x.png' after CFG and WEIGHTS"),
        (["run/net.cfg", "--cfg", "run/net.cfg"], "found CFG twice: run/net.cfg and run/net.cfg"),
    ],
)
@pytest.mark.usefixtures("labelled")
def test_words_that_are_no_model_to_evaluate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert run(monkeypatch, "eval", *words, "--data", "obj.data") == 2
    assert message in " ".join(capsys.readouterr().err.split())
