# SPDX-License-Identifier: Apache-2.0
"""The table of keys is complete and finds what was meant."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pydarknet.cfg import keys, parse


@pytest.mark.parametrize(
    ("section", "key", "meant"),
    [
        ("net", "subdivision", "subdivisions"),
        ("net", "Height", "height"),
        ("net", "letterbox", "letter_box"),
        ("net", "learning-rate", "learning_rate"),
        ("conv", "batchnorm", "batch_normalize"),
        ("convolutional", "filter", "filters"),
        ("yolo", "class", "classes"),
        ("yolo", "anchor", "anchors"),
        ("net", "zzz", None),
    ],
)
def test_misspelt_keys_find_what_was_meant(section: str, key: str, meant: str | None) -> None:
    assert keys.lookup(section, key) is None
    assert keys.suggest(section, key) == meant


def test_unknown_sections_find_what_was_meant() -> None:
    assert keys.suggest_section("Convolutional") == "convolutional"
    assert keys.suggest_section("shortcuts") == "shortcut"


@pytest.mark.parametrize(
    ("section", "key", "default"),
    [
        ("net", "momentum", 0.9),
        ("net", "decay", 0.0001),
        ("convolutional", "activation", "logistic"),
        ("shortcut", "activation", "linear"),
        ("yolo", "iou_normalizer", 0.75),
        ("yolo", "max", 200),
        ("upsample", "stride", 2),
        ("crnn", "size", 3),
        ("dropout", "stopbackward", 0),
        ("implicit", "filters", 128),
    ],
)
def test_defaults_are_darknets(section: str, key: str, default: object) -> None:
    assert keys.default(section, key) == default


def test_every_key_of_the_reference_files_is_known(shared: Path) -> None:
    unknown = set()
    for path in shared.glob("fixtures/**/*.cfg"):
        for section in parse(path).sections:
            assert section.type in keys.section_types()
            unused = keys.UNUSED.get(section.type, frozenset())
            unknown |= {
                (section.type, option.key)
                for option in section.options
                if not keys.lookup(section.type, option.key) and option.key not in unused
            }
    assert unknown == {("dropout", "size")}, "dropout_inference.cfg carries a key that no Darknet reads"


def test_every_key_of_the_format_reference_is_known(shared: Path) -> None:
    """The `[net]` table of the reference names each key in back-quotes in its first column."""
    text = (shared / "reference" / "formats.md").read_text("utf-8")
    table = text[text.index("## 2. `[net]` keys") : text.index("Not keys (ignored")]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert len(named) > 60
    assert {name for name in named if keys.lookup("net", name) is None} == set()


def test_every_row_says_what_the_key_means() -> None:
    for section in [*keys.section_types(), "*"]:
        assert keys.describe_section(section).endswith("."), section
        for key in keys.known(section).values():
            assert key.meaning.endswith((".", "…")), key
            assert key.default_text, key
