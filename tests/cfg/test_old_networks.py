# SPDX-License-Identifier: Apache-2.0
"""Networks of every age, made small: they load and compute, or are refused by name."""

from __future__ import annotations

import numpy as np
import pytest

from pydarknet.cfg import CfgFile
from pydarknet.check import preflight
from pydarknet.engine.network import Network
from pydarknet.errors import CfgError

NET = "[net]\nseen=0\nheight=32\nwidth=32\nchannels=3\n"


def conv(filters: int, size: int = 1, stride: int = 1, groups: int = 1, activation: str = "leaky") -> str:
    return (
        f"[convolutional]\nbatch_normalize=1\nfilters={filters}\nsize={size}\nstride={stride}\npad=1\n"
        f"groups={groups}\nactivation={activation}\n"
    )


CROP = "[crop]\ncrop_height=28\ncrop_width=28\nflip=1\nangle=0\nsaturation=1\nexposure=1\n"
DENSE = "[connected]\noutput=8\nactivation=ramp\n[dropout]\nprobability=.5\n"
BLOCK = conv(16) + conv(16, 3, 1, 4) + conv(32, activation="linear")
HEAD = "[softmax]\ngroups=1\n[cost]\ntype=sse\n"

LOADS = {
    "alexnet": NET + CROP + conv(8, 5, 4, activation="ramp") + "[maxpool]\nsize=3\nstride=2\n" + DENSE + HEAD,
    "yolov1": NET
    + CROP
    + conv(8, 7, 2)
    + "[local]\nsize=3\nstride=1\npad=1\nfilters=4\nactivation=leaky\n[connected]\noutput=28\n"
    + "[detection]\nclasses=2\ncoords=4\nside=2\nnum=1\nrescore=1\nnuisance=0\nbackground=0\n",
    "resnext": NET + conv(32) + BLOCK + "[shortcut]\nfrom=-4\nactivation=leaky\n[avgpool]\n" + HEAD,
    "resnet": NET
    + conv(16)
    + conv(32, 3, 2, activation="linear")
    + "[shortcut]\nfrom=-2\nactivation=leaky\n"
    + BLOCK
    + "[shortcut]\nfrom=-4\nactivation=leaky\n"
    + HEAD,
    "densenet": NET + conv(4) + conv(4, 3) + "[route]\nlayers=-1,-2\n" + conv(4) + "[avgpool]\n" + HEAD,
    "mobilenet": NET
    + conv(8, 3, 2, activation="relu")
    + conv(8, 3, groups=8, activation="relu")
    + conv(16, activation="relu")
    + "[avgpool]\n[softmax]\n",  # without [cost]
    "squeezenet": NET
    + "[convolutional]\nbatch_normalize=0\nfilters=4\nsize=1\nstride =1\nactivation=relu\n"
    + conv(8)
    + "[route]\nlayers=-2\n"
    + conv(8, 3)
    + "[route]\nlayers=-3,-1\n"
    + "[maxpool]\nsize=3\nstride=2\n"
    + DENSE
    + HEAD,
    "lenet": NET
    + conv(6, 5, activation="relu")
    + "[maxpool]\nsize=5\nstride=5\n[connected]\noutput= 12\nactivation=relu\n"
    + HEAD,
    "board game": NET.replace("channels=3", "channels=3\nmax_batches=2000000000")
    + conv(8)
    + "[connected]\noutput=2\nactivation=leaky\n"
    + "[convolutional]\nfilters=2\nsize=1\nactivation=leaky\n[cost]\n",
    "edited in place": NET
    + "[convolutional]\nfilters=18#filters=255#filters=(classes+5)*3\nsize=1\nactivation=linear\n"
    + "[yolo]\nmask=0,1,2\nanchors= 10,13,  16,30,33,23\nclasses=1#classes=80\nnum=3\n",
    "u-net": NET
    + conv(4)
    + "[maxpool]\nsize=2\nstride=2\n"
    + conv(4)
    + "[upsample]\nstride=2\n[route]\nlayers = -1, -4\n"
    + conv(1, activation="linear"),
    "segmentation": NET + conv(4, 3, activation="ramp") + conv(1, 3, activation="logistic") + "[cost]\n",
}


