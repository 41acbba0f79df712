# SPDX-License-Identifier: Apache-2.0
"""The catalogue of rules, and the decorator that adds one.

A rule is a function that checks :class:`~pydarknet.check.inputs.Inputs` and yields findings::

    @rule("L-02", ERROR, "batch is not divisible by subdivisions", "Choose a divisor of batch.")
    def batch_divides(inputs: Inputs) -> Iterator[Found]:
        ...
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydarknet.cfg.model import Section
from pydarknet.errors import ArgumentError

if TYPE_CHECKING:
    from pydarknet.check.inputs import Inputs


class Severity(str, enum.Enum):
    """How bad a finding is."""

    NOTE = "note"  #: worth knowing
    WARNING = "warning"  #: the training will probably be worse than it could be
    ERROR = "error"  #: the training is known to fail, or to be worthless

    @property
    def rank(self) -> int:
        """0 for a note, 1 for a warning, 2 for an error."""
        return list(Severity).index(self)


NOTE, WARNING, ERROR = Severity


@dataclass(frozen=True, slots=True)
class Found:
    """A finding as a rule yields it; the catalogue adds the rest.

    Attributes:
        message: what is wrong, with the numbers.
        file: its file, empty if no file is concerned.
        line: from 1; 0 if it concerns the whole file.
        value: what was found, as text.
        expected: what was expected, as text.
        severity: if it differs from the rule's.
        hint: what to do, if it differs from the rule's remedy.
    """

    message: str
    file: str = ""
    line: int = 0
    value: str = ""
    expected: str = ""
    severity: Severity | None = None
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, where, and what to do about it.

    Attributes:
        rule: id of the rule, for example ``"L-02"``.
        severity: note, warning or error.
        message: what is wrong, with the numbers.
        file: its file, empty if no file is concerned.
        line: from 1; 0 if it concerns the whole file.
        value: what was found, as text.
        expected: what was expected, as text.
        hint: what to do.
    """

    rule: str
    severity: Severity
    message: str
    file: str
    line: int
    value: str
    expected: str
    hint: str

    @property
    def where(self) -> str:
        """``file:line`` with the unknown parts left out."""
        return f"{self.file}:{self.line}" if self.line else self.file


Check = Callable[["Inputs"], Iterator[Found]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of the catalogue.

    Attributes:
        id: short stable name, ``L-`` and a number.
        severity: unless the finding says otherwise.
        title: the finding in a few words.
        remedy: what to do.
        needs: ``data`` or ``weights`` if the rule cannot run without them.
        check: the function.
    """

    id: str
    severity: Severity
    title: str
    remedy: str
    needs: str
    check: Check

    @property
    def why(self) -> str:
        """The docstring of the function: when the rule reports, and why."""
        return " ".join((self.check.__doc__ or "").split())

    def run(self, inputs: Inputs) -> Iterator[Finding]:
        """Run the rule."""
        for found in self.check(inputs):
            yield Finding(
                self.id,
                found.severity or self.severity,
                found.message,
                found.file,
                found.line,
                found.value,
                found.expected,
                found.hint or self.remedy,
            )


CATALOGUE: dict[str, Rule] = {}


def require_rules(names: Iterable[str]) -> None:
    """Refuse names that are not ids of rules.

    Raises:
        ArgumentError: naming the first one.
    """
    for name in names:
        if name not in CATALOGUE:
            raise ArgumentError(f"{name!r} is not a rule; `pydarknet check --rules` lists them")


def rule(name: str, severity: Severity, title: str, remedy: str, needs: str = "") -> Callable[[Check], Check]:
    """Add a function to the catalogue.

    Raises:
        ValueError: a rule of this id exists.
    """

    def register(check: Check) -> Check:
        if name in CATALOGUE:
            raise ValueError(f"duplicate rule {name}")
        CATALOGUE[name] = Rule(name, severity, title, remedy, needs, check)
        return check

    return register


def at(
    section: Section,
    key: str,
    message: str,
    expected: str = "",
    severity: Severity | None = None,
    hint: str = "",
) -> Found:
    """A finding at a key of a cfg section."""
    problem = section.problem(key, message)
    value = section.get(key) or ""
    text = f"[{section.name}] {message}"
    return Found(text, section.path, problem.line, value, expected, severity, hint)
