# SPDX-License-Identifier: Apache-2.0
"""Rules about keys and values as they are written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pydarknet.cfg import keys
from pydarknet.cfg.model import Line, Section
from pydarknet.cfg.repair import plain_value, used_anchors
from pydarknet.check.catalogue import ERROR, NOTE, WARNING, Found, at, rule
from pydarknet.check.inputs import Inputs


@rule("L-01", ERROR, "unknown or misspelt key", "Correct the key; `pydarknet cfg fix` fixes old spellings.")
def known_keys(inputs: Inputs) -> Iterator[Found]:
    """Darknet skips keys that it does not know and continues with the default, or stops because the real key
    is missing.  Duplicates, keys without a value and comments that Darknet takes as part of a name are
    warnings, unused keys of published files notes."""
    for section in inputs.cfg.sections:
        seen: set[str] = set()
        for line in (section.header, *section.body):
            yield from _judged(section, line, seen)
    for problem in inputs.cfg.idle:
        hint = "Give the key a value, or delete the line."
        yield Found(
            f"{problem.message}; Darknet skips the line",
            inputs.cfg.path,
            problem.line,
            severity=WARNING,
            hint=hint,
        )


def _judged(section: Section, line: Line, seen: set[str]) -> Iterator[Found]:
    known = keys.known(section.type)
    key, value = line.option or ("", "")
    found = Found("", section.path, line.number, key)
    if known and _comment_counts(line, known.get(key)):
        text = f"[{section.name}] {key} has a comment behind it, which Darknet takes as part of it"
        hint = "Put the comment on a line of its own; `pydarknet cfg fix` does so."
        yield replace(found, message=text.replace("  ", " "), severity=WARNING, hint=hint)
    if not known or not key:
        return
    if key in seen:
        text = f"[{section.name}] {key} is a duplicate; only the first value is used"
        yield replace(found, message=text, severity=WARNING, hint="Delete one of them.")
    elif key in keys.UNUSED.get(section.type, ()):
        text = f"[{section.name}] {key} is not used by any program"
        yield replace(found, message=text, severity=NOTE, hint="It can be deleted.")
    elif key not in known:
        close = keys.suggest(section.type, key) or ""
        hint = f"; did you mean {close!r}?" if close else ""
        yield replace(found, message=f"[{section.name}] unknown key {key!r}{hint}", expected=close)
    elif known[key].choices and value not in known[key].choices:
        choices = ", ".join(known[key].choices)
        hint = keys.value_hint(known[key], value)
        text = f"[{section.name}] {key} is {value!r}" + (hint or f", expected one of {choices}")
        yield replace(found, message=text, value=value, expected=choices)
    seen.add(key)


def _comment_counts(line: Line, row: keys.Key | None) -> bool:
    """A comment behind a number is harmless; behind a header or a word it becomes part of it."""
    return line.raw != line.code and (line.code.startswith("[") or (row is not None and row.type == "str"))


@rule("L-36", WARNING, "key without effect", "Delete the key, or do without what it does in Darknet.")
def keys_have_effect(inputs: Inputs) -> Iterator[Found]:
    """Keys that change training or tracking in Darknet, but are not implemented here; the default of a key is
    not reported.  Keys that are refused here are errors.  A key with one value in many sections of a type is
    reported once."""
    first: dict[tuple[str, str, str], Found] = {}
    more: dict[tuple[str, str, str], int] = {}
    for section in inputs.cfg.sections:
        for option in section.options:
            row = keys.lookup(section.type, option.key)
            if row is None or row.use not in _WITHOUT_EFFECT or row.is_default(option.value):
                continue
            same = section.type, option.key, option.value
            text = f"[{section.name}] {option.key}={option.value}"
            found = Found(text, section.path, option.line, option.value, row.default_text)
            first.setdefault(same, replace(found, severity=ERROR if row.use == "refused" else None))
            more[same] = more.get(same, -1) + 1
    for (kind, key, _), found in first.items():
        row = keys.lookup(kind, key)
        others = more[kind, key, found.value]
        also = f" (and in {others} more section{'s' * (others > 1)})" if others else ""
        yield replace(found, message=f"{found.message}{also} {_WITHOUT_EFFECT[row.use if row else '']}")


_WITHOUT_EFFECT = {
    "unsupported": "has no effect: only Darknet uses this key",
    "refused": "is refused: not supported",
}


@rule(
    "L-37", WARNING, "value is read in part", "Write what is meant; `pydarknet cfg fix` keeps what is read."
)
def values_are_numbers(inputs: Inputs) -> Iterator[Found]:
    """Darknet reads the digits at the beginning of a whole number and ignores the rest: ``10.5`` and ``10px``
    are 10.  ``10.0`` is only noted."""
    for section in inputs.cfg.sections:
        for option in section.options:
            row = keys.lookup(section.type, option.key)
            plain = plain_value(row, option.value) if row and row.type in ("int", "ints") else option.value
            if plain == option.value:
                continue
            exact = all(item.rstrip("0") in (".", "") for item in _rests(option.value, plain))
            text = f"[{section.name}] {option.key}={option.value} is read as {plain}"
            severity = NOTE if exact else None
            yield Found(text, section.path, option.line, option.value, plain, severity)


def _rests(value: str, plain: str) -> list[str]:
    """Text behind the digits that are read, in each item of a list."""
    pairs = zip(value.split(","), plain.split(","), strict=True)
    return [item.removeprefix(read) for item, read in pairs]


@rule("L-38", WARNING, "num is less than the anchors in use", "Set num to the number of anchors.")
def num_covers_masks(inputs: Inputs) -> Iterator[Found]:
    """A mask uses anchors that are listed, but not counted by num.  Training takes those that are listed;
    Darknet, and detection without ``--lenient``, do not."""
    for head in inputs.cfg.heads:
        if listed := used_anchors(head):
            highest = max(head.integers("mask"))
            text = f"num is {head.integer('num')}, but mask uses anchor {highest}, counted from 0"
            yield at(head, "num", text, str(listed))
