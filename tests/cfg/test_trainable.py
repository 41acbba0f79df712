# SPDX-License-Identifier: Apache-2.0
"""The preflight has an error exactly where a training refuses the network: its engine, or its start."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydarknet.cfg import CfgFile, new
from pydarknet.cfg.augmentation import AugmentConfig
from pydarknet.cfg.trainable import refusals, stride_of
from pydarknet.engine.network import Network
from pydarknet.errors import DarknetError

NET = """[net]
width=64
height=64
channels=3
batch=2
max_batches=100
[convolutional]
batch_normalize=1
filters=8
size=3
stride=2
pad=1
activation=leaky
[convolutional]
filters=8
size=3
stride=2
pad=1
activation=leaky
[route]
layers=-1,-1
[shortcut]
from=-2
activation=linear
[convolutional]
filters=14
size=1
activation=linear
[yolo]
mask=0,1
anchors=10,13, 16,30, 33,23
classes=2
num=3
"""


def opened(text: str) -> bool:
    """Whether a training opens the network, and computes and updates one mini-batch."""
    cfg = CfgFile.parse(text, "net.cfg")
    try:
        AugmentConfig.of(cfg)
        with Network.parse(text, name="net.cfg", backend="ref", strict=False, threads=1) as network:
            channels, height, width = network.layers[0].in_shape
            trainer = network.trainer()
            truths = np.zeros((1, 1, 6), np.float32)
            truths[0, 0, :4] = 0.5, 0.5, 0.2, 0.2
            trainer.accumulate(np.zeros((1, channels, height, width), np.float32), truths)
            trainer.update()
    except DarknetError:
        return False
    return True


def equal_heads(text: str) -> bool:
    """The rule of the start that the engine does not have: heads agree in their classes and their limit."""
    heads = CfgFile.parse(text).heads
    return all(len({head.get(key) for head in heads}) <= 1 for key in ("classes", "max"))


LINES = NET.splitlines()
VALUES = st.sampled_from(
    ["0", "1", "2", "3", "-1", "-9", "7", "64px", "10.5", "4.0", "1e3", "x", "", "-6-1", "0,1,2", "3,4", "5"]
)
EXTRA = st.sampled_from(
    [
        *(
            "xnor=1",
            "binary=1",
            "groups=3",
            "track=1",
            "contrastive=1",
            "adversarial_lr=.1",
            "mixup=7",
            "random=1",
        ),
        *(
            "[conv_lstm]",
            "[lstm]",
            "[dropout]",
            "[avgpool]",
            "[softmax]",
            "[detection]",
            "[nothing]",
            "[maxpool]",
        ),
        *("activation=silu", "activation=mish", "letter_box=1", "mosaic=1", "resize_step=3", "share_index=0"),
        *("stride=3", "size=9", "policy=steps", "steps=3.0", "scales=.1", "Height=5", "dilation=2", "# note"),
    ]
)
CHANGE = st.one_of(
    st.tuples(st.just("value"), st.integers(1, len(LINES) - 1), VALUES),
    st.tuples(st.just("insert"), st.integers(1, len(LINES) - 1), EXTRA),
    st.tuples(st.just("delete"), st.integers(1, len(LINES) - 1), st.just("")),
)


def changed(changes: list[tuple[str, int, str]]) -> str:
    lines = list(LINES)
    for kind, place, text in changes:
        if kind == "value":
            lines[place] = f"{lines[place].partition('=')[0]}={text}"
        elif kind == "insert":
            lines[place] = f"{lines[place]}\n{text}"
        else:
            lines[place] = ""
    return "\n".join(lines) + "\n"


@settings(max_examples=250, deadline=None)
@given(st.lists(CHANGE, max_size=3).map(changed))
def test_refusals_are_those_of_a_training(text: str) -> None:
    cfg = CfgFile.parse(text, "net.cfg")
    found = [problem for problem in refusals(cfg) if not problem.message.startswith("random=")]
    assert bool(found) == (not (opened(text) and equal_heads(text))), (text, [str(p) for p in found])


def test_the_unchanged_network_is_accepted() -> None:
    assert refusals(CfgFile.parse(NET)) == []


@pytest.mark.parametrize("name", ["yolov3-tiny", "yolov4-p6", "yolov7-tiny"])
def test_generated_networks_are_accepted(name: str) -> None:
    assert refusals(new(name, 3)) == []


def test_public_networks(shared: Path) -> None:
    """Those that are refused ask for mosaic with letter_box, as Darknet refuses, or for embeddings."""
    paths = [path for folder in ("nets", "zoo") for path in sorted(shared.glob(f"fixtures/{folder}/*.cfg"))]
    found = {path.name: refusals(CfgFile.load(path)) for path in paths}
    refused = {
        name: [problem.message for problem in problems] for name, problems in found.items() if problems
    }
    both = {"yolov4-csp.cfg", "yolov4-sam-mish-csp-reorg-bfm.cfg"}
    assert {name for name in refused if refused[name] == ["cannot be combined with mosaic"]} == both
    assert set(refused) - both == {"yolov4-tiny_contrastive.cfg"}


def test_a_misspelt_size_is_one_refusal_that_names_it() -> None:
    (problem,) = refusals(CfgFile.parse(NET.replace("height=64", "Height=64"), "net.cfg"))
    assert str(problem).startswith("net.cfg:3 [net] Height: the input's height is missing or 0")
    assert problem.message.endswith('did you mean "height" by "Height"?')


def test_random_sizes_name_the_keys() -> None:
    """The engine would refuse such sizes in the middle of the training."""
    text = NET.replace("num=3", "num=3\nrandom=1").replace("[net]", "[net]\nresize_step=2")
    (problem,) = refusals(CfgFile.parse(text, "net.cfg"))
    assert str(problem).startswith(
        "net.cfg:2 [net] resize_step: random=1 in line 35 draws sizes on a grid of 2,"
    )
    assert "set resize_step=4" in problem.message


def test_sizes_that_are_not_multiples_are_one_refusal_each() -> None:
    text = NET.replace("width=64", "width=62").replace("[shortcut]\nfrom=-2", "[shortcut]\nfrom=-99")
    problems = [str(problem) for problem in refusals(CfgFile.parse(text, "net.cfg"))]
    assert problems[0] == "net.cfg:2 [net] width: found 62, expected a multiple of 4"
    assert "found -99" in problems[1]


def test_heads_that_differ() -> None:
    text = NET + "[route]\nlayers=-2\n[convolutional]\nfilters=16\n[yolo]\nmask=0,1\nclasses=3\nnum=2\n"
    problems = refusals(CfgFile.parse(text, "net.cfg"))
    assert [(p.key, p.message) for p in problems] == [
        ("classes", "found 3, but 2 in line 29; all heads need the same")
    ]


def test_a_crop_sets_the_size_whatever_the_input_is() -> None:
    """The stride is that of NET; behind a crop of 64 x 64 every input of that size and above fits."""
    assert stride_of(CfgFile.parse(NET)) == 4
    crop = "[crop]\ncrop_width=64\ncrop_height=64\n[convolutional]\nbatch_normalize=1"
    cropped = NET.replace("[convolutional]\nbatch_normalize=1", crop).replace("=64", "=70", 2)
    cfg = CfgFile.parse(cropped)
    assert stride_of(cfg) == 1
    with Network.parse(str(cfg), backend="ref") as network:
        assert network.info.width == 70
    assert not refusals(cfg)
