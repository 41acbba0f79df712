# SPDX-License-Identifier: Apache-2.0
"""Issues: everything that a reader, an operation or a writer dropped, changed or questioned.

No change is silent: every decision is an :class:`Issue` with the file, the line and the reason.
``Report`` collects them; with ``strict`` the first one is raised as an error instead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from pydarknet.errors import DataError, RecordError, place
from pydarknet.system.text import printable

#: Codes whose record or box is lost although it may be good; a command that met one does not exit with 0.
ERROR_CODES = frozenset(
    {"parse", "encoding", "unknown-class", "class-range", "name-collision", "path-escape"}
)

#: Codes of decisions that change no data; ``strict`` accepts them.
NOTE_CODES = frozenset({"note", "polygon", "rotated", "empty-label", "unlabelled", "renamed", "emptied"})


class Issue(msgspec.Struct, frozen=True):
    """One thing dropped, changed or questioned.

    Attributes:
        code: short stable name, for example ``"clipped"``.
        file: label or image file it was found in.
        line: 1-based line or record number, 0 if it concerns the whole file.
        column: 1-based column, 0 if unknown.
        message: what was found.
        action: how it was handled (``"dropped"``, ``"clipped"``, ``"kept"``, …).
    """

    code: str
    file: str
    line: int
    column: int
    message: str
    action: str

    @property
    def severity(self) -> str:
        """``"error"``, ``"warning"`` or ``"note"``."""
        if self.code in ERROR_CODES:
            return "error"
        return "note" if self.code in NOTE_CODES else "warning"

    def __str__(self) -> str:
        return f"{place(self.file, self.line, self.column)}: {self.message} ({self.code}, {self.action})"


#: Reasons for which all images may be left out -> a remedy.
_REMEDIES = {
    "missing-image": "give the folder of the images with --images",
    "unlabelled": "--unlabelled negatives writes images without annotation",
    "emptied": "check the classes that are chosen, and --min-size",
    "unknown-class": "check the class names",
    "encoding": "rename the files",
}


@dataclass
class Report:
    """A growing list of issues.

    Attributes:
        issues: everything reported so far, in order; stays empty if there is a ``sink``.
        strict: raise :class:`RecordError` at the first issue that is not a mere note.
        max_errors: give up with :class:`~pydarknet.errors.DataError` after this many errors; ``None`` never.
        sink: takes each issue instead of the list, so that a report of a million lines needs no memory.
        counts: number of issues per code.
        examples: the first three issues of each code.
    """

    issues: list[Issue] = field(default_factory=list)
    strict: bool = False
    max_errors: int | None = None
    sink: Callable[[Issue], None] | None = None
    counts: Counter[str] = field(default_factory=Counter, init=False)
    examples: dict[str, list[Issue]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        given, self.issues = self.issues, []
        self.extend(given)

    def why_nothing(self) -> str:
        """The reason for which no image is left, for a message: the most frequent issue and its remedy."""
        lost = [pair for pair in self.counts.most_common() if pair[0] not in ("note", "polygon", "renamed")]
        if not lost:
            return "no image was found; give a file or folder with images or their annotations"
        code, count = lost[0]
        first = f"; first: {self.examples[code][0]}" if self.examples.get(code) else ""
        remedy = f"; {_REMEDIES[code]}" if code in _REMEDIES else ""
        return f"{count} x {code}{remedy}{first}"

    def add(
        self,
        code: str,
        message: str,
        file: str | Path,
        line: int = 0,
        *,
        column: int = 0,
        action: str = "dropped",
    ) -> None:
        """Record one issue.

        Raises:
            RecordError: in strict mode, unless the code is a note.
            DataError: if there are more than ``max_errors`` errors by now.
        """
        issue = Issue(code, printable(str(file)), line, column, printable(message), action)
        if self.strict and issue.severity != "note":
            raise RecordError(code, message, file, line, column)
        self.extend([issue])

    def extend(self, issues: Iterable[Issue]) -> None:
        """Take over issues of another report.

        Raises:
            DataError: if there are more than ``max_errors`` errors by now.
        """
        for issue in issues:
            self.counts[issue.code] += 1
            examples = self.examples.setdefault(issue.code, [])
            if len(examples) < 3:
                examples.append(issue)
            if self.sink is None:
                self.issues.append(issue)
            else:
                self.sink(issue)
            if self.max_errors is not None and self.errors > self.max_errors:
                raise DataError(f"more than {self.max_errors} errors; the last one: {issue}")

    @property
    def errors(self) -> int:
        """Number of issues whose record or box was lost to an error."""
        return sum(self.counts[code] for code in ERROR_CODES)

    def __len__(self) -> int:
        return sum(self.counts.values())

    def __str__(self) -> str:
        """Counts, and the first three examples of each code."""
        lines = []
        for code, count in self.counts.most_common():
            lines.append(f"{code}: {count}")
            lines += [f"  {issue}" for issue in self.examples[code]]
        return "\n".join(lines)
