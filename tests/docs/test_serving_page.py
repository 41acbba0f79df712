# SPDX-License-Identifier: Apache-2.0
"""The page about deployment: its addresses, options and handler exist, its attacks are tested."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from pydarknet import Detections
from pydarknet.cli import cli
from pydarknet.serving.answers import FORMS
from pydarknet.serving.app import DETECT

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "serving.md").read_text()


def options(name: str) -> set[str]:
    command = cli.get_command(None, name)  # type: ignore[arg-type]
    assert command is not None
    return {option for parameter in command.params for option in parameter.opts}


def test_the_handler_of_the_page_counts_objects() -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    found = Detections(
        np.zeros((3, 4), np.float32), np.ones(3, np.float32), np.array([0, 1, 0]), ("dog", "cat")
    )
    assert names["answer"](found, None, {}) == {"dog": 2, "cat": 1}
    assert names["answer"](found, None, {"class": "cat"}) == {"cat": 1}


def test_options_addresses_and_forms_exist() -> None:
    own = PAGE[: PAGE.index("## In a container")]
    used = set(re.findall(r"`(--[a-z-]+)", own))
    assert used <= options("serve"), used - options("serve")
    for name in (*DETECT, *FORMS):
        assert re.search(rf"[`, ]{re.escape(name)}`", PAGE), name
    for path in re.findall(r"\]\((images/\S+)\)", PAGE):
        assert (ROOT / "docs" / path).is_file()
