# SPDX-License-Identifier: Apache-2.0
"""The shape walk agrees with what Darknet computed and wrote."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pydarknet.cfg import CfgFile, Problem, parse
from pydarknet.cfg.shapes import walk
from pydarknet.errors import CfgError

NET = "[net]\nwidth=64\nheight=32\nchannels=3\n"


def test_outputs_of_every_layer_are_darknets(shared: Path) -> None:
    seen = set()
    for path in sorted(shared.glob("fixtures/layers/*.cfg")):
        with np.load(path.with_suffix(".npz")) as arrays:
            images = len(arrays["input"])
            for node in walk(parse(path)):
                output = arrays[f"layer_{node.index:03d}"]
                if node.section.integer("antialiasing", 0):
                    continue  # Darknet keeps the size before the blur; the next layer shows the one behind
                assert node.outputs == output.size // images, (path.name, node.index)
                seen.add(node.type)
    assert len(seen) >= 18


def test_parameters_add_up_to_the_weights_files(shared: Path) -> None:
    paths = [
        path for path in sorted(shared.glob("fixtures/*/*.cfg")) if path.with_suffix(".weights").exists()
    ]
    assert len(paths) > 30
    for path in paths:
        assert 20 + 4 * walk(parse(path)).floats == path.with_suffix(".weights").stat().st_size, path.name


# name, input size of the published file, layers, floats, BFLOPs as printed by Darknet
PUBLISHED = [
    ("Gaussian_yolov3_BDD", 512, 107, 61_646_347, 99.066),
    ("csresnext50-panet-spp", 512, 138, 57_030_845, 71.344),
    ("enet-coco", 416, 146, 4_808_270, 3.731),
    ("resnet152_trident", 608, 291, 65_579_016, 241.536),
    ("yolov2", 416, 32, 50_983_561, 29.475),
    ("yolov3-spp", 608, 114, 63_052_381, 141.531),
    ("yolov3-tiny", 416, 24, 8_858_734, 5.571),
    ("yolov4-csp", 512, 175, 52_986_205, 77.003),
    ("yolov4-sam-mish-csp-reorg-bfm", 512, 216, 61_562_973, 84.320),
    ("yolov4-tiny-3l", 608, 45, 6_334_045, 17.741),
    ("yolov4-tiny", 416, 38, 6_062_814, 6.910),
    ("yolov4-tiny_contrastive", 416, 55, 7_390_429, 16.444),
    ("yolov4", 608, 162, 64_429_405, 128.459),
    ("yolov7-tiny", 416, 99, 6_241_885, 5.802),
]


@pytest.mark.parametrize(("name", "size", "layers", "floats", "bflops"), PUBLISHED)
def test_published_networks(
    shared: Path, name: str, size: int, layers: int, floats: int, bflops: float
) -> None:
    nodes = walk(parse(shared / "fixtures" / "zoo" / f"{name}.cfg"), size, size)
    assert len(nodes) == layers
    assert nodes.floats == floats
    assert nodes.bflops == pytest.approx(bflops, abs=0.00051)
    assert nodes.stride == (64 if "reorg" in name else 32)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("[conv]\nfilters=0\n", r"n.cfg:6 \[conv\] filters: expected at least 1"),
        (
            "[conv]\nsize=99\n",
            r"n.cfg:6 \[conv\] size: a window of 99 does not fit into 64×32 with a padding of 0",
        ),
        ("[conv]\nfilters=4\ngroups=2\n", "3 channels and 4 filters do not divide into 2 groups"),
        ("[convolutionel]\n", r"n.cfg:5 \[convolutionel\]: unknown section; did you mean \[convolutional\]"),
        ("[route]\nlayers=-1\n", r"n.cfg:6 \[route\] layers: layer -1 means layer -1, expected 0 … -1"),
        ("[route]\n", "expected the numbers of the layers to concatenate"),
        ("[conv]\n[route]\nlayers=0\ngroups=2\ngroup_id=2\n", r"\[route\] group_id: expected 0 … 1"),
        ("[conv]\n[max]\nstride=2\n[route]\nlayers=0,1\n", "layer 1 is 32×16×1, layer 0 is 64×32×1; width"),
        ("[conv]\n[upsample]\nstride=2\n[shortcut]\nfrom=0\n", "layer 0 is 64×32×1, the input is 128×64×1"),
        ("[conv]\n[shortcut]\n", "expected the numbers of the layers to add"),
        ("[conv]\n[conv]\n[shortcut]\nfrom=0\nweights_type=x\n", "found 'x', expected none, per_feature"),
        ("[conv]\n[conv]\n[sam]\nfrom=0,1\n", "expected the number of one layer"),
        ("[conv]\n[conv]\nfilters=2\n[sam]\nfrom=0\n", "the input is 64×32×2, expected 64×32×1"),
        ("[conv]\nfilters=255\n[yolo]\nclasses=3\nmask=0,1,2\n", "input has 255 channels, expected 24"),
        ("[max]\nstride=0\n", r"\[max\] stride: found 0, expected at least 1"),
        ("[reorg3d]\nstride=0\n", r"\[reorg3d\] stride: found 0, expected at least 1"),
        ("[connected]\noutput=7\n[detection]\n", "input has 7 values, expected 147"),
        ("[conv_lstm]\nbottleneck=1\n", "bottleneck: is not supported"),
        ("[crnn]\nstride=2\n", "must keep the spatial size"),
        ("[conv]\nfilters=2\n[conv]\nshare_index=0\n", "shares the weights of layer 0, but filters differ"),
        ("[max]\n[conv]\nshare_index=0\n", r"layer 0 is \[max\], expected a convolution"),
        ("[conv]\n[route]\nlayers=0\ngroups=2\n", "1 channels of layer 0 do not divide into 2 groups"),
        ("[conv]\nsize=3\ndilation=2\n", "padding 0 is too small for size 3 with dilation 2; set pad=1"),
        ("[max]\nmaxpool_depth=1\nout_channels=4\n", "found 4, expected 1 … 3, the input's channels"),
        ("[max]\nmaxpool_depth=1\nantialiasing=1\n", "cannot be combined with maxpool_depth"),
        ("[crop]\ncrop_width=65\n", "a crop of 65×1 does not fit into 64×32"),
        ("[reorg]\nstride=2\n", "3 input channels are not a multiple of 4"),
        ("[conv]\nfilters=9\n[reorg]\nstride=3\n", "the input of 64×32 is not a multiple of 3"),
        ("[reorg3d]\nstride=2\nreverse=1\n", "3 input channels are not a multiple of 16"),
    ],
)
def test_impossible_networks_are_refused_with_place_and_reason(body: str, message: str) -> None:
    with pytest.raises(CfgError, match=message):
        walk(parse(NET + body, "n.cfg"))


def test_a_net_without_size_is_refused() -> None:
    with pytest.raises(CfgError, match=r"<cfg>:1 \[net\] width: input is 0×0×0"):
        walk(parse("[net]\n[conv]\n"))


def test_all_problems_are_collected_when_asked() -> None:
    problems: list[Problem] = []
    nodes = walk(parse(NET + "[foo]\n[conv]\nfilters=2\n[yolo]\nclasses=1\nmask=0\n"), problems=problems)
    assert [problem.line for problem in problems] == [5, 8]
    assert [node.dst for node in nodes] == [(64, 32, 3), (64, 32, 2), (64, 32, 2)]


@pytest.mark.parametrize(
    ("body", "shape", "floats"),
    [
        ("[connected]\noutput=10\nbatch_normalize=1\n", (1, 1, 10), 10 + 6144 * 10 + 30),
        ("[local]\nfilters=2\nsize=3\n", (62, 30, 2), 62 * 30 * (2 + 2 * 27)),
        ("[rnn]\nhidden=4\noutput=5\n", (1, 1, 5), 4 + 4 * 6144 + 4 + 16 + 5 + 20),
        ("[gru]\noutput=5\n", (1, 1, 5), 3 * (5 + 5 * 6144) + 3 * (5 + 25)),
        ("[lstm]\noutput=5\n", (1, 1, 5), 4 * (5 + 5 * 6144) + 4 * (5 + 25)),
        ("[crnn]\nhidden=4\noutput=5\npad=1\n", (64, 32, 5), 4 + 108 + 4 + 144 + 5 + 180),
        ("[conv_lstm]\noutput=2\npad=1\n", (64, 32, 2), 4 * (2 + 36) + 4 * (2 + 54)),
        ("[conv_lstm]\noutput=2\npad=1\npeephole=1\n", (64, 32, 2), 7 * (2 + 36) + 4 * (2 + 54)),
        ("[history]\n", (64, 32, 12), 0),
        ("[crop]\ncrop_width=28\ncrop_height=20\n", (28, 20, 3), 0),
        ("[upsample]\nstride=-2\n", (32, 16, 3), 0),
        ("[reorg3d]\nstride=2\n", (32, 16, 12), 0),
        ("[conv]\nantialiasing=1\nstride=2\npad=1\n", (32, 16, 1), 4),
    ],
)
def test_layers_by_hand(body: str, shape: tuple[int, int, int], floats: int) -> None:
    nodes = walk(parse(NET + body))
    assert nodes[0].dst == shape
    assert nodes.floats == floats


def test_average_outputs_is_darknets() -> None:
    cfg = CfgFile.parse(NET + "[conv]\nfilters=2\n[max]\nstride=2\n[avg]\n[connected]\noutput=5\n")
    assert walk(cfg).avg_outputs == (64 * 32 * 2 + 32 * 16 * 2 + 2) // 3
