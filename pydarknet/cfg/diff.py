# SPDX-License-Identifier: Apache-2.0
"""Effective differences of two cfgs: values after defaults, layers after alignment.

Spelling does not count: ``[conv]`` equals ``[convolutional]``, ``.1`` equals ``0.10``, an absent key
equals its default, ``layers=-4`` equals ``layers=57`` if both mean the same layer.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

from pydarknet.cfg import keys
from pydarknet.cfg.model import CfgFile, Section

REFERENCES = {"route": "layers", "shortcut": "from", "scale_channels": "from", "sam": "from"}


@dataclass(frozen=True, slots=True)
class Change:
    """One difference.

    Attributes:
        kind: ``changed``, ``added`` or ``removed``; the last two mean a whole section if ``key`` is empty.
        section: name of the section.
        layer: layer number in the first file (in the second if the section was added); −1 for ``[net]``.
        key: the key, or empty for a whole section.
        old: value in the first file; in parentheses if it is the default.
        new: value in the second file.
        line: line in the second file (in the first if the section was removed).
    """

    kind: str
    section: str
    layer: int
    key: str
    old: str
    new: str
    line: int

    def __str__(self) -> str:
        place = "[net]" if self.layer < 0 else f"{self.layer} [{self.section}]"
        if not self.key:
            return f"{'+' if self.kind == 'added' else '-'} {place}"
        return f"  {place} {self.key}: {self.old} → {self.new}"


Canonical = float | str | tuple[float, ...]


def canonical(section: Section, key: str) -> Canonical | None:
    """The value of a key, default included, in a form in which equal values are equal; None if unset."""
    text = section.text(key)
    row = keys.lookup(section.type, key)
    if not text:
        return None
    try:
        if row is None or row.type == "str":
            return text
        numbers = tuple(section.numbers(key))
        return numbers if row.type in ("ints", "floats") else numbers[0]
    except (ValueError, IndexError):
        return text


def layer_references(section: Section, index: int) -> tuple[int, ...]:
    """Absolute numbers of the layers that a section names, in order."""
    key = REFERENCES.get(section.type)
    return tuple(n if n >= 0 else index + n for n in section.integers(key)) if key else ()


def _token(section: Section) -> tuple[object, ...]:
    """Key by which layers match when the files are aligned."""
    names = sorted({option.key for option in section.options} - set(REFERENCES.values()))
    return (section.type, *((name, canonical(section, name)) for name in names))


def align(old: CfgFile, new: CfgFile) -> list[tuple[int | None, int | None]]:
    """Pairs of layer numbers that correspond; None where a layer has no counterpart."""
    return list(_align([_token(s) for s in old.layers], [_token(s) for s in new.layers]))


def _align(
    old: list[tuple[object, ...]], new: list[tuple[object, ...]]
) -> Iterator[tuple[int | None, int | None]]:
    for tag, a, a_end, b, b_end in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "replace" and len(old[a]) > 1:
            kinds = [token[:1] for token in old[a:a_end]], [token[:1] for token in new[b:b_end]]
            for left, right in _align(*kinds):
                yield None if left is None else a + left, None if right is None else b + right
        elif tag == "equal" or (tag == "replace" and a_end - a == b_end - b):
            yield from zip(range(a, a_end), range(b, b_end), strict=True)
        else:
            yield from ((index, None) for index in range(a, a_end))
            yield from ((None, index) for index in range(b, b_end))


def diff(old: CfgFile, new: CfgFile) -> list[Change]:
    """Differences of meaning between two cfgs, ``[net]`` first, then layer by layer."""
    changes = list(_section_changes(old.net, new.net, -1))
    pairs = align(old, new)
    counterpart = {a: b for a, b in pairs if a is not None and b is not None}
    for a, b in pairs:
        if b is None and a is not None:
            section = old.layers[a]
            changes.append(Change("removed", section.name, a, "", "", "", section.line))
        elif a is None and b is not None:
            section = new.layers[b]
            changes.append(Change("added", section.name, b, "", "", "", section.line))
        elif a is not None and b is not None:
            changes += _layer_changes(old.layers[a], new.layers[b], a, b, counterpart)
    return changes


def _layer_changes(
    old: Section, new: Section, a: int, b: int, counterpart: dict[int, int]
) -> Iterator[Change]:
    if old.type != new.type:
        yield Change("removed", old.name, a, "", "", "", old.line)
        yield Change("added", new.name, b, "", "", "", new.line)
        return
    reference = REFERENCES.get(old.type, "")
    yield from _section_changes(old, new, a, skip=reference)
    before, after = layer_references(old, a), layer_references(new, b)
    if [counterpart.get(index) for index in before] != list(after):
        was, now = (",".join(map(str, indexes)) for indexes in (before, after))
        yield Change("changed", new.name, a, reference, was, now, new.problem(reference, "").line)


def _section_changes(old: Section, new: Section, layer: int, skip: str = "") -> Iterator[Change]:
    names = dict.fromkeys(option.key for option in [*old.options, *new.options])
    for name in names:
        before, after = canonical(old, name), canonical(new, name)
        if name != skip and before != after:
            values = _show(old, name), _show(new, name)
            yield Change("changed", new.name, layer, name, *values, new.problem(name, "").line)


def _show(section: Section, name: str) -> str:
    written = section.get(name)
    if written is not None:
        return written
    row = keys.lookup(section.type, name)
    return f"({row.default_text})" if row else "(absent)"
