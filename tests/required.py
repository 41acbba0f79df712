# SPDX-License-Identifier: Apache-2.0
"""Plugin of pytest: a skipped test fails where the machine is known to have what it needs.

``PYDARKNET_TESTS_REQUIRE`` lists, with commas between, which of ``OPTIONAL`` this machine has.
When it is set, even to "", a test may be skipped only for lack of something in ``OPTIONAL`` that is not
listed. Everything else comes with the extra ``[test]`` and a Debian machine, so any other reason fails.
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator
from typing import TypeVar

import pytest

VARIABLE = "PYDARKNET_TESTS_REQUIRE"

#: What a machine may lack -> a pattern in the reason of the skip.
OPTIONAL = {
    "fixtures": "set PYDARKNET_FIXTURES",
    "browser": "apt install chromium",
    "namespaces": "no right to make a PID namespace|no network namespaces|no right to (make|connect|give)",
    "trackers": "could not import 'trackers'",
    "nvrtc": "pip install nvidia-cuda-nvrtc-cu12",
    "fakes": "PYDARKNET_FAKE_CUDA names no folder",
    "upstream": "PYDARKNET_LIBRARY names no library",
    "bf16": "needs a processor|no backend of this build has bf16",
}

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


def is_forbidden(reason: str, required: str | None) -> bool:
    """Whether a skip with this reason fails; ``required`` is the variable's value, None if it is not set."""
    if required is None:
        return False
    listed = set(filter(None, required.split(",")))
    if unknown := listed - set(OPTIONAL):
        raise pytest.UsageError(f"{VARIABLE}: unknown {sorted(unknown)}; expected some of {list(OPTIONAL)}")
    return not any(re.search(pattern, reason) for name, pattern in OPTIONAL.items() if name not in listed)


def _judged(report: Report) -> Report:
    required = os.environ.get(VARIABLE)
    if report.skipped and not hasattr(report, "wasxfail") and isinstance(report.longrepr, tuple):
        path, line, reason = report.longrepr
        if is_forbidden(reason, required):
            report.outcome = "failed"
            report.longrepr = f"{path}:{line}: {reason}; not allowed by {VARIABLE}={required!r}"
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _judged((yield))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _judged((yield))
