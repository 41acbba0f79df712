# SPDX-License-Identifier: Apache-2.0
"""Explanation of a cfg, key by key: value, default, meaning; and the same table as a reference page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydarknet.cfg import keys
from pydarknet.cfg.model import CfgFile

# How the reference page shows the uses that are not shown as they are.
_USES = {
    "both": "training, inference",
    "ignored": "nothing",
    "unsupported": "no effect here (Darknet only)",
    "refused": "refused here (Darknet only)",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """One key of one section, ready to print.

    Attributes:
        section: name of the section.
        layer: layer number, −1 for ``[net]``.
        line: line in the file; 0 if the key is absent and its default applies.
        key: name of the key.
        value: text in the file, or the default.
        default: Darknet's default, or the rule that replaces it.
        use: the use of :class:`pydarknet.cfg.keys.Key`, or ``unknown``.
        meaning: one or two sentences; for an unknown key, the key probably meant.
    """

    section: str
    layer: int
    line: int
    key: str
    value: str
    default: str
    use: str
    meaning: str


def explain(cfg: CfgFile, *, absent: bool = False) -> Iterator[Explanation]:
    """Every key of the file, in order.

    Args:
        cfg: the file.
        absent: also list the keys that are not set, with their defaults.
    """
    for layer, section in enumerate(cfg.sections, start=-1):
        for option in section.options:
            row = keys.lookup(section.type, option.key)
            default, use, meaning = (
                (row.default_text, row.use, row.meaning)
                if row
                else ("", "unknown", _unknown(section.type, option.key))
            )
            yield Explanation(
                section.name, layer, option.line, option.key, option.value, default, use, meaning
            )
        if absent:
            for row in keys.known(section.type).values():
                if row.name not in section:
                    text = row.default_text
                    yield Explanation(section.name, layer, 0, row.name, text, text, row.use, row.meaning)


def _unknown(section: str, key: str) -> str:
    if key in keys.UNUSED.get(section, ()):
        return "Not used by any program."
    close = keys.suggest(section, key)
    return f"Unknown; did you mean {close!r}?" if close else "Unknown."


def reference() -> str:
    """The reference page of all sections and keys, in Markdown."""
    text = ["# Keys of a cfg file", ""]
    text += ["Generated from `pydarknet/cfg/keys.txt`; `python tools/generate.py` regenerates it.", ""]
    for section in [*keys.section_types(), "*"]:
        aliases = [f"`[{alias}]`" for alias, name in keys.ALIASES.items() if name == section]
        also = f" Also written {', '.join(aliases)}." if aliases else ""
        text += ["## Every layer" if section == "*" else f"## [{section}]", ""]
        text += [keys.describe_section(section) + also, ""]
        rows = [row for row in keys.known(section).values() if row.section == section]
        if rows:
            text += ["| key | type | default | used in | meaning |", "|---|---|---|---|---|"]
            text += [_reference_row(row) for row in rows] + [""]
    return "\n".join(text).rstrip() + "\n"


def _reference_row(row: keys.Key) -> str:
    choices = " One of " + ", ".join(f"`{choice}`" for choice in row.choices) + "." if row.choices else ""
    use = _USES.get(row.use, row.use)
    return f"| `{row.name}` | {row.type} | {row.default_text} | {use} | {row.meaning}{choices} |"
