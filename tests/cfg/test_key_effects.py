# SPDX-License-Identifier: Apache-2.0
"""A key changes something exactly if ``keys.txt`` says so.

Each key is set to another value in a small network.  The network, its answers and three steps of training
change if the table calls the key used, else they stay the same; and the engine reports the keys that only
Darknet uses.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from pydarknet.cfg import CfgFile, keys
from pydarknet.cfg.augmentation import AugmentConfig
from pydarknet.engine.network import Network
from pydarknet.engine.trainer import Trainer
from pydarknet.errors import DarknetError

REFUSED = {"rnn", "gru", "lstm", "crnn", "conv_lstm", "history"}  # sections that the engine refuses
USED = ("both", "inference", "training")
SOURCES = Path(__file__).parents[2] / "pydarknet" / "training"

READ_BY_TRAINING = {
    ("net", "batch"),
    ("net", "subdivisions"),
    ("net", "resize_step"),
    ("net", "max_chart_loss"),
} | {(head, "random") for head in ("yolo", "Gaussian_yolo", "region")}  # by name, in pydarknet/training

NET = {
    "width": 8,
    "height": 8,
    "channels": 3,
    "batch": 2,
    "learning_rate": 0.05,
    "momentum": 0.9,
    "decay": 0.01,
}
NET |= {"max_batches": 8}

# Sections around the tested one, which stands for "@".
HEAD = "[convolutional]\nfilters={}\nactivation=linear\n"
ANCHORS = "mask=0,1\nanchors=3,4, 5,3\nnum=2\nclasses=2\n"
CONV = "[convolutional]\nfilters=4\nsize=3\npad=1\nactivation=leaky\nbatch_normalize=1\n"
PLAIN = CONV.replace("batch_normalize=1\n", "")
TAIL = HEAD.format(14) + "[yolo]\n" + ANCHORS
AROUND = {
    "shortcut": CONV + CONV + "@" + TAIL,
    "sam": CONV + CONV + "@" + TAIL,
    "scale_channels": CONV + CONV + "[avgpool]\n@" + TAIL,
    "yolo": PLAIN + HEAD.format(14) + "@",
    "Gaussian_yolo": PLAIN + HEAD.format(22) + "@",
    "region": PLAIN + HEAD.format(14) + "@",
    "detection": PLAIN + "[connected]\noutput=12\nactivation=logistic\n@",
    "cost": CONV + "[avgpool]\n[connected]\noutput=4\nactivation=linear\n@",
    "softmax": CONV + "[avgpool]\n[connected]\noutput=4\nactivation=linear\n@",
    "contrastive": CONV + TAIL + "embedding_layer=0\n[route]\nlayers=0\n@",
}
GIVEN = {  # what the tested section has besides
    "convolutional": {"filters": 4, "size": 3, "pad": 1, "activation": "leaky", "batch_normalize": 1},
    "route": {"layers": -1},
    "shortcut": {"from": -2},
    "scale_channels": {"from": 0},
    "sam": {"from": -2},
    "detection": {"classes": 2, "coords": 4, "num": 2, "side": 1},
    "contrastive": {"yolo_layer": 2},
    "crop": {"crop_width": 8, "crop_height": 8},
    "local": {"filters": 4, "size": 3},
    "implicit": {"filters": 4},
    "connected": {"output": 4},
    "region": {"anchors": "1,1, 2,1", "num": 2, "classes": 2},
    "yolo": {"mask": "0,1", "anchors": "3,4, 5,3", "num": 2, "classes": 2},
    "Gaussian_yolo": {"mask": "0,1", "anchors": "3,4, 5,3", "num": 2, "classes": 2},
}
Floats = npt.NDArray[np.float32]
Settings = dict[str, object]
# (section, key): its value, and what else has to be set for it to matter; "net." stands before keys of [net].
CASES: dict[tuple[str, str], tuple[object, Settings]] = {
    ("net", "inputs"): (192, {"width": 0, "height": 0, "channels": 0}),
    ("net", "learning_rate_min"): (0.5, {"policy": "sgdr", "sgdr_cycle": 2}),
    ("net", "burn_in"): (2, {}),
    ("net", "power"): (2, {"burn_in": 5}),
    ("net", "max_batches"): (20, {"policy": "poly"}),
    ("net", "policy"): ("exp", {"gamma": 0.5}),
    ("net", "steps"): (2, {"policy": "steps", "steps": 1, "scales": 0.5}),
    ("net", "scales"): (0.1, {"policy": "steps", "steps": 1, "scales": 0.5}),
    ("net", "step"): (2, {"policy": "step", "scale": 0.5}),
    ("net", "scale"): (0.5, {"policy": "step"}),
    ("net", "gamma"): (0.5, {"policy": "exp"}),
    ("net", "sgdr_cycle"): (3, {"policy": "sgdr"}),
    ("net", "sgdr_mult"): (3, {"policy": "sgdr", "sgdr_cycle": 1}),
    **{("net", key): (0.5, {"adam": 1}) for key in ("B1", "B2", "eps")},
    ("net", "ema_alpha"): (0.5, {"max_batches": 4}),
    ("net", "cutmix"): (1, {"mixup": 1}),
    ("net", "flip"): (0, {}),
    ("*", "burnin_update"): (1, {"net.burn_in": 2}),
    ("*", "clip"): (0.01, {}),
    ("convolutional", "pad"): (0, {}),
    ("convolutional", "batch_normalize"): (0, {}),
    **{
        (s, f"stride_{axis}"): (2, {}) for s in ("convolutional", "maxpool", "local_avgpool") for axis in "xy"
    },
    ("convolutional", "padding"): (1, {"pad": 0}),
    ("convolutional", "cbn"): (1, {"batch_normalize": 0}),
    ("convolutional", "antialiasing"): (1, {"stride": 2}),
    ("convolutional", "share_index"): (-1, {}),
    ("maxpool", "maxpool_depth"): (1, {"out_channels": 2}),
    ("maxpool", "out_channels"): (2, {"maxpool_depth": 1}),
    ("maxpool", "antialiasing"): (1, {"stride": 2}),
    **{(pool, "padding"): (2, {"size": 2}) for pool in ("maxpool", "local_avgpool")},
    **{(pool, "size"): (2, {}) for pool in ("maxpool", "local_avgpool")},
    ("route", "layers"): ("-1,-1", {}),
    ("route", "group_id"): (1, {"groups": 2}),
    **{(section, "from"): (1, {}) for section in ("shortcut", "sam", "scale_channels")},
    ("shortcut", "weights_type"): ("per_feature", {"weights_normalization": "relu"}),
    ("shortcut", "weights_normalization"): (
        "softmax",
        {"weights_type": "per_feature", "weights_normalization": "relu"},
    ),
    **{(reorg, "reverse"): (1, {"stride": 2}) for reorg in ("reorg", "reorg3d")},
    ("dropout", "probability"): (0.7, {}),
    ("crop", "crop_width"): (4, {}),
    ("crop", "crop_height"): (4, {}),
    ("softmax", "tree"): ("pairs.tree", {}),
    ("region", "tree"): ("two.tree", {}),
    ("region", "map"): ("two.map", {"tree": "two.tree"}),
    ("region", "num"): (3, {}),
    ("region", "classfix"): (-1, {}),
    ("region", "bias_match"): (1, {"anchors": "1,1, 1,1"}),
    ("region", "thresh"): (0.01, {}),
    ("detection", "classes"): (3, {}),
    ("detection", "num"): (3, {}),
    **{
        (head, key): case
        for head in ("yolo", "Gaussian_yolo")
        for key, case in {
            "num": (3, {"mask": None}),
            "mask": ("1,0", {}),
            "anchors": ("4,4, 5,5", {}),
            "beta_nms": (0.1, {"nms_kind": "diounms"}),
            "ignore_thresh": (0.01, {}),
            "truth_thresh": (0.01, {}),
            "iou_thresh": (0.01, {}),
            "iou_thresh_kind": ("giou", {"iou_thresh": 0.2}),
            "cls_normalizer": (2, {"counters_per_class": "1,3"}),
            "counters_per_class": ("1,3", {}),
            "max_delta": (0.001, {"iou_loss": "ciou"}),
            "scale_x_y": (1.2, {}),
            "nms_kind": ("diounms", {}),
        }.items()
    },
}
FILES = {"pairs.tree": "a -1\nb -1\nc 0\nd 0\n", "two.tree": "a -1\nb -1\n", "two.map": "1\n0\n"}


def _value(key: keys.Key) -> object:
    """Another value than the default."""
    if key.choices:
        return next(choice for choice in key.choices if choice not in ("default", "constant", key.default))
    if key.type == "str":
        return "some.file"
    return 1 if key.default is None else key.default + 1  # type: ignore[operator]


def _cfg(section: str, set_: Settings) -> str:
    """A network around a section with these settings; ``None`` removes a key."""
    net, own = dict(NET), dict(GIVEN.get(section, {}))
    for key, value in set_.items():
        target = net if section == "net" or key.startswith("net.") else own
        target[key.removeprefix("net.")] = value
    cfg = CfgFile()
    cfg.add("net", **{key: value for key, value in net.items() if value is not None})  # type: ignore[arg-type]
    lines = [f"{key}={value}\n" for key, value in own.items() if value is not None]
    around = AROUND.get(section, CONV + "@" + TAIL)
    return str(cfg) + around.replace("@", "" if section == "net" else f"[{section}]\n" + "".join(lines))


def _augmentation(text: str) -> str:
    cfg = CfgFile.parse(text)
    return repr(AugmentConfig.of(cfg)) if any(head.type != "detection" for head in cfg.heads) else ""


def _train(network: Network, trainer: Trainer, found: list[object]) -> None:
    values = np.random.default_rng(2)
    shape = network.layers[0].in_shape
    images = values.random((2, *shape), np.float32)
    if any(layer.is_head for layer in network.layers):
        truths = np.zeros((2, 5, 6), np.float32)
        truths[:, :3] = values.uniform(0.2, 0.6, (2, 3, 6))
        truths[:, :, 4:] = values.integers(0, 2, (2, 5, 1)) * [1, 0]
    else:
        truths = np.array([[0, 1, 0, 5], [1, 0, -1234, 0]], np.float32)  # -1234 is masked
    for _ in range(3):
        found += [trainer.accumulate(images, truths), repr(trainer.losses())]
        trainer.update()
        found.append(trainer.rate)
    found += [(name, array.tobytes()) for name, array in trainer.state()["arrays"].items()]


def _load(path: Path, weights: Path, image: Floats) -> object:
    """Answers of the network with the weights that it saved."""
    try:
        with Network(path, weights, backend="ref", threads=1) as network:
            return [(index, output.tobytes()) for index, output in network.predict(image).items()]
    except DarknetError as error:
        return str(error)


def _outcome(text: str, folder: Path) -> tuple[list[object], list[str]]:
    """Everything that a key could change, and the keys that the engine reports as without effect."""
    path = folder / "net.cfg"
    path.write_text(text)
    try:
        found: list[object] = [_augmentation(text)]
        trainable = not any(name in text for name in ("[detection]", "[contrastive]"))
        with Network(path, backend="ref", threads=1) as network:
            trainer = network.trainer() if trainable else None  # begins at random weights
            image = np.random.default_rng(1).random((1, *network.layers[0].in_shape), np.float32)
            found.append([replace(layer, where="") for layer in network.layers])
            found += [(index, output.tobytes()) for index, output in network.predict(image).items()]
            if any(layer.is_head for layer in network.layers):
                pixels = (image[0].transpose(1, 2, 0)[..., :3] * 255).astype(np.uint8)
                boxes = network.detect(pixels, thresh=0.01, nms=0.3)
                found.append((boxes.xyxy.tobytes(), boxes.confidence.tobytes()))
            if trainer is not None:
                _train(network, trainer, found)
            network.save_weights(folder / "net.weights")
            found += [(folder / "net.weights").read_bytes(), _load(path, folder / "net.weights", image)]
            with network._turns.engine() as handle:
                return found, handle.without_effect()
    except DarknetError as error:
        return [str(error)], []


ROWS = [
    (section, key.name)
    for section in [*keys.section_types(), "*"]
    if section not in REFUSED
    for key in keys.known(section if section != "*" else "convolutional").values()
    if key.section == section
]


@pytest.mark.parametrize(("section", "name"), ROWS)
def test_effect_is_that_of_the_table(
    section: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network differs if and only if the key is listed as used; refused keys are refused."""
    monkeypatch.chdir(tmp_path)
    for file, content in FILES.items():
        Path(file).write_text(content)
    key = keys.lookup("convolutional" if section == "*" else section, name)
    assert key is not None
    value, others = CASES.get((section, name), (None, {}))
    value = _value(key) if value is None else value
    inside = "convolutional" if section == "*" else section
    before, _ = _outcome(_cfg(inside, others), tmp_path)
    assert len(before) > 1 or name == "inputs", "the network without the key is not valid"
    after, idle = _outcome(_cfg(inside, {**others, name: value}), tmp_path)
    if (section, name) == ("net", "loss_scale"):
        assert after == before  # fp32 has none; see darknet/tests/loss_scale.cpp
    elif (section, name) in READ_BY_TRAINING:
        assert any(f'"{name}"' in file.read_text("utf-8") for file in SOURCES.glob("*.py"))
    elif key.use in USED:
        assert after != before
    elif key.use == "refused":
        assert "support" in str(after[0])
        assert len(after) == 1
    else:
        assert after == before
    reported = [line for line in idle if f"] {name}=" in line]
    assert len(reported) == (key.use == "unsupported")


def test_a_training_reports_keys_without_effect_once(caplog: pytest.LogCaptureFixture) -> None:
    """Inference does not need them; a trainer logs each with its line."""
    text = "[net]\nwidth=4\nheight=4\nchannels=3\nangle=0\n[dropout]\ndropblock=1\n[cost]\n"
    with Network.parse(text) as network:
        assert caplog.messages == []
        network.trainer().close()
    (message,) = caplog.messages
    assert ":7 [dropout] dropblock=1 has no effect: only Darknet uses this key" in message
