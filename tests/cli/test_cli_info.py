# SPDX-License-Identifier: Apache-2.0
"""``pydarknet info``, ``bench`` and ``export onnx`` as people call them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from helpers import run

from pydarknet import Detections, Network
from pydarknet.engine import _core, benchmark, info, selftest
from pydarknet.engine.benchmark import Setting
from pydarknet.system import nvidia

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch


def test_info_tells_the_machine(monkeypatch: Patch, capsys: Capture) -> None:
    told = []
    for _ in range(2):
        assert run(monkeypatch, "info", "--json") == 0
        told.append(json.loads(capsys.readouterr().out))
    assert {"cpu", "simd", "threads", "ram", "disk", "gpu", "opencv", "version", "engine"} <= set(told[0])
    for one in told:
        one["disk"].pop("free")  # the one number that others change meanwhile
    assert told[0] == told[1]
    assert run(monkeypatch, "info") == 0
    printed = capsys.readouterr().out
    assert re.search(r"^  backends +cpu .*, ref \(fp32\)$", printed, re.M)
    assert "opencv" in printed


def test_info_names_what_a_gpu_lacks(monkeypatch: Patch, capsys: Capture) -> None:
    """The facts of the engine, and what to install for the missing ones."""
    gpu = {"index": 0, "name": "Tesla T4", "capability": "7.5", "memory": 15 * 2**30, "why_not": "no NVRTC"}
    versions = {"driver": "12.4", "cudnn": "9.10.2", "nvrtc": None}
    found = {**versions, "embedded": [], "devices": [gpu], "why_not": "no NVRTC"}
    described = info.cuda(found)
    assert described["install"] == ["pip install 'pydarknet[cuda]'"]
    assert info.cuda({**found, "embedded": [75]})["install"] == []
    assert described["packages"].keys() <= set(nvidia.PACKAGES)
    bare = info.cuda({**found, "driver": None, "cudnn": None, "devices": []})
    assert [words.split()[0] for words in bare["install"]] == ["NVIDIA's", "pip"]
    assert "DN_WITH_CUDA" in info.cuda(None)["why_not"]
    monkeypatch.setattr(info, "cuda", lambda _: described)
    assert run(monkeypatch, "info") == 0
    printed = capsys.readouterr().out
    assert re.search(r"^  devices +0 Tesla T4 \(sm_75, 15 GiB\): not usable: no NVRTC$", printed, re.M)
    assert re.search(r"^  install +pip install 'pydarknet\[cuda\]'$", printed, re.M)


def test_selftest_names_what_was_not_run(monkeypatch: Patch, capsys: Capture) -> None:
    build = _core.build_info()
    gpus = [
        {"index": number, "name": "T4", "capability": "7.5", "memory": 1, "why_not": why}
        for number, why in enumerate(("", "too old"))
    ]
    build["backends"] = [one for one in build["backends"] if one["name"] != "cuda"]
    build["backends"].append({"name": "cuda", "available": True, "reason": ""})
    build["cuda"] = {"devices": gpus}
    monkeypatch.setattr(_core, "build_info", lambda: build)
    assert "cuda:0" in list(selftest._devices(build))
    assert "cuda:1" not in list(selftest._devices(build))
    run(monkeypatch, "info", "--selftest")
    assert "----  cuda:1: not run: too old" in capsys.readouterr().out


def test_selftest_passes_within_five_seconds(monkeypatch: Patch, capsys: Capture) -> None:
    assert run(monkeypatch, "info", "--selftest", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["passed"]
    assert result["seconds"] < 5
    assert len(result["results"]) >= 2
    assert run(monkeypatch, "info", "--selftest") == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("pass  ref fp32: off by") for line in lines)
    assert sum(line.startswith("pass  auto: ") for line in lines) == 1


def test_selftest_fails_when_numbers_are_wrong(monkeypatch: Patch, capsys: Capture) -> None:
    monkeypatch.setattr(selftest, "_CONFIDENCE", 0.5)
    assert run(monkeypatch, "info", "--selftest") == 1
    assert "FAIL  ref fp32: off by 2.3e-01 at most, allowed 1e-05" in capsys.readouterr().out


def test_info_of_a_cfg_is_the_layer_table(
    monkeypatch: Patch, capsys: Capture, tiny_files: tuple[Path, Path]
) -> None:
    assert run(monkeypatch, "info", tiny_files[0], "--size", "8x6") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == [
        "0",
        "conv",
        "1",
        "3x3/1",
        "leaky",
        "8",
        "x",
        "6",
        "x",
        "1",
        "->",
        "8",
        "x",
        "6",
        "x",
        "1",
        "0.000",
        "BF",
    ]
    assert lines[4].split()[:2] == ["3", "yolo"]
    assert lines[5] == "4 layers: 2 convolutional, 1 maxpool, 1 yolo"
    assert lines[6].startswith("input 8 x 6 x 1, 1 classes, 25 parameters")
    assert run(monkeypatch, "info", tiny_files[0], "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert data["parameters"] == 25
    assert [layer["type"] for layer in data["table"]] == ["convolutional", "maxpool", "convolutional", "yolo"]


def test_info_of_a_wrong_cfg_says_where(monkeypatch: Patch, capsys: Capture, tmp_path: Path) -> None:
    cfg = tmp_path / "bad.cfg"
    cfg.write_text(selftest.CFG.replace("filters=6", "fliters=6"))
    assert run(monkeypatch, "info", cfg) == 1
    assert (
        'bad.cfg:20 [convolutional] fliters: unknown key "fliters"; did you mean "filters"?'
        in capsys.readouterr().err
    )
    assert run(monkeypatch, "info", cfg, "--lenient") == 1  # one filter does not fit the head
    assert run(monkeypatch, "info", tmp_path / "gone.cfg") == 1


def test_bench_has_a_row_for_each_setting(
    monkeypatch: Patch, capsys: Capture, tiny_files: tuple[Path, Path]
) -> None:
    cfg = tiny_files[0]
    quick = ("--precisions", "fp32", "--seconds", 0, "--per-layer")
    assert run(monkeypatch, "bench", cfg, "--sizes", "4,8x6", "--batches", "2", *quick, "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert [(row["width"], row["height"], row["batch"]) for row in data["rows"]] == [(4, 4, 2), (8, 6, 2)]
    for row in data["rows"]:
        assert row["p95"] >= row["p50"] > 0
        assert row["images_per_second"] == pytest.approx(row["batch"] / row["p50"] * 1e3)
        assert row["precision"] == "fp32"
        assert row["runs"] >= 3
    assert {row["type"] for row in data["layers"]} >= {"convolutional", "yolo"}
    assert run(monkeypatch, "bench", cfg, tiny_files[1], *quick) == 0
    printed = capsys.readouterr().out
    assert "4x4      1       fp32" in printed
    assert "ms in all" in printed


def test_bench_of_a_check_has_the_error_of_each_layer(
    monkeypatch: Patch, capsys: Capture, tiny_files: tuple[Path, Path]
) -> None:
    quick = ("bench", *tiny_files, "--precisions", "fp32", "--seconds", 0, "--per-layer")
    assert run(monkeypatch, *quick, "--backend", "check:cpu,ref", "--json") == 0
    layers = json.loads(capsys.readouterr().out)["layers"]
    errors = [row["error"] for row in layers if row["type"] != "input"]
    assert len(errors) >= 4
    assert all(0 <= error < 1e-4 for error in errors)
    assert run(monkeypatch, *quick, "--backend", "check:cpu,ref") == 0
    assert "GFLOP/s    error  kernel" in capsys.readouterr().out
    assert run(monkeypatch, *quick, "--backend", "ref") == 0
    assert "error" not in capsys.readouterr().out


def test_bench_without_weights_finds_no_boxes(monkeypatch: Patch, tmp_path: Path) -> None:
    """Boxes of random weights, thousands in each class, would make NMS take minutes."""
    assert (
        run(monkeypatch, "cfg", "new", "--model", "yolov7-tiny", "--classes", 80, "--out", tmp_path / "n.cfg")
        == 0
    )
    found: list[int] = []

    def count(network: Network, *args: Any, **limits: Any) -> list[Detections]:
        result = detect(network, *args, **limits)
        found.extend(len(image) for image in result)
        return result

    detect = Network.detect
    monkeypatch.setattr(Network, "detect", count)
    benchmark.measure(Setting(str(tmp_path / "n.cfg"), size=(64, 64), precision="fp32"), 0)
    assert found
    assert not any(found)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--sizes", "big", "'big' is not a valid size"),
        ("--batches", "0", "found '0', expected whole numbers from 1"),
        ("--batches", "a", "found 'a', expected whole numbers from 1"),
        ("--precisions", "int8", "found precision 'int8', expected auto, fp32, tf32, bf16, fp16"),
    ],
)
def test_bench_refuses_wrong_lists(
    monkeypatch: Patch, capsys: Capture, tiny_files: tuple[Path, Path], option: str, value: str, message: str
) -> None:
    assert run(monkeypatch, "bench", tiny_files[0], option, value) == 2
    assert message in capsys.readouterr().err


def test_a_bigger_input_needs_more_memory(shared: Path) -> None:
    """Of one cfg: 32 and 320 pixels, a hundred times the activations."""
    cfg = str(shared / "fixtures" / "nets" / "yolo-fastest-1.1.cfg")
    small, large = (
        benchmark.measure_apart(Setting(cfg, size=(s, s), precision="fp32"), 0.1) for s in (32, 320)
    )
    if large.memory_mb is not None and small.memory_mb is not None:
        assert large.memory_mb > small.memory_mb + 1  # activations


def test_bench_tells_what_is_wrong(monkeypatch: Patch, capsys: Capture, tmp_path: Path) -> None:
    assert run(monkeypatch, "bench", tmp_path / "gone.cfg") == 1
    assert "gone.cfg: cannot open the file: No such file" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["detect", "info", "bench"])
def test_help_has_examples(monkeypatch: Patch, capsys: Capture, command: str) -> None:
    assert run(monkeypatch, command, "--help") == 0
    assert f"pydarknet {command}" in capsys.readouterr().out.split("Examples:")[1]
