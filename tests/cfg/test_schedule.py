# SPDX-License-Identifier: Apache-2.0
"""Steps of a training of another length: they keep their share, ascend, and lie before the end."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydarknet.cfg import CfgFile, new
from pydarknet.cfg.edit import retune
from pydarknet.cfg.schedule import rescale
from pydarknet.check import Inputs
from pydarknet.check.catalogue import CATALOGUE
from pydarknet.check.fix import fix

MARKED = "[net]\nmax_batches=6000\npolicy=steps\nsteps=-1,100,4800,5400\nscales=.1,10,.1,.1\n"


@pytest.mark.parametrize(
    ("length", "steps"), [(12000, [-1, 200, 9600, 10800]), (50, [-1, 1, 40, 45]), (8, [-1, 1, 6, 7])]
)
def test_a_step_from_the_start_stays(length: int, steps: list[int]) -> None:
    net = retune(CfgFile.parse(MARKED), max_batches=length).net
    assert net.integers("steps") == steps
    assert net.numbers("scales") == [0.1, 10, 0.1, 0.1]


@pytest.mark.parametrize(
    ("length", "steps", "scales"), [(4, [3], [0.1]), (3, [2], [0.1]), (6, [5], [0.01]), (1, [], [])]
)
def test_steps_that_meet_become_one(length: int, steps: list[int], scales: list[float]) -> None:
    """80 and 90 % of 6 are 5 and 5: one step with both scales; 90 % of 4 is its end, which is left out."""
    net = CfgFile.parse("[net]\nmax_batches=6000\npolicy=steps\nsteps=4800,5400\nscales=.1,.1\n").net
    assert rescale(net, length) == ([4800, 5400], steps)
    assert net.integers("steps") == steps
    assert net.numbers("scales") == pytest.approx(scales)
    assert net.text("policy") == ("steps" if steps else "constant")


def test_a_cfg_without_length_gets_its_steps_near_the_end() -> None:
    net = CfgFile.parse("[net]\npolicy=steps\nsteps=-1,400000,450000\nscales=1,.1,.1\n").net
    assert rescale(net, 1000)[1] == [-1, 867, 933]


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 30_000),
    st.lists(st.integers(-1, 29_999), min_size=1, max_size=5, unique=True).map(sorted),
    st.integers(1, 40_000),
)
def test_rescaling_never_makes_a_cfg_that_the_rules_refuse(before: int, steps: list[int], after: int) -> None:
    """What L-07 accepts, it accepts at every other length."""
    given_steps = [step for step in steps if step < before]
    cfg = CfgFile.parse(str(SMALL))
    cfg.net.set("max_batches", before)
    cfg.net.set("steps", given_steps or [-1])
    cfg.net.set("scales", [0.5] * max(len(given_steps), 1))
    assert not list(CATALOGUE["L-07"].run(Inputs(cfg)))
    changed = retune(cfg, max_batches=after)
    assert not list(CATALOGUE["L-07"].run(Inputs(changed)))
    found = changed.net.integers("steps")
    assert all(earlier < later for earlier, later in pairwise(found))
    assert all(step < after for step in found)


@pytest.mark.parametrize("length", range(1, 25))
def test_generated_trainings_of_any_length_have_possible_steps(length: int) -> None:
    made = new("yolov4-tiny", 1, max_batches=length)
    assert not list(CATALOGUE["L-07"].run(Inputs(made)))
    made.net.set("policy", "steps")
    made.net.set("steps", [length, length])
    made.net.set("scales", [1, 1])
    fixed, rules = fix(Inputs(CfgFile.parse(str(made))))
    assert "L-07" in rules
    assert not list(CATALOGUE["L-07"].run(Inputs(fixed)))


SMALL = new("yolov4-tiny", 1)
