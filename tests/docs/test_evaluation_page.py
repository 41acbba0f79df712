# SPDX-License-Identifier: Apache-2.0
"""The code of the page about evaluation runs and prints what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs/evaluation.md"
BLOCK = re.compile(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_the_code_prints_what_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = BLOCK.findall(PAGE.read_text())
    assert len(blocks) == 2
    names: dict[str, Any] = {}
    for code, expected in blocks:
        exec(code, names)
        assert capsys.readouterr().out == expected
