# SPDX-License-Identifier: Apache-2.0
"""Generated networks run, and give the published networks' outputs with the same weights."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pydarknet import cfg
from pydarknet.cfg import FAMILIES, keys, walk
from pydarknet.engine.network import Network
from pydarknet.errors import CfgError

REFERENCE = (
    "yolov4",
    "yolov4-tiny",
    "yolov4-tiny-3l",
    "yolov4-csp",
    "yolov3-spp",
    "yolov3-tiny",
    "yolov7-tiny",
)


@pytest.mark.parametrize("name", REFERENCE)
def test_generated_families_give_the_reference_outputs(shared: Path, tmp_path: Path, name: str) -> None:
    path, weights = tmp_path / f"{name}.cfg", tmp_path / f"{name}.weights"
    cfg.new(name, settings={"width": 192, "height": 128}).save(path)
    script = shared / "tools" / "random_weights.py"  # made the weights of the reference outputs
    subprocess.run([sys.executable, script, path, weights, "1"], check=True)
    image = np.random.default_rng(2).random((1, 3, 128, 192), np.float32)
    with Network(path, weights, precision="fp32") as network:
        outputs = network.predict(image)
    with np.load(shared / "fixtures" / "zoo" / f"{name}.npz") as expected:
        assert sorted(expected.files) == [f"layer_{index:03d}" for index in sorted(outputs)]
        for index, output in outputs.items():
            reference = expected[f"layer_{index:03d}"].ravel()
            assert np.abs(output.ravel() - reference).max() <= 1e-4 * np.abs(reference).max(), index


@pytest.mark.parametrize("name", FAMILIES)
def test_the_engine_counts_as_the_shape_walk_does(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.cfg"
    stride = FAMILIES[name].stride
    cfg.new(name, 3, (2 * stride, stride)).save(path)
    nodes = walk(cfg.parse(path))
    with Network(path) as network:
        layers = network.layers
    assert [layer.type for layer in layers] == [node.type for node in nodes]
    assert [layer.out_shape[::-1] for layer in layers] == [node.dst for node in nodes]
    assert [layer.parameters for layer in layers] == [node.floats for node in nodes]
    assert [layer.bflops for layer in layers] == pytest.approx([node.bflops for node in nodes])


UNSUPPORTED = {"rnn", "gru", "lstm", "crnn", "conv_lstm", "history"}  # refused by the engine, with a message
NEEDED = {  # keys without which a section of that type cannot be
    "route": {"layers": -1},
    "shortcut": {"from": -2},
    "sam": {"from": -2},
    "detection": {"coords": 4, "side": 1},
    "contrastive": {"yolo_layer": 3},
    "scale_channels": {"from": 0},
}


@pytest.mark.parametrize("section", [name for name in keys.section_types() if name not in UNSUPPORTED])
def test_the_engine_knows_every_key_of_the_table(section: str) -> None:
    """Every key is set to its default in one section; an unknown key would be refused."""
    network = cfg.CfgFile()
    network.add("net", width=4, height=4, channels=3)
    network.add("convolutional", filters=6)
    filters = {"yolo": 25, "Gaussian_yolo": 29, "region": 25, "contrastive": 25}
    network.add("convolutional", filters=filters.get(section, 6))
    if section == "scale_channels":
        network.add("avgpool")
    if section == "detection":
        network.add("connected", output=6)
    if section == "contrastive":
        network.add("convolutional", filters=25)
        network.add("yolo", classes=20)
        network.add("empty")
        network.net.set("contrastive", 1)
        network.net.set("batch", 2)
        network.layers[3].set("embedding_layer", 1)
    target = network.net if section == "net" else network.add(section)
    for key in keys.known(section).values():
        value = NEEDED.get(section, {}).get(key.name, key.default)
        if value is not None and key.name not in target:
            target.set(key.name, value)
    with Network.parse(str(network), strict=True) as loaded:
        assert loaded.layers


def _random_options(kind: str, pick: random.Random) -> dict[str, object]:
    """Plausible settings for a layer of that type; many of them impossible where they stand."""
    one = pick.choice
    table: dict[str, dict[str, object]] = {
        "convolutional": {
            "filters": one([1, 2, 4, 6]),
            "size": one([1, 2, 3, 5]),
            "stride": one([1, 1, 2]),
            "pad": one([0, 1]),
            "groups": one([1, 1, 1, 2]),
            "batch_normalize": one([0, 1]),
            **one([{}] * 6 + [{"antialiasing": 1}, {"dilation": 2}, {"stride_x": 2}, {"share_index": -2}]),
        },
        "maxpool": {
            "size": one([1, 2, 3]),
            "stride": one([1, 2]),
            **one([{}, {}, {"padding": one([0, 1, 2])}]),
        },
        "local_avgpool": {"size": one([1, 2, 3]), "stride": one([1, 2])},
        "route": {"layers": one([-1, "-1,-2", "-1,0", -3]), "groups": one([1, 1, 2])},
        "shortcut": {"from": one([-2, -3, 0, "-2,-3"])},
        "upsample": {"stride": one([1, 2, -2])},
        "reorg": {"stride": one([1, 2]), "reverse": one([0, 0, 1])},
        "reorg3d": {"stride": one([1, 2]), "reverse": one([0, 0, 1])},
        "scale_channels": {"from": one([-2, -3]), "scale_wh": one([0, 0, 1])},
        "sam": {"from": one([-2, -3])},
        "connected": {"output": one([1, 4]), "batch_normalize": one([0, 1])},
        "yolo": {"classes": one([1, 3]), "mask": "0", "anchors": "3,4"},
        "local": {"filters": 2, "size": one([1, 3]), "stride": one([1, 2]), "pad": one([0, 1])},
        "implicit": {"filters": one([2, 4]), "atoms": one([1, 2])},
        "crop": {"crop_width": 4, "crop_height": 4},
        **{name: {} for name in ("avgpool", "dropout", "batchnorm", "softmax", "empty", "activation")},
    }
    return table[kind]


KINDS = ["convolutional"] * 3 + [
    *("maxpool", "local_avgpool", "route", "shortcut", "upsample", "reorg", "reorg3d", "scale_channels"),
    *("sam", "connected", "yolo", "local", "implicit", "crop", "avgpool", "dropout", "batchnorm", "softmax"),
    *("empty", "activation"),
]


def test_the_engine_and_the_shape_walk_agree_on_random_networks() -> None:
    """Both accept the same networks, with the same shapes, parameters and operations."""
    possible = 0
    for seed in range(1500):
        pick = random.Random(seed)
        network = cfg.CfgFile()
        network.add(
            "net", width=pick.choice([7, 8, 12]), height=pick.choice([6, 8]), channels=pick.choice([1, 3, 4])
        )
        for _ in range(pick.randint(1, 6)):
            kind = pick.choice(KINDS)
            network.add(kind, **_random_options(kind, pick))  # type: ignore[arg-type]
        text = str(network)
        try:
            expected = [(n.type, n.dst, n.floats, pytest.approx(n.bflops)) for n in walk(cfg.parse(text))]
        except CfgError:
            with pytest.raises(CfgError):
                Network.parse(text)
            continue
        possible += 1
        with Network.parse(text) as loaded:
            found = [(n.type, n.out_shape[::-1], n.parameters, n.bflops) for n in loaded.layers]
        assert found == expected, text
    assert possible > 300
