# SPDX-License-Identifier: Apache-2.0
"""The reference page of all rules, made from the catalogue."""

from __future__ import annotations

from types import ModuleType

from pydarknet.check.catalogue import CATALOGUE
from pydarknet.check.fix import FIXES


def reference(groups: dict[str, ModuleType]) -> str:
    """All rules by group, in Markdown.

    Args:
        groups: title → module that holds its rules, ``pydarknet.check.GROUPS``.
    """
    text = ["# Preflight rules", ""]
    text += ["Generated from `pydarknet/check/rules_*.py`; `python tools/generate.py` regenerates it.", ""]
    text += ["The severity is the usual one; some rules raise or lower it, see their text.", ""]
    for title, module in groups.items():
        rules = [rule for rule in CATALOGUE.values() if rule.check.__module__ == module.__name__]
        text += [f"## {title}", "", "| rule | severity | finding | when and why | what to do |"]
        text += ["|---|---|---|---|---|"]
        for rule in sorted(rules, key=lambda rule: rule.id):
            needs = f" Needs {rule.needs}." if rule.needs else ""
            fixes = " `--fix` does this." if rule.id in FIXES else ""
            row = rule.id, rule.severity.value, rule.title, rule.why + needs, rule.remedy + fixes
            text.append(f"| {' | '.join(row)} |")
        text.append("")
    return "\n".join(text)
