#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Check the built documentation: that commands can be copied from it, and that it has every public name.

usage: check_docs.py HTML_FOLDER
"""

from __future__ import annotations

import re
import sys
import zlib
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import click

import pydarknet
from pydarknet.cli import cli


def commands(command: click.Command = cli, path: str = "pydarknet") -> Iterator[tuple[str, click.Command]]:
    """Every command, with the words that call it."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from commands(below, f"{path} {name}")


def examples(command: click.Command) -> list[str]:
    """The lines of a command's help that call pydarknet."""
    return [
        line.strip() for line in (command.help or "").splitlines() if line.strip().startswith("pydarknet ")
    ]


def literal_lines(page: str) -> set[str]:
    """The lines of all literal blocks of an HTML page, as a reader copies them."""
    blocks = re.findall(r"<pre>(.*?)</pre>", page, re.DOTALL)
    return {line.strip() for block in blocks for line in unescape(re.sub("<.*?>", "", block)).splitlines()}


def faults_of_commands(page: str) -> list[str]:
    """Faults of the page of the commands."""
    lines, faults = literal_lines(page), []
    for path, command in commands():
        faults += [f"{path}: no line of its own: {line}" for line in examples(command) if line not in lines]
    text = unescape(re.sub("<.*?>", "", page))
    dashes = sorted(set(re.findall(r".{0,20}[\u2013\u2014][a-z][a-z-]*", text)))
    return faults + [f"a dash in place of two hyphens: {found.strip()}" for found in dashes]


def documented(inventory: bytes) -> set[str]:
    """Names of Python objects in Sphinx's ``objects.inv``: four lines of text, then compressed lines."""
    packed = inventory.split(b"\n", 4)[4]
    rows = (line.split() for line in zlib.decompress(packed).decode().splitlines())
    return {row[0] for row in rows if row[1].startswith("py:")}


def undocumented(names: set[str]) -> list[str]:
    """Public names that no page documents, neither as ``pydarknet.NAME`` nor under their module."""
    missing = []
    for name in pydarknet.__all__:
        thing = getattr(pydarknet, name)
        home = getattr(thing, "__module__", None)
        full = f"{home}.{thing.__qualname__}" if home else getattr(thing, "__name__", name)
        if name != "__version__" and not {f"pydarknet.{name}", full} & names:
            missing.append(f"pydarknet.{name} is on no page; docs/python.md lists public names")
    return missing


def main(folder: Path) -> int:
    faults = faults_of_commands((folder / "commands.html").read_text("utf-8"))
    faults += undocumented(documented((folder / "objects.inv").read_bytes()))
    print("\n".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