@pytest.mark.parametrize("name", LOADS)
def test_old_networks_compute(name: str) -> None:
    image = np.random.default_rng(0).random((1, 3, 32, 32), np.float32)
    outputs = []
    for backend in ("ref", "cpu"):
        with Network.parse(LOADS[name], backend=backend, precision="fp32") as network:
            (output,) = network.predict(image).values()
            outputs.append(output)
    assert np.isfinite(outputs[0]).all()
    assert outputs[1] == pytest.approx(outputs[0], abs=1e-4)


REFUSED = {
    "sums with smaller layers": (
        NET + conv(16, 3, 2) + "[upsample]\nstride=2\n" + "[shortcut]\nfrom=-2\n",
        "expected 32 x 32 as the layer before, or a multiple of both by one factor",
    ),
    "binary": (NET + conv(4).replace("groups=1", "xnor=1"), "xnor: binary weights are not supported"),
    "recurrent": (NET + "[gru]\noutput=4\n", "recurrent layers"),
    "video": (NET + "[history]\nhistory_size=2\n", "need the frames before this one"),
    "generative": (NET + "[deconvolutional]\nfilters=4\n", "transposed convolutions"),
    "instances": (NET + "[iseg]\n", "segmentation of instances"),
    "machines of 2014": (NET + "[rbm]\noutput=30\n", "restricted Boltzmann machines"),
    "masks of pjreddie's experiments": (
        NET + conv(1) + "[logistic]\n",
        "write .activation. with activation=logistic",
    ),
    "depthwise of forks": (
        NET + "[depthwise_convolutional]\nsize=3\n",
        "write .convolutional. with filters= and groups=",
    ),
    "attention of forks": (
        NET + conv(4) + "[se]\n",
        "write .avgpool., two .convolutional. .* and .scale_channels.",
    ),
    "rotated boxes": (NET + "[yolo_bdp]\n", "heads whose boxes have more"),
    "yolor": (NET + conv(4) + "[shift_channels]\nfrom=0\n", "YOLOR's PyTorch program"),
    "asff": (
        NET + conv(18) + "[yolo]\nfrom=0\nmask=0,1,2\nclasses=1\nnum=3\n",
        "from: heads that read several layers",
    ),
    "a point more than pixels": (
        NET + "[reorg]\nstride=1\nextra=1\n[softmax]\n",
        "extra: additional outputs",
    ),
    "transposed": (NET + "[connected]\noutput=4\ntranspose=1\n", "transpose: transposed weights of a fork"),
    "kernels 1x3": (
        NET + conv(4) + "ksize_h=1\nksize_w=3\nrectFlg=1\n",
        "rectFlg: kernels that are not square",
    ),
    "kernels 1x3 by another spelling": (
        NET + conv(4).replace("[convolutional]", "[conv]") + "rectFlg=1\n",
        "rectFlg: kernels that are not square",
    ),
    "quadrangles": (
        NET
        + "[convolutional]\nfilters=30\nsize=1\nactivation=linear\n[yolo]\nmask=0,1,2\nclasses=1\nnum=3\n",
        r"filters: found filters=30, expected .classes . 5. . 3 = 18",
    ),
    "another function": (NET + conv(4, activation="silu"), 'unknown activation "silu"; did you mean "swish"'),
    "a list with a gap": (
        NET + "policy=steps\nsteps=10,20\nscales=.1,,.1\n" + conv(4),
        'scales: found "", expected a number',
    ),
    "a number out of range": (NET + "max_batches=1000000000000\n" + conv(4), "does not fit 32 bits"),
    "unknown": (NET + "[convolve]\nfilters=4\n", "unknown section"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_missing_is_named(name: str) -> None:
    text, words = REFUSED[name]
    with pytest.raises(CfgError, match=rf"net\.cfg:\d+ .*{words}"):
        Network.parse(text, name="net.cfg", strict=False)


@pytest.mark.parametrize("name", ["asff", "a point more than pixels", "transposed", "kernels 1x3"])
def test_the_preflight_refuses_the_keys_that_the_engine_refuses(name: str) -> None:
    """By the same name; a key is not called unknown in one place and not supported in the other."""
    text, words = REFUSED[name]
    key = words.partition(":")[0]
    found = [finding for finding in preflight(CfgFile.parse(text)).errors if f" {key}" in finding.message]
    assert ["is refused: not supported" in finding.message for finding in found] == [True]


@pytest.mark.parametrize("text", ["[reorg]\nextra=0\n", "[connected]\noutput=2\ntranspose=0\n"])
def test_keys_of_forks_that_change_nothing_are_read(text: str) -> None:
    with Network.parse(NET + text) as network:
        assert network.info.layers
