# SPDX-License-Identifier: Apache-2.0
"""Every key is explained, known or not, and the reference page holds them all."""

from __future__ import annotations

from pydarknet.cfg import keys, parse
from pydarknet.cfg.explain import Explanation, explain, reference

TEXT = "[net]\nHeight=416\nmomentum=.9\nswa=1\nxyzzy=1\n[maxpool]\nsize=2\n"


def test_each_key_has_value_default_and_meaning() -> None:
    rows = {row.key: row for row in explain(parse(TEXT))}
    assert list(rows) == ["Height", "momentum", "swa", "xyzzy", "size"]
    meaning = "Momentum of the gradient descent."
    assert rows["momentum"] == Explanation("net", -1, 3, "momentum", ".9", "0.9", "training", meaning)
    assert (rows["size"].layer, rows["size"].default) == (0, "stride")
    assert rows["Height"].meaning == "Unknown; did you mean 'height'?"
    assert rows["swa"].meaning == "Not used by any program."
    assert rows["xyzzy"].meaning == "Unknown."


def test_absent_keys_appear_when_asked() -> None:
    rows = [row for row in explain(parse(TEXT), absent=True) if row.layer == 0]
    assert {row.key for row in rows} == set(keys.known("maxpool"))
    assert next(row for row in rows if row.key == "stride") == Explanation(
        "maxpool", 0, 0, "stride", "1", "1", "both", "Stride in both directions."
    )


def test_the_reference_page_holds_every_key() -> None:
    page = reference()
    for section in keys.section_types():
        body = page.partition(f"\n## [{section}]\n")[2].partition("\n## ")[0]
        for key in keys.known(section).values():
            if key.section == section:
                assert f"| `{key.name}` |" in body, (section, key.name)
    assert "## Every layer" in page
    assert "Also written `[conv]`." in page
