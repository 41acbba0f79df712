# SPDX-License-Identifier: Apache-2.0
"""Plugin of pytest: prints the figures of tests that try many inputs, such as "cfg: 60 tried, 0 failed".

A test gives its own with ``record_property("tried", "...")``.
"""

from __future__ import annotations

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)]
    lines = [str(text) for report in reports for name, text in report.user_properties if name == "tried"]
    if lines:
        terminalreporter.section("tries")
        terminalreporter.write_line("\n".join(sorted(lines)))
