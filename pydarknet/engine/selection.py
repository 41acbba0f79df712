# SPDX-License-Identifier: Apache-2.0
"""Choice among the boxes that a network finds: classes, suppression across classes, largest number."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pydarknet.engine.detections import Detections
from pydarknet.errors import ArgumentError

Classes = Iterable["str | int"]


@dataclass(frozen=True)
class Selection:
    """Keeps some of the objects of an image; called with its Detections.

    Attributes:
        nms: overlap (IoU) above which the weaker of two boxes is suppressed, 0..1; 0 keeps all.
        classes: ids of the classes to keep; None keeps all.
        agnostic: boxes of different classes suppress each other, too.
        max_det: largest number of objects, the most confident ones; None: no limit.
    """

    nms: float
    classes: frozenset[int] | None = None
    agnostic: bool = False
    max_det: int | None = None

    @classmethod
    def of(
        cls, names: Sequence[str], nms: float, classes: Classes | None, agnostic: bool, max_det: int | None
    ) -> Selection:
        """A selection with classes by name or id.

        Raises:
            ArgumentError: the network has no such class, or ``max_det`` is below 1.
        """
        if max_det is not None and max_det < 1:
            raise ArgumentError(f"found max_det={max_det}, expected 1 or more, or None for no limit")
        return cls(nms, None if classes is None else class_ids(classes, names), agnostic, max_det)

    @property
    def engine_nms(self) -> float:
        """The overlap for the engine, which suppresses class by class; 0 if that is done here."""
        return 0.0 if self.agnostic else self.nms

    def __call__(self, found: Detections) -> Detections:
        """The objects to keep, in their order."""
        if self.classes is not None:
            found = found[np.isin(found.class_id, sorted(self.classes))]
        if self.agnostic and self.nms > 0:
            found = found.with_nms(self.nms, class_agnostic=True)
        if self.max_det is not None and len(found) > self.max_det:
            best = np.argsort(-found.confidence, kind="stable")[: self.max_det]
            found = found[np.sort(best)]
        return found


def class_ids(classes: Classes, names: Sequence[str]) -> frozenset[int]:
    """Ids of classes given by name or id.

    Raises:
        ArgumentError: the network has no such class; the message suggests a similar one.
    """
    found = set()
    for wanted in [classes] if isinstance(classes, (str, int)) else classes:
        text = str(wanted).strip()
        if text in names:
            found.add(names.index(text))
        elif text.isdigit() and (not names or int(text) < len(names)):
            found.add(int(text))
        else:
            close = difflib.get_close_matches(text, names, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {len(names)} classes"
            raise ArgumentError(f"found class {text!r}, which the network does not have; {hint}")
    return frozenset(found)
