# SPDX-License-Identifier: Apache-2.0
"""Data sets: one canonical form, and every label format read into it and written from it.

>>> dataset = pydarknet.data.read("export.zip")
>>> pydarknet.data.write(dataset, "ds", format="darknet")
"""

from __future__ import annotations

from pydarknet.data.dataset import ANY_CLASS, Dataset, Flag, Sample, Status
from pydarknet.data.io import read, write
from pydarknet.data.issues import Issue, Report
from pydarknet.errors import RecordError

__all__ = [
    "ANY_CLASS",
    "Dataset",
    "Flag",
    "Issue",
    "RecordError",
    "Report",
    "Sample",
    "Status",
    "read",
    "write",
]
