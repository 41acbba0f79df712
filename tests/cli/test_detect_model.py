# SPDX-License-Identifier: Apache-2.0
"""``detect`` and ``eval`` with a pack and with the folder of a run; ``detect`` at another size."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import run

import pydarknet
from pydarknet import ArgumentError, TrainConfig
from pydarknet.data import executors
from pydarknet.weights.pack import Parts, pack

BEST = Path("run/weights/net_best.weights")


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


def test_a_model_without_a_source(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "detect", "run") == 2
    assert "Missing argument 'SOURCE...' after run" in capsys.readouterr().err


@pytest.mark.parametrize("words", ["gone x.png", "tiny.pt x.png"])
def test_a_source_without_a_model(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    assert run(monkeypatch, "detect", *words.split()) == 2
    message = "Missing argument 'CFG WEIGHTS' before SOURCE, or 'MODEL': a pack or the folder of a run."
    assert message in " ".join(capsys.readouterr().err.split())


def test_two_runs_are_compared(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree("run", "other")
    assert run(monkeypatch, "detect", "--compare", "run", "other", "x.png", "--no-pictures") == 0
    assert "0 of 1 frames differ" in capsys.readouterr().out


def test_a_run_in_place_of_weights_names_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "check", "tiny.cfg", "--weights", "run") == 2
    expected = f"run: cannot read the weights: is a folder; expected a file; its best weights are {BEST}"
    assert expected in capsys.readouterr().out
    pack(Parts(Path("tiny.cfg"), Path("tiny.weights"), None), Path("m.tar.gz"))
    assert run(monkeypatch, "check", "tiny.cfg", "--weights", "m.tar.gz") == 2
    assert "it looks like an archive; unpack it, and give the weights in it" in capsys.readouterr().out


def test_a_model_in_python() -> None:
    for words in (("run", "x.png"), ("run", None, "x.png"), ("run/net.cfg", "tiny.weights", "x.png")):
        ((_, found),) = pydarknet.detect(*words, thresh=0.5)
        assert len(found) == 1
    for words in (("run",), ("run/net.cfg", "x.png")):
        with pytest.raises(ArgumentError, match="needs a source: detect"):
            pydarknet.detect(*words)


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


@pytest.mark.usefixtures("labelled")
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_an_evaluation_at_another_size(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], engine: str
) -> None:
    """As Network.resize, here and in workers; more cells find more objects."""
    monkeypatch.setattr(executors, "by_name", lambda _: lambda job, tasks, _: map(job, tasks))
    with pydarknet.Network("tiny.cfg", "tiny.weights", names="tiny.names", precision="fp32") as network:
        network.resize(8, 16)
        expected = pydarknet.evaluate(network, "obj.data").to_dict()
    line = ["eval", "tiny.cfg", "tiny.weights", "--data", "obj.data", "--precision", "fp32", "--json"]
    found = []
    for more in ((), ("--size", "8x16", "--engine", engine)):
        assert run(monkeypatch, *line, *more) == 0
        found.append(json.loads(capsys.readouterr().out))
    plain, tall = found
    assert tall["conditions"]["size"] == [8, 16]
    assert tall["detections"] == expected["detections"] != plain["detections"]


@pytest.mark.usefixtures("labelled")
def test_a_run_is_evaluated_on_its_own_data(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = TrainConfig(cfg="run/net.cfg", data="obj.data").to_json()
    Path("run/run.json").write_text(json.dumps({"config": config, "sessions": []}))
    assert run(monkeypatch, "eval", "run", "--json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["map50"] == 1
    assert err == f"data: {Path('obj.data').resolve()}\n"
    Path("obj.data").unlink()
    assert run(monkeypatch, "eval", "run") == 2
    words = " ".join(capsys.readouterr().err.split())
    assert re.search(r"Missing option '--data': run was trained on \S*obj\.data, which is not here\.", words)
    assert run(monkeypatch, "eval", "run/net.cfg", "tiny.weights") == 2
    assert "Missing option '--data'." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("export onnx MODEL m.onnx --no-verify", "m.onnx: 0.0 MB, opset 17"),
        ("export onnx MODEL --no-verify", "MODEL.onnx: 0.0 MB, opset 17"),
        ("weights info MODEL --layers", ": fits exactly"),
        ("bench MODEL --seconds 0", "images/s"),
        ("info MODEL", "1 classes"),
        ("cfg show MODEL", "1 yolo"),
        ("cfg explain MODEL", "[net]"),
        ("check MODEL", "L-08"),
    ],
)
@pytest.mark.parametrize(("model", "name"), [("run", "run"), ("packed", "packed"), ("m.tar.gz", "m")])
def test_commands_that_take_a_model(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    line: str,
    expected: str,
    model: str,
    name: str,
) -> None:
    if model != "run":
        pack(Parts(Path("tiny.cfg"), Path("tiny.weights"), Path("tiny.names")), Path(model))
    code = run(monkeypatch, *line.replace("MODEL", model, 1).split())
    out, err = capsys.readouterr()
    if model == "m.tar.gz" and line.split()[0] in ("cfg", "check"):
        assert code == 2
        assert "is a packed archive; unpack it and give its folder" in " ".join(err.split())
    else:
        assert expected.replace("MODEL", name) in out
        assert code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "Missing argument 'CFG WEIGHTS'."),
        ("tiny.cfg", "Missing argument 'WEIGHTS'."),
        ("run a.onnx b", "found 'b' after a.onnx, the file to write"),
    ],
)
def test_words_that_are_no_model_to_export(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str, message: str
) -> None:
    assert run(monkeypatch, "export", "onnx", *words.split()) == 2
    assert message in capsys.readouterr().err


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
