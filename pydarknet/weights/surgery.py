# SPDX-License-Identifier: Apache-2.0
"""Transfer weights to a network for other classes; weights of shared classes are kept.

Only the convolution in front of a head depends on the classes.  It has rows (filters) for each box: those of
its place, size and objectness, then one for each class.  The former are kept always, the latter for classes
of equal names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pydarknet.cfg import CfgFile, walk
from pydarknet.cfg.model import Section
from pydarknet.weights.arrays import arrays
from pydarknet.weights.file import Floats, WeightsFile
from pydarknet.weights.fit import classes_by_size

Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Transplant:
    """Result of a transfer.

    Attributes:
        parts: all arrays of the new network in file order.
        whole: layers with weights that were taken over as they are; ``total`` is all of them.
        total: see ``whole``.
        kept: classes whose rows were taken over, by their new ids.
        new: classes that start from the fresh values.
        dropped: classes of the file that the new network does not know.
    """

    parts: list[Floats]
    whole: int
    total: int
    kept: tuple[str, ...]
    new: tuple[str, ...]
    dropped: tuple[str, ...]


def classes_of(cfg: CfgFile) -> int:
    """Classes of the first head."""
    return cfg.heads[0].integer("classes")


def donor(cfg: CfgFile, floats: int) -> CfgFile | None:
    """The same network for the number of classes that a file of N values has; None if none fits."""
    classes = classes_by_size(floats, walk(cfg), classes_of(cfg)) if cfg.heads else None
    if classes is None:
        return None
    other = CfgFile.parse(str(cfg), cfg.path)
    for _, before, head in _heads(other):
        old, boxes = head.integer("classes"), _boxes(head)
        before.set("filters", before.integer("filters") + boxes * (classes - old))
        head.set("classes", classes)
    return other


def transplant(
    file: WeightsFile,
    source: CfgFile,
    target: CfgFile,
    fresh: Floats,
    old_names: Sequence[str] = (),
    new_names: Sequence[str] = (),
) -> Transplant:
    """The values of a file in a network with other classes.

    Args:
        file: complete weights of ``source``.
        source: the network of the file.
        target: the same network with other classes.
        fresh: all values of ``target`` as they are without the file.
        old_names: of the classes in the file; without them no class is recognised.
        new_names: of the classes of ``target``.
    """
    pairs = [(new, old_names.index(name)) for new, name in enumerate(new_names) if name in old_names]
    rows = {layer: _rows(before, head, classes_of(source), pairs) for layer, before, head in _heads(target)}
    parts, whole = [], set()
    for (node, _, new), (_, _, old) in zip(
        arrays(fresh, walk(target)), arrays(file.values, walk(source)), strict=True
    ):
        if node.index not in rows:
            parts.append(old)
            whole.add(node.index)
            continue
        mine, theirs, per_box, per_old_box = rows[node.index]
        grown = np.array(new).reshape(per_box, -1)
        grown[mine] = old.reshape(per_old_box, -1)[theirs]
        parts.append(grown.ravel())
    kept = tuple(new_names[new] for new, _ in pairs)
    return Transplant(
        parts,
        len(whole),
        len(whole) + len(rows),
        kept,
        tuple(name for name in new_names if name not in kept),
        tuple(name for name in old_names if name not in kept),
    )


def _heads(cfg: CfgFile) -> Iterator[tuple[int, Section, Section]]:
    """(number, convolution, head) for each convolution in front of a head."""
    heads = {id(head) for head in cfg.heads}
    for index, (before, head) in enumerate(zip(cfg.layers, cfg.layers[1:], strict=False)):
        if id(head) in heads:
            yield index, before, head


def _boxes(head: Section) -> int:
    return len(head.integers("mask")) or head.integer("num")


def _rows(
    before: Section, head: Section, old_classes: int, pairs: Sequence[tuple[int, int]]
) -> tuple[Rows, Rows, int, int]:
    """Rows of a new convolution, the rows of the old one that go there, and how many both have."""
    boxes, classes, filters = _boxes(head), head.integer("classes"), before.integer("filters")
    common = filters // boxes - classes  # place, size, objectness
    inside = [(k, k) for k in range(common)] + [(common + new, common + old) for new, old in pairs]
    mine = [box * (common + classes) + new for box in range(boxes) for new, _ in inside]
    theirs = [box * (common + old_classes) + old for box in range(boxes) for _, old in inside]
    return np.array(mine, np.intp), np.array(theirs, np.intp), filters, boxes * (common + old_classes)
