# SPDX-License-Identifier: Apache-2.0
"""Run the rules over the inputs; report as text, JSON and exit code."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pydarknet.cfg.model import CfgFile
from pydarknet.check.catalogue import CATALOGUE, Finding, Rule, Severity
from pydarknet.check.data_facts import DataFacts, inspect_data
from pydarknet.check.inputs import Inputs, PlannedRun
from pydarknet.errors import CfgError, WeightsError
from pydarknet.system import html
from pydarknet.system.notify import Progress, no_progress
from pydarknet.weights import WeightsFile, load

Pathlike = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Preflight:
    """The findings of a preflight.

    Attributes:
        findings: the worst first, then by rule.
        skipped: ids of the rules that were not run, because data or weights were not given.
        checked: how many rules were run.
    """

    findings: tuple[Finding, ...]
    skipped: tuple[str, ...] = ()
    checked: int = 0

    @property
    def worst(self) -> Severity | None:
        """The highest severity, None without findings."""
        return max((finding.severity for finding in self.findings), key=lambda s: s.rank, default=None)

    @property
    def exit_code(self) -> int:
        """0 clean or notes only, 1 warnings, 2 errors."""
        return 0 if self.worst is None else self.worst.rank

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that should stop a training."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.ERROR)

    def at_least(self, severity: Severity) -> Preflight:
        """Only the findings of at least this severity."""
        kept = tuple(finding for finding in self.findings if finding.severity.rank >= severity.rank)
        return replace(self, findings=kept)

    def to_json(self) -> str:
        """One JSON object: ``exit_code``, ``counts``, ``findings``, ``skipped``."""
        counts = Counter(finding.severity.value for finding in self.findings)
        found = [asdict(finding) for finding in self.findings]
        table = {"exit_code": self.exit_code, "counts": counts, "findings": found, "skipped": self.skipped}
        return json.dumps(table, indent=1, ensure_ascii=False)

    def _repr_html_(self) -> str:
        """The findings as a table, for notebooks."""
        rows = ([f.severity.value, f.rule, f.where, f.message, f.hint] for f in self.findings)
        columns = ["severity", "rule", "where", "finding", "remedy"]
        title = f"{len(self.findings)} findings of {self.checked} rules"
        return html.titled(title, html.table(columns, rows, len(self.findings)) if self.findings else "")

    def to_text(self) -> str:
        """The findings as text, with a line of totals."""
        return "\n".join([*map(_paragraph, self.findings), self._summary()])

    def _summary(self) -> str:
        counts = Counter(finding.severity for finding in self.findings)
        parts = [f"{counts[s]} {s.value}{'s' * (counts[s] != 1)}" for s in reversed(Severity) if counts[s]]
        text = ", ".join(parts) if parts else f"All {self.checked} checks passed"
        given = {CATALOGUE[name].needs for name in self.skipped}
        without = " and ".join(f"--{name}" for name in sorted(given))
        return f"{text}." + (f" {len(self.skipped)} checks need {without}." if without else "")


def _paragraph(finding: Finding) -> str:
    where = f"{finding.where}: " if finding.where else ""
    expected = f" (expected: {finding.expected})" if finding.expected else ""
    head = f"{finding.severity.value:7} {finding.rule}  {where}{finding.message}{expected}"
    return f"{head}\n              → {finding.hint}"


def inspect(inputs: Inputs, ignore: Collection[str] = ()) -> Preflight:
    """Run every rule over the inputs.

    Args:
        inputs: what to check.
        ignore: ids of rules to leave out.
    """
    # When the lists cannot be read, rules about images would only repeat that.
    unread = inputs.data is not None and bool(inputs.data.problems) and not inputs.data.train.images
    findings: dict[Finding, None] = {}
    skipped, checked = [], 0
    for rule in CATALOGUE.values():
        if unread and rule.needs == "data" and rule.id != "L-29":
            continue
        if rule.needs and getattr(inputs, rule.needs) is None:
            skipped += [rule.id] if rule.id not in ignore else []
        else:
            checked += rule.id not in ignore
            findings.update(dict.fromkeys(_guarded(rule, inputs)))
    kept = [finding for finding in _without_echoes(list(findings)) if finding.rule not in ignore]
    order = sorted(kept, key=_rank)
    return Preflight(tuple(order), tuple(skipped), checked)


def _rank(finding: Finding) -> tuple[int, bool, str]:
    """The worst first; of these misspelt keys, which may cause the others; then by rule."""
    return -finding.severity.rank, finding.rule != "L-01", finding.rule


def _without_echoes(findings: list[Finding]) -> list[Finding]:
    """Leave out what repeats another finding for the same line."""
    errors = {(f.file, f.line): f.rule for f in findings if f.severity is Severity.ERROR and f.rule != "L-00"}
    refused = {(f.file, f.line) for f in findings if f.rule == "L-00"}
    return [
        f
        for f in findings
        if not f.line
        or (
            not (f.rule == "L-00" and (f.file, f.line) in errors)
            and not (f.rule == "L-37" and (f.file, f.line) in refused)
        )
    ]


def _guarded(rule: Rule, inputs: Inputs) -> Iterator[Finding]:
    """Run a rule; a value that it cannot read is a finding of its own."""
    try:
        yield from rule.run(inputs)
    except CfgError as error:
        line = getattr(getattr(error, "problem", None), "line", 0)
        remedy = CATALOGUE["L-00"].remedy
        yield Finding("L-00", Severity.ERROR, str(error), inputs.cfg.path, line, "", "", remedy)


def load_inputs(
    cfg: CfgFile | Pathlike,
    data: DataFacts | Pathlike | None = None,
    weights: Pathlike | None = None,
    run: PlannedRun | None = None,
    *,
    deep: bool = False,
    progress: Progress = no_progress,
) -> Inputs:
    """Read the inputs of a preflight; see :func:`preflight`."""
    file = cfg if isinstance(cfg, CfgFile) else CfgFile.load(cfg)
    _ = file.net  # raises if there is none
    if not (data is None or isinstance(data, DataFacts)):
        data = inspect_data(Path(data), deep=deep, progress=progress)
    opened: WeightsFile | WeightsError | None = None
    if weights is not None:
        try:
            opened = load(Path(weights))
        except WeightsError as error:
            opened = error
    return Inputs(file, data, opened, run or PlannedRun())


def preflight(
    cfg: CfgFile | Pathlike,
    data: DataFacts | Pathlike | None = None,
    weights: Pathlike | None = None,
    run: PlannedRun | None = None,
    *,
    deep: bool = False,
    ignore: Collection[str] = (),
    progress: Progress | None = None,
) -> Preflight:
    """Check a training before it starts.

    Args:
        cfg: the network and its training settings, as a file or read already.
        data: the data set: a ``.data`` file, a list, a folder, or what :func:`inspect_data` returned.
        weights: the file to start from.
        run: the planned run.
        deep: decode every image and find look-alikes.
        ignore: ids of rules to leave out.
        progress: called with (name of the list or folder, images done, None).

    Raises:
        CfgError: the cfg cannot be read, or has no ``[net]``.
        DataError: there is no such data set.
    """
    return inspect(load_inputs(cfg, data, weights, run, deep=deep, progress=progress or no_progress), ignore)
