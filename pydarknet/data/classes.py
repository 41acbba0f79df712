# SPDX-License-Identifier: Apache-2.0
"""Selection, names and order of the classes of a data set.

Renaming and merging come first, then the choice: an explicit list, or the N most frequent.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydarknet.errors import DataError, RecordError
from pydarknet.system.text import lines_of


@dataclass(frozen=True)
class ClassPlan:
    """Renames, selection and order of classes.

    Attributes:
        renames: old name → new name; two old names with one new name are merged, ``""`` drops a class.
        keep: the classes to keep, in the order that becomes their index; ``None`` = all.
        top: keep only this many of the most frequent classes.
        by: count ``"images"`` or ``"boxes"`` of a class.
    """

    renames: Mapping[str, str] = field(default_factory=dict)
    keep: tuple[str, ...] | None = None
    top: int | None = None
    by: str = "images"

    def __post_init__(self) -> None:
        if self.by not in ("images", "boxes"):
            raise DataError(f"classes are counted by images or boxes, not by {self.by!r}")
        if self.top is not None and self.top < 1:
            raise DataError(f"top classes must be at least 1, not {self.top}")

    def name(self, label: str) -> str:
        """The new name of a class, ``""`` if it is dropped."""
        return self.renames.get(label, label)

    def choose(
        self, known: Sequence[str], images: Mapping[str, int], boxes: Mapping[str, int]
    ) -> tuple[str, ...]:
        """The final class names.

        Args:
            known: every class of the source in its order, before renaming.
            images: images per class, after renaming.
            boxes: boxes per class, after renaming.

        Raises:
            DataError: if a class to keep or rename does not exist; the message names close ones.
        """
        for old in self.renames:
            if known and old not in known:
                raise DataError(f"cannot rename class {old!r}: {_close(old, known)}")
        names = tuple(dict.fromkeys(new for new in map(self.name, known) if new))
        if self.keep is not None:
            names = tuple(_find(wanted, names) for wanted in self.keep)
        if self.top is not None:
            counts = images if self.by == "images" else boxes
            ranked = sorted(names, key=lambda name: -counts.get(name, 0))[: self.top]
            names = tuple(name for name in names if name in ranked)
        return names


def _find(wanted: str, names: Sequence[str]) -> str:
    if wanted in names:
        return wanted
    folded = [name for name in names if name.casefold() == wanted.casefold()]
    if len(folded) == 1:
        return folded[0]
    synset = "; synset ids need --set class_names=wnid" if re.fullmatch(r"n\d{8}", wanted) else ""
    raise DataError(f"no class {wanted!r}: {_close(wanted, names)}{synset}")


def _close(wanted: str, names: Sequence[str]) -> str:
    by_fold = {name.casefold(): name for name in names}
    close = [by_fold[match] for match in difflib.get_close_matches(wanted.casefold(), by_fold, n=3)]
    if close:
        return f"did you mean {' or '.join(map(repr, close))}?"
    return f"the classes are {', '.join(names[:20])}{', …' if len(names) > 20 else ''}"


def parse_classes(text: str) -> tuple[str, ...]:
    """``"a,b,c"``, or the path of a file with one name per line.

    Raises:
        DataError: if no name is given, or a name is repeated.
    """
    is_file = os.path.isfile(text)  # noqa: PTH113 - unlike Path.is_file, no error for a list of 80 names
    names = lines_of(text) if is_file else [name.strip() for name in text.split(",")]
    names = [name for name in names if name]
    if not names or len(set(names)) != len(names):
        raise DataError(f"--classes {text}: {'duplicate class' if names else 'no class is given'}")
    return tuple(names)


def parse_renames(
    maps: Iterable[str] = (), merges: Iterable[str] = (), file: Path | None = None
) -> dict[str, str]:
    """Renames from ``old=new`` (empty new = drop), ``new=a,b`` merges, and a file of ``old = new`` lines.

    Raises:
        DataError: if one of them has another form, or one class gets two new names.
    """
    renames: dict[str, str] = {}

    def put(old: str, new: str, where: str) -> None:
        if renames.setdefault(old, new) != new:
            raise DataError(f"{where}: class {old!r} is to become {renames[old]!r} and {new!r}")

    for text in maps:
        old, new = _pair(text, "--map", "old=new")
        put(old, new, f"--map {text}")
    for text in merges:
        new, olds = _pair(text, "--merge", "new=a,b,c")
        for old in olds.split(","):
            put(old.strip(), new, f"--merge {text}")
    for number, line in enumerate(lines_of(file) if file else [], 1):
        if line and not line.startswith("#"):
            if "=" not in line:
                raise RecordError("parse", f"expected 'old = new', found {line!r}", str(file), number)
            old, new = _pair(line, str(file), "old = new")
            put(old, new, f"{file}:{number}")
    return renames


def _pair(text: str, option: str, form: str) -> tuple[str, str]:
    left, equals, right = text.partition("=")
    if not equals or not left.strip():
        raise DataError(f"{option} {text}: expected {form}")
    return left.strip(), right.strip()
