# SPDX-License-Identifier: Apache-2.0
"""Every command that a page or the README shows exists, with each of its options."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from pydarknet.cli import cli

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def shown(text: str) -> Iterator[str]:
    """Command lines of a page: in code spans, and in code blocks, where a backslash continues a line."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    for block in blocks:
        for line in block.replace("\\\n", " ").splitlines():
            yield re.sub(r"\s+#.*|\s*\|.*", "", line.removeprefix("$ ")).removeprefix(".venv/bin/")
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


def command_of(words: list[str]) -> tuple[click.Command, list[str]] | None:
    """The command that words call, and the words after it; None if a placeholder stands in its place."""
    command: click.Command = cli
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        if words[0].isupper() or "." in words[0] or "," in words[0] or "|" in words[0]:
            return None
        below = command.get_command(click.Context(command), words[0])
        assert below is not None, f"no command {words[0]!r}"
        command, words = below, words[1:]
    return command, words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_and_options_exist(page: Path) -> None:
    for line in shown(page.read_text("utf-8")):
        if not re.match(r"pydarknet [a-z-]", line):
            continue
        found = command_of(shlex.split(line.replace("'", '"') if line.count("'") % 2 else line)[1:])
        if found is None:
            continue
        command, words = found
        options = {name for p in command.params for name in (*p.opts, *p.secondary_opts)} | {"--help", "-h"}
        for word in words:
            if re.match(r"--?[A-Za-z]", word):
                assert word.partition("=")[0] in options, f"{line}: {word}"


def test_the_test_finds_what_is_wrong(tmp_path: Path) -> None:
    page = tmp_path / "x.md"
    for text in ("`pydarknet weights cut a`", "```bash\n$ pydarknet train --cfg a \\\n  --eppochs 3\n```\n"):
        page.write_text(text)
        with pytest.raises(AssertionError, match=r"no command 'cut'|--eppochs"):
            test_commands_and_options_exist(page)
