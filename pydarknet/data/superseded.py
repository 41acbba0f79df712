# SPDX-License-Identifier: Apache-2.0
"""Images that several label files describe: one image is one record, that of the most complete file.

Images that one label file describes several times stay: lists repeat images on purpose.
"""

from __future__ import annotations

from collections.abc import Iterable

from pydarknet.data.dataset import Status
from pydarknet.data.issues import Report
from pydarknet.data.records import Record

_Rank = tuple[bool, int, bool]  # annotated, boxes, in a split


class BestRecords:
    """The label file that describes each image best; memory holds numbers, not paths.

    Args:
        records: all records of a data set.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        self._best: dict[int, tuple[_Rank, int]] = {}
        for record in records:
            rank = (record.status != Status.UNLABELLED.value, len(record.boxes), bool(record.split))
            known = self._best.get(hash(record.image))
            if known is None or rank > known[0]:
                self._best[hash(record.image)] = (rank, hash(record.source))

    def keeps(self, record: Record, report: Report) -> bool:
        """Whether a record is of the best file; the others are reported."""
        if self._best[hash(record.image)][1] == hash(record.source):
            return True
        if record.status != Status.UNLABELLED.value:
            text = f"another file describes {record.image} more completely"
            report.add("duplicate-image", text, record.source)
        return False
