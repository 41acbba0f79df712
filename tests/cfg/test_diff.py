# SPDX-License-Identifier: Apache-2.0
"""The semantic diff sees meaning, not spelling."""

from __future__ import annotations

import pytest

from pydarknet import cfg
from pydarknet.cfg import parse
from pydarknet.cfg.diff import diff

BASE = """[net]
width=32
height=32
channels=3
[convolutional]
filters=8
activation=leaky
[convolutional]
filters=8
activation=mish
[shortcut]
from=-2
activation=linear
[route]
layers=-1,-3
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[net]", "[network]"),
        ("[convolutional]\n", "\n# a comment\n[conv]\n"),
        ("filters=8\nactivation=leaky", "activation = leaky\nfilters = 8"),
        ("activation=linear\n", ""),
        ("width=32", "width=32\nmomentum=.90"),
        ("from=-2", "from=0"),
        ("layers=-1,-3", "layers = 2, 0"),
        ("filters=8", "filters=8\nfilters=9"),
    ],
)
def test_spelling_makes_no_difference(old: str, new: str) -> None:
    assert diff(parse(BASE), parse(BASE.replace(old, new))) == []


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ("width=32", "width=64", ["  [net] width: 32 → 64"]),
        ("activation=mish", "activation=swish", ["  1 [convolutional] activation: mish → swish"]),
        ("activation=leaky", "activation=leaky\nsize=3", ["  0 [convolutional] size: (1) → 3"]),
        ("layers=-1,-3", "layers=-3,-1", ["  3 [route] layers: 2,0 → 0,2"]),
        (
            "[shortcut]",
            "[dropout]\n[shortcut]",
            [
                "+ 2 [dropout]",
                "  2 [shortcut] from: 0 → 1",
                "  3 [route] layers: 2,0 → 3,1",
            ],
        ),
        ("[route]\nlayers=-1,-3\n", "", ["- 3 [route]"]),
        ("[route]\nlayers=-1,-3\n", "[avgpool]\n", ["- 3 [route]", "+ 3 [avgpool]"]),
        ("width=32", "width=32\nfoo=1", ["  [net] foo: (absent) → 1"]),
    ],
)
def test_meaning_makes_a_difference(old: str, new: str, lines: list[str]) -> None:
    assert [str(change) for change in diff(parse(BASE), parse(BASE.replace(old, new)))] == lines


def test_references_follow_inserted_layers() -> None:
    """A layer put in front moves all numbers; only the layer itself is a difference."""
    first = "[convolutional]\nfilters=8\nactivation=leaky\n"
    other = parse(BASE.replace(first, "[maxpool]\n" + first))
    assert [str(change) for change in diff(parse(BASE), other)] == ["+ 0 [maxpool]"]


def test_classes_change_heads_and_filters_only() -> None:
    changes = diff(cfg.yolov4_tiny(80), cfg.yolov4_tiny(3))
    assert {(c.section, c.key) for c in changes} == {
        ("net", "max_batches"),
        ("net", "steps"),
        ("convolutional", "filters"),
        ("yolo", "classes"),
    }
    assert all(change.line for change in changes)
