# SPDX-License-Identifier: Apache-2.0
"""Class names of a network, from files and from beside its weights."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path

from pydarknet.engine.darknet_files import read_data, read_names, resolve
from pydarknet.errors import DataError
from pydarknet.system.files import read_file

_log = logging.getLogger("pydarknet")


def names_from(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Read class names from any file that leads to them.

    The suffix decides, and for a file of another kind its content: a ``.data`` file, YOLOv5's ``data.yaml``,
    the ``run.json`` of a run or ``model.json`` of a pack, or a ``.names`` file with one name per line.

    Raises:
        DataError: the file cannot be read, has no names, or is not a file of class names.
    """
    path = Path(path)
    reader = _READERS.get(path.suffix.lower())
    return reader(path) if reader else _names_of_lines(path)


def _names_of_lines(path: Path) -> tuple[str, ...]:
    """The lines of a file; one that only looks like a list of names is read as what it is, or refused."""
    lines = read_names(path)
    for start, reader in ((r"names\s*=", _names_of_data), (r"names\s*:", _names_of_yaml)):
        if any(re.match(start, line) for line in lines):
            return reader(path)
    first = lines[0].lstrip()
    if re.fullmatch(r"\[(net|network)\]", first):
        raise DataError(f"{path}: is a cfg file; expected a file of class names, one per line")
    if first.startswith(("{", "<?xml")):
        raise DataError(
            f"{path}: is not a file of class names; expected one name per line, found {first[:40]!r}"
        )
    return lines


def _names_of_data(path: Path) -> tuple[str, ...]:
    entries = read_data(path)
    if "names" not in entries:
        raise DataError(f"{path}: has no line 'names = FILE'")
    return read_names(resolve(entries["names"][0], path.parent))


def _names_of_yaml(path: Path) -> tuple[str, ...]:
    import yaml

    try:
        names = (yaml.safe_load(read_file(path)) or {}).get("names")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, AttributeError, ValueError, OverflowError, RecursionError):
        raise DataError(f"{path}: is not a YAML mapping") from None
    if isinstance(names, dict) and sorted(names) == list(range(len(names))):
        names = [names[i] for i in range(len(names))]
    if not isinstance(names, list) or not names:
        raise DataError(f"{path}: has no 'names', a list or a mapping from 0, 1, ...")
    return tuple(map(str, names))


def _names_of_json(path: Path) -> tuple[str, ...]:
    try:
        found = json.loads(read_file(path))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise DataError(f"{path}: is not JSON") from None
    names = found.get("names") if isinstance(found, dict) else None
    if not isinstance(names, list) or not names:
        raise DataError(f"{path}: has no 'names', the list in the run.json of a run")
    return tuple(map(str, names))


_READERS = {
    ".data": _names_of_data,
    ".yaml": _names_of_yaml,
    ".yml": _names_of_yaml,
    ".json": _names_of_json,
}


def names_beside(cfg: str | os.PathLike[str], weights: str | os.PathLike[str]) -> tuple[str, ...] | None:
    """Find class names beside the weights or the cfg; None if there are none.

    Looked for: ``names`` in a ``run.json`` in the folder of the weights or its parent; then a ``.names`` file
    in one of these or beside the cfg, with the stem of the weights (with or without ``_best``, ``_last``,
    ``_final``, ``_ema`` or a number at its end) or of the cfg.
    """
    weights, cfg = Path(weights), Path(cfg)
    folders = list(dict.fromkeys([weights.parent, weights.parent.parent, cfg.parent]))
    for folder in folders:
        if names := _names_of_run(folder / "run.json"):
            return names
    plain = re.sub(r"_(best|last|final|ema|\d+)$", "", weights.stem)
    for folder in folders:
        for stem in dict.fromkeys([weights.stem, plain, cfg.stem]):
            if (folder / f"{stem}.names").is_file():
                return read_names(folder / f"{stem}.names")
    return None


def usable_names_beside(
    cfg: str | os.PathLike[str], weights: str | os.PathLike[str], classes: int
) -> tuple[str, ...] | None:
    """The names that :func:`names_beside` finds; None, with a warning, if they do not fit the network."""
    try:
        names = names_beside(cfg, weights)
    except DataError as error:
        _log.warning("%s; the names are not used", error)
        return None
    if names and len(names) != classes:
        _log.warning(
            "found %d names beside %s, but the network has %d classes; the names are not used",
            len(names),
            os.fspath(weights),
            classes,
        )
        return None
    return names


def _names_of_run(path: Path) -> tuple[str, ...] | None:
    try:
        return _names_of_json(path) if path.is_file() else None
    except DataError:  # of another program
        return None


def names_for(names: str | os.PathLike[str] | Sequence[str] | None, classes: int) -> tuple[str, ...]:
    """Class names of a network: from a file (:func:`names_from`) or a list; the ids as text if None is given.

    Raises:
        DataError: the file cannot be read, or the number of names is not that of the network's classes.
    """
    if names is None:
        return tuple(str(i) for i in range(classes))
    where = ""
    if isinstance(names, (str, os.PathLike)):
        where = f"{os.fspath(names)}: "
        names = names_from(names)
    if classes and len(names) != classes:
        raise DataError(f"{where}found {len(names)} class names, the network has {classes} classes")
    return tuple(names)
