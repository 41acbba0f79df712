# SPDX-License-Identifier: Apache-2.0
"""An exported model computes in ONNX Runtime what Darknet computed, layer by layer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import npz, run

from pydarknet import ArgumentError, CfgError, DarknetError, Network
from pydarknet.cfg import CfgFile

onnx = pytest.importorskip("onnx", reason="the extra [export] is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra [export] is not installed")

from pydarknet.contrib import onnx_export  # noqa: E402

LAYERS = Path(__file__).parents[1] / "fixtures" / "layers"
TOPICS = sorted(path.stem for path in LAYERS.glob("*.cfg"))
# What ONNX cannot say, and the reason that the error gives.
REFUSED = {
    "conv_dilation": "dilation=3 needs pad=1",
    "conv_activations_1": "has no ONNX counterpart",
    "conv_norm_channels": "activation normalize_channels has no ONNX counterpart",
}


def network(name: str) -> Network:
    return Network(LAYERS / f"{name}.cfg", LAYERS / f"{name}.weights", precision="fp32", batch=2)


@pytest.mark.parametrize("name", TOPICS)
def test_every_layer_equals_darknets_numbers(name: str) -> None:
    data = npz(LAYERS / f"{name}.npz")
    with network(name) as net:
        wanted = [layer.index for layer in net.layers if layer.type not in ("contrastive", "cost")]
        if name in REFUSED:
            with pytest.raises(
                CfgError, match=rf"{name}\.cfg:\d+ \[\w+\]: cannot be exported to ONNX: .*{REFUSED[name]}"
            ):
                onnx_export.to_model(net, layers=wanted)
            return
        model = onnx_export.to_model(net, layers=wanted)
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        for i, output in zip(wanted, session.run(None, {"input": data["input"]}), strict=True):
            expected = data[f"layer_{i:03}"]
            # an antialiased layer's buffer begins with the blurred batch
            expected = expected.ravel()[: output.size].reshape(output.shape)
            off = np.max(np.abs(output - expected)) / np.max(np.abs(expected))
            assert off <= 1e-4, f"{net.layers[i].where}: off by {off:.1e}"


def test_the_default_outputs_are_the_heads_and_the_batch_is_free() -> None:
    with network("yolo_classic") as net:
        model = onnx_export.to_model(net)
        heads = [f"layer_{i:03}" for i in net.outputs]
    assert [output.name for output in model.graph.output] == heads
    assert model.opset_import[0].version == onnx_export.OPSET
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = npz(LAYERS / "yolo_classic.npz")["input"]
    for n in (1, 2, 5):
        outputs = session.run(None, {"input": np.resize(x, (n, *x.shape[1:]))})
        assert [len(output) for output in outputs] == [n] * len(heads)


def test_another_size_is_another_model() -> None:
    with network("yolo_classic") as net:
        info = net.info
        net.resize(info.width * 2, info.height * 3)
        model = onnx_export.to_model(net)
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim[1:]]
    assert shape == [info.channels, info.height * 3, info.width * 2]


@pytest.mark.parametrize("step", [2, 3])
def test_a_shortcut_of_a_larger_layer(step: int) -> None:
    """As in pjreddie's ResNets: of each block of the larger layer the first value is added."""
    text = (
        f"[net]\nwidth={4 * step}\nheight={2 * step}\nchannels=3\n[empty]\n"
        f"[maxpool]\nsize={step}\nstride={step}\npadding=0\n[shortcut]\nfrom=0\nactivation=leaky\n"
    )
    x = np.random.default_rng(step).normal(size=(2, 3, 2 * step, 4 * step)).astype(np.float32)
    largest = x.reshape(2, 3, 2, step, 4, step).max(axis=(3, 5))
    total = largest + x[:, :, ::step, ::step]
    with Network.parse(text, precision="fp32", batch=2) as net:
        (own,) = net.predict(x).values()
        model = onnx_export.to_model(net, cfg=CfgFile.parse(text))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (exported,) = session.run(None, {"input": x})
    for output in (own, exported):
        assert output.reshape(total.shape) == pytest.approx(np.where(total > 0, total, total / 10), abs=1e-6)


def test_verification_sees_a_wrong_model(tmp_path: Path) -> None:
    with network("conv_basic") as net:
        onnx_export.export(net, tmp_path / "good.onnx")
        assert max(onnx_export.verify(net, tmp_path / "good.onnx").values()) < 1e-5
        model = onnx.load(tmp_path / "good.onnx")
        weights = onnx.numpy_helper.to_array(model.graph.initializer[0]) * np.float32(1.01)
        name = model.graph.initializer[0].name
        model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(weights, name))
        onnx.save(model, tmp_path / "bad.onnx")
        with pytest.raises(DarknetError, match=r"bad\.onnx: output layer_\d+ differs from the network by"):
            onnx_export.verify(net, tmp_path / "bad.onnx")


def test_a_network_from_text_needs_its_cfg() -> None:
    text = (LAYERS / "conv_basic.cfg").read_text()
    with Network.parse(text, LAYERS / "conv_basic.weights", name="text.cfg", precision="fp32") as net:
        with pytest.raises(DarknetError, match=r"text\.cfg: cannot read the cfg file: No such file"):
            onnx_export.to_model(net)
        assert onnx_export.to_model(net, cfg=CfgFile.parse(text)).graph.node
        with pytest.raises(CfgError, match=r"has 1 layers, the network \d+; was the file changed\?"):
            onnx_export.to_model(net, cfg=CfgFile.parse("[net]\n[convolutional]\n"))
        with pytest.raises(ArgumentError, match=r"found layer 99"):
            onnx_export.to_model(net, cfg=CfgFile.parse(text), layers=[99])


ZOO = ["yolov4-tiny", "yolov7-tiny", "enet-coco"]
BIG = [
    "yolov4-csp",
    "yolov2",
    "Gaussian_yolov3_BDD",
    "csresnext50-panet-spp",
    "yolov4-sam-mish-csp-reorg-bfm",
]


@pytest.mark.parametrize("name", [*ZOO, *(pytest.param(big, marks=pytest.mark.slow) for big in BIG)])
def test_a_published_network_equals_darknets_numbers(
    name: str,
    shared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Through the command, which verifies; then against the reference numbers."""
    cfg, weights = shared / "fixtures" / "zoo" / f"{name}.cfg", tmp_path / "x.weights"
    subprocess.run([sys.executable, shared / "tools" / "random_weights.py", cfg, weights, "1"], check=True)
    target = tmp_path / "x.onnx"
    code = run(monkeypatch, "export", "onnx", cfg, weights, target, "--verify")
    weights.unlink()
    assert code == 0
    assert "differs from the network by" in capsys.readouterr().out
    session = onnxruntime.InferenceSession(target, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(2).random((1, 3, 128, 192), np.float32)
    outputs = dict(zip([o.name for o in session.get_outputs()], session.run(None, {"input": x}), strict=True))
    target.unlink()
    expected = npz(cfg.with_suffix(".npz"))
    assert set(outputs) == set(expected)
    for layer, output in outputs.items():
        off = np.max(np.abs(output[0] - expected[layer])) / np.max(np.abs(expected[layer]))
        assert off <= 1e-4, layer


def test_the_command_needs_weights(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "export", "onnx", LAYERS / "conv_basic.cfg") == 2
    assert "Missing argument 'WEIGHTS'" in capsys.readouterr().err
