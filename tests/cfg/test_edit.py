# SPDX-License-Identifier: Apache-2.0
"""Numbers that belong together move together; old spellings are fixed."""

from __future__ import annotations

import pytest

from pydarknet import cfg
from pydarknet.cfg import keys, parse, walk
from pydarknet.cfg.diff import diff
from pydarknet.cfg.edit import retune
from pydarknet.cfg.repair import Repair, fix
from pydarknet.errors import CfgError

TUTORIAL = """# my settings
[net]
batch=24
subdivisions=8
learning_rate=0.001
max_batches = 4000
policy=steps
steps=3000,3600
scales=.1,.1
"""


def test_batch_rate_and_steps_move_together() -> None:
    net = retune(parse(TUTORIAL), batch=64, max_batches=6000).net
    assert net.get("learning_rate") == "0.00267"
    assert net.integers("steps") == [4500, 5400]
    assert (net.integer("batch"), net.integer("max_batches")) == (64, 6000)
    assert 64 // net.integer("subdivisions") <= 3, "the mini-batch must not grow"


def test_a_shorter_training_has_a_shorter_burn_in() -> None:
    for length, burn_in in ((8000, 1000), (4000, 1000), (2000, 500)):
        assert retune(cfg.yolov4_tiny(3), max_batches=length).net.integer("burn_in") == burn_in


def test_subdivisions_alone_leave_the_rate() -> None:
    changes = diff(parse(TUTORIAL), retune(parse(TUTORIAL), subdivisions=12))
    assert [change.key for change in changes] == ["subdivisions"]


def test_everything_else_stays_as_it_is() -> None:
    before, after = TUTORIAL.splitlines(), str(retune(parse(TUTORIAL), max_batches=8000)).splitlines()
    assert [line for line, old in zip(after, before, strict=True) if line != old] == [
        "max_batches = 8000",
        "steps=6000,7200",
    ]


def test_classes_reach_every_head() -> None:
    changed = retune(cfg.yolov4_p6(80), classes=7)
    assert walk(changed).floats == walk(cfg.yolov4_p6(7)).floats
    assert {head.integer("classes") for head in changed.heads} == {7}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 0}, "batch is 0, expected at least 1"),
        ({"batch": 64, "subdivisions": 7}, "batch 64 is not divisible by subdivisions 7"),
        ({"classes": 0}, "classes is 0, expected at least 1"),
    ],
)
def test_impossible_changes_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(CfgError, match=message):
        retune(parse(TUTORIAL), **options)  # type: ignore[arg-type]


def test_a_size_must_fit_the_stride() -> None:
    assert walk(retune(cfg.yolov4_tiny(3), size=(320, 256)))[0].src == (320, 256, 3)
    with pytest.raises(CfgError, match="height 300 is not a multiple of 32; take 288 or 320"):
        retune(cfg.yolov4_tiny(3), size=(320, 300))


def test_a_head_without_convolution_cannot_be_resized() -> None:
    with pytest.raises(CfgError, match=r"<cfg>:4 \[yolo\] classes: stands below \[maxpool\]"):
        retune(parse("[net]\n[maxpool]\n[yolo]\nclasses=2\n"), classes=3)


OLD = (
    "[Net]\r\nsubdivision=8 # small\r\nHeight=416\r\nwidth=416\r\nswa=1\r\nwidth=3\r\nnonsense\r\n\r\n"
    "[conv] # first\r\nbatchnorm=1\r\nactivation=leaky\r\n"
)
MODERN = (
    "[net]\r\n# small\r\nsubdivisions=8\r\nheight=416\r\nwidth=416\r\n# swa=1\r\n# width=3\r\n"
    "# nonsense\r\n\r\n[conv]\r\nbatch_normalize=1\r\nactivation=leaky\r\n"
)


def test_old_spellings_are_mended() -> None:
    changed, repairs = fix(parse(OLD))
    assert str(changed) == MODERN
    assert changed.problems == []
    assert [repair.line for repair in repairs] == [1, 2, 2, 3, 5, 6, 7, 9, 10]
    assert repairs[3] == Repair(3, "Height=416", "height=416", "'Height' is called 'height'")


def test_values_with_one_meaning_are_fixed() -> None:
    text = (
        "[net]\nsteps=4800.0,5400.\nburn_in=10.5 # short\nmax_batches=1e3\nwidth=64px\n"
        "[conv]\nactivation=SiLU\n[yolo]\nmask=2,3\nanchors=1,2,3,4,5,6,7,8\nnum=2\n"
    )
    changed, repairs = fix(parse(text))
    assert str(changed) == (
        "[net]\nsteps=4800,5400\n# short\nburn_in=10\nmax_batches=1e3\nwidth=64\n"
        "[conv]\nactivation=swish\n[yolo]\nmask=2,3\nanchors=1,2,3,4,5,6,7,8\nnum=4\n"
    )
    assert [repair.reason for repair in repairs if repair.line > 4] == [
        "'64px' is read as '64'",
        "'SiLU' is called 'swish'",
        "mask uses anchors of the 4 that are listed",
    ]


def test_mending_twice_changes_nothing_more() -> None:
    changed, repairs = fix(parse(MODERN))
    assert (str(changed), repairs) == (MODERN, [])


@pytest.mark.parametrize("name", cfg.FAMILIES)
def test_what_we_write_needs_no_mending(name: str) -> None:
    assert fix(cfg.new(name))[1] == []


def test_every_old_spelling_leads_to_a_key_that_exists() -> None:
    for section, names in keys.OLD_SPELLINGS.items():
        for old, name in names.items():
            assert keys.lookup(section, old) is None, (section, old)
            assert keys.lookup(section, name) is not None, (section, name)
