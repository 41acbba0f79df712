# SPDX-License-Identifier: Apache-2.0
"""Repairs of a cfg whose meaning is certain: spellings, numbers, ``num``, the grid of random sizes.

:func:`fix` makes all of them, in a copy.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pydarknet.cfg import keys
from pydarknet.cfg.edit import copy
from pydarknet.cfg.model import CfgFile, Line, Section
from pydarknet.cfg.trainable import random_head, size_grid
from pydarknet.errors import CfgError

_NUMBER = re.compile(r"([+-]?\d+)(\.\d*)?[^0-9.,]*")


@dataclass(frozen=True, slots=True)
class Repair:
    """One change made by :func:`fix`: line in the old file, its text before and after, and the reason."""

    line: int
    old: str
    new: str
    reason: str


def fix(cfg: CfgFile) -> tuple[CfgFile, list[Repair]]:
    """Make all repairs whose meaning is certain.

    Misspelt keys, section names and activations get their current name; comments after values move to a line
    of their own; repeated keys, unused keys and text that is not an option become comments; whole numbers
    lose what Darknet does not read (``4800.0``, ``64px``); ``num`` becomes the number of anchors that are
    listed and used; ``resize_step`` becomes a multiple of the network's stride.

    Returns:
        A changed copy, and the repairs in the order of the file.
    """
    result, repairs = fix_spellings(cfg)
    for repair in (fix_values, fix_num, fix_grid):
        result, more = repair(result)
        repairs += more
    return result, sorted(repairs, key=lambda repair: repair.line)


def fix_spellings(cfg: CfgFile) -> tuple[CfgFile, list[Repair]]:
    """Fix names of sections and keys, comments after values, and lines without effect."""
    result = copy(cfg)
    repairs: list[Repair] = []
    for section in result.sections:
        _fix_header(section, repairs)
        seen: set[str] = set()
        body: list[Line] = []
        for line in section.body:
            body += _fix_line(section, line, seen, repairs)
        section.body = body
    return result, repairs


def fix_values(cfg: CfgFile) -> tuple[CfgFile, list[Repair]]:
    """Fix whole numbers with text behind them, and activations of other frameworks."""
    result = keep_numbers(cfg)
    repairs: list[Repair] = []
    for section in result.sections:
        for line in section.body:
            key, value = line.option or ("", "")
            row = keys.lookup(section.type, key) if key else None
            new = plain_value(row, value) if row else value
            if new != value:
                reason = (
                    f"{value!r} is read as {new!r}"
                    if row and row.type != "str"
                    else f"{value!r} is called {new!r}"
                )
                _change(line, new, reason, repairs)
    return result, repairs


def plain_value(row: keys.Key, value: str) -> str:
    """The value without what Darknet does not read, or by its name here; unchanged if it is unclear."""
    if row.type == "str":
        return (keys.other_name(row.name, value) or value) if row.choices else value
    if row.type not in ("int", "ints"):
        return value
    items = value.split(",")
    matches = [_NUMBER.fullmatch(item) for item in items]
    return ",".join(match[1] if match else item for match, item in zip(matches, items, strict=True))


def fix_num(cfg: CfgFile) -> tuple[CfgFile, list[Repair]]:
    """Raise ``num`` to the number of anchors that are listed, where masks use more than ``num``."""
    result = keep_numbers(cfg)
    repairs: list[Repair] = []
    for head in result.heads:
        listed = used_anchors(head)
        if listed:
            line = next((line for line in head.body if line.option and line.option[0] == "num"), None)
            if line is None:
                head.set("num", listed)
                repairs.append(Repair(head.line, "", f"num={listed}", "mask uses these anchors"))
            else:
                _change(line, str(listed), f"mask uses anchors of the {listed} that are listed", repairs)
    return result, repairs


def used_anchors(head: Section) -> int:
    """Anchors that a head lists, if its mask uses more than ``num`` and no more than these; else 0."""
    if head.type not in ("yolo", "Gaussian_yolo"):
        return 0
    try:
        listed, highest = len(head.numbers("anchors")) // 2, max(head.integers("mask"), default=0)
        return listed if head.integer("num") <= highest < listed else 0
    except CfgError:
        return 0


def fix_grid(cfg: CfgFile) -> tuple[CfgFile, list[Repair]]:
    """Make ``resize_step`` a multiple of the stride, where training changes the input size."""
    result = keep_numbers(cfg)
    repairs: list[Repair] = []
    try:
        step, stride = size_grid(result)
        wrong = random_head(result) is not None and step % stride != 0
    except CfgError:
        return result, repairs
    if wrong:
        net, new = result.net, -(-step // stride) * stride
        line = next((line for line in net.body if line.option and line.option[0] == "resize_step"), None)
        reason = f"sizes must be multiples of the stride {stride}"
        if line is None:
            net.set("resize_step", new)
            repairs.append(Repair(net.line, "", f"resize_step={new}", reason))
        else:
            _change(line, str(new), reason, repairs)
    return result, repairs


def keep_numbers(cfg: CfgFile) -> CfgFile:
    """A copy whose lines keep their numbers, so that repairs made one after the other name the old file."""
    result = copy(cfg)
    for old, new in zip(cfg.sections, result.sections, strict=True):
        for before, after in zip([old.header, *old.body], [new.header, *new.body], strict=True):
            after.number = before.number
    return result


def _change(line: Line, value: str, reason: str, repairs: list[Repair]) -> None:
    old = line.text
    line.replace_value(value)
    repairs.append(Repair(line.number, old, line.text, reason))


def _fix_header(section: Section, repairs: list[Repair]) -> None:
    old = section.header.text
    name = section.name
    folded = {known.lower(): known for known in [*keys.section_types(), *keys.ALIASES]}
    new = f"[{folded.get(name.lower(), name)}]"
    if new != section.header.raw:
        section.header.text = new
        repairs.append(Repair(section.line, old, new, "a section name is exact, without a comment after it"))


def _fix_line(section: Section, line: Line, seen: set[str], repairs: list[Repair]) -> Sequence[Line]:
    if not line.raw:
        return [line]
    old = line.text
    lines = [line]
    key = line.option[0] if line.option else ""
    new_key = _current_key(section, key)
    reason = ""
    if not key:
        reason = "is not an option"
    elif new_key in seen:
        reason = f"only the first {new_key!r} counts"
    elif key in keys.UNUSED.get(section.type, ()):
        reason = "no program reads this key"
    if reason:
        line.text = f"# {line.text.strip()}"
        repairs.append(Repair(line.number, old, line.text, reason))
        return lines
    seen.add(new_key)
    if new_key != key:
        line.text = line.text.replace(key, new_key, 1)
        repairs.append(Repair(line.number, old, line.text, f"{key!r} is called {new_key!r}"))
    if comment := re.search("[#;]", line.text):
        value = line.text[: comment.start()]
        lines.insert(0, Line(f"# {line.text[comment.end() :].strip()}", line.end))
        repairs.append(Repair(line.number, line.text, value.rstrip(), "comments need a line of their own"))
        line.text = value.rstrip()
    return lines


def _current_key(section: Section, key: str) -> str:
    """Current name of an old or misspelt key; the key itself if it is known or unclear."""
    if not key or keys.lookup(section.type, key):
        return key
    old = keys.OLD_SPELLINGS.get(section.type, {}).get(key)
    folded = {name.lower(): name for name in keys.known(section.type)}
    return old or folded.get(key.lower().replace("-", "_"), key)
