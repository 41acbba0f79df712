# SPDX-License-Identifier: Apache-2.0
"""Whatever a file says, the answer is a result or a CfgError, never another exception."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from pydarknet.cfg import keys, parse, walk
from pydarknet.cfg.diff import diff
from pydarknet.cfg.edit import retune
from pydarknet.cfg.explain import explain
from pydarknet.cfg.memory import inference_memory, training_memory
from pydarknet.cfg.repair import fix
from pydarknet.cfg.show import table
from pydarknet.errors import CfgError, FileError

VALUES = st.sampled_from(
    ["0", "1", "-1", "2", "3,4", "-2,-1", "1e9", "99999999999", "abc", "", "leaky", ".5", "#"]
)


@st.composite
def cfg_text(draw: st.DrawFn) -> str:
    """A file of known sections and keys with silly values, and some noise."""
    lines = ["[net]", "width=32", "height=32", "channels=3"]
    for section in draw(st.lists(st.sampled_from([*keys.section_types(), "foo", "Conv"]), max_size=6)):
        lines.append(f"[{section}]")
        names = [*keys.known(section), "bar", "Filters"]
        for name in draw(st.lists(st.sampled_from(names), max_size=4)):
            lines.append(f"{name} = {draw(VALUES)}")
    noise = draw(st.lists(st.sampled_from(["", "junk", "# note", "=", "[", "]x[", "a=b=c"]), max_size=3))
    return "\n".join([*draw(st.permutations(noise)), *lines] if draw(st.booleans()) else [*lines, *noise])


@settings(max_examples=400, deadline=None)
@given(cfg_text(), cfg_text())
def test_only_cfg_errors(text: str, other: str) -> None:
    cfg = parse(text)
    assert str(cfg) == text
    list(explain(cfg, absent=True))
    repaired, _ = fix(cfg)
    assert fix(repaired)[1] == []
    for attempt in (
        lambda: walk(cfg),
        lambda: walk(cfg, problems=[]),
        lambda: table(cfg),
        lambda: diff(cfg, parse(other)),
        lambda: retune(cfg, batch=8, max_batches=100, classes=2),
        lambda: training_memory(cfg),
        lambda: inference_memory(cfg),
    ):
        with suppress(CfgError, FileError):  # a class tree that is not there
            attempt()
