# SPDX-License-Identifier: Apache-2.0
"""The check of the built documentation finds what it is for."""

from __future__ import annotations

import importlib.util
import zlib
from html import escape
from pathlib import Path

import pydarknet

ROOT = Path(__file__).resolve().parents[2]
spec = importlib.util.spec_from_file_location("check_docs", ROOT / "tools" / "check_docs.py")
assert spec is not None
assert spec.loader is not None
check_docs = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check_docs)


def page(lines: list[str]) -> str:
    """A page with each line in a literal block, highlighted as Sphinx does it."""
    words = (" ".join(f"<span>{escape(word)}</span>" for word in line.split(" ")) for line in lines)
    return "<p>Examples:</p><pre>" + "\n".join(words) + "</pre>"


def test_examples_stand_on_lines_of_their_own() -> None:
    every = [line for _, command in check_docs.commands() for line in check_docs.examples(command)]
    assert len(every) > 60
    assert "pydarknet cfg diff mine.cfg theirs.cfg" in every
    assert check_docs.faults_of_commands(page(every)) == []
    run_together = f"<p>Examples: {escape(' '.join(every))}</p>"
    assert len(check_docs.faults_of_commands(run_together)) >= len(set(every))


def test_dashes_that_were_hyphens() -> None:
    every = [line for _, command in check_docs.commands() for line in check_docs.examples(command)]
    text = "<p>give\n\u2013thresh 0.5 \u2013 or more</p>"
    assert check_docs.faults_of_commands(page(every) + text) == [
        "a dash in place of two hyphens: \u2013thresh"
    ]


def inventory(names: list[str]) -> bytes:
    rows = "".join(f"{name} py:class 1 python.html#$ -\n" for name in names) + "train std:label 1 x -\n"
    return b"# Sphinx inventory version 2\n# Project: x\n# Version: \n# zlib\n" + zlib.compress(rows.encode())


def test_public_names_without_a_page() -> None:
    homes = [f"pydarknet.{name}" for name in pydarknet.__all__]
    assert check_docs.undocumented(check_docs.documented(inventory(homes))) == []
    homes.remove("pydarknet.train")
    homes.remove("pydarknet.DataError")
    found = check_docs.undocumented(check_docs.documented(inventory([*homes, "pydarknet.errors.DataError"])))
    assert found == ["pydarknet.train is on no page; docs/python.md lists public names"]
