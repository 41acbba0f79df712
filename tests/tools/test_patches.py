# SPDX-License-Identifier: Apache-2.0
"""Rules of the tests themselves."""

from __future__ import annotations

import re
from pathlib import Path

#: ``monkeypatch.setattr(module.time, "sleep", ...)`` or ``setattr("module.time.sleep", ...)``.
_SHARED_CLOCK = re.compile(r"""setattr\(\s*(?:[\w.]*\btime,|"[\w.]*\btime\.\w+")""")


def test_no_test_stops_the_clock_of_other_threads() -> None:
    """A module gets a ``time`` of its own: servers in threads of this process wait by the real one."""
    assert _SHARED_CLOCK.search('patch.setattr(atomic.time, "sleep", waited)')
    assert _SHARED_CLOCK.search('setattr("pydarknet.plots.time.monotonic", now)')
    assert not _SHARED_CLOCK.search('setattr(atomic, "time", clock)')
    files = [path for path in Path(__file__).parents[1].rglob("*.py") if path != Path(__file__)]
    assert len(files) > 100
    assert [path.name for path in files if _SHARED_CLOCK.search(path.read_text())] == []
