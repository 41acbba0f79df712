# SPDX-License-Identifier: Apache-2.0
"""Networks of every age, made small: they load and compute, or are refused by name."""

from __future__ import annotations

import numpy as np
import pytest

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
    "unknown": (NET + "[deconvolutional]\nfilters=4\n", "unknown section"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_missing_is_named(name: str) -> None:
    text, words = REFUSED[name]
    with pytest.raises(CfgError, match=rf"net\.cfg:\d+ .*{words}"):
        Network.parse(text, name="net.cfg", strict=False)
