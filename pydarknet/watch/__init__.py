# SPDX-License-Identifier: Apache-2.0
"""What people look at while a training goes on and afterwards: the live page, ``report.html``.

Everything is made from the files in the folder of the run, so it is the same for a run of this process, of
another one, of last year, and for one that crashed.
"""

from __future__ import annotations

from pydarknet.watch.report import write_report
from pydarknet.watch.server import Page
from pydarknet.watch.state import RunState

__all__ = ["Page", "RunState", "write_report"]
