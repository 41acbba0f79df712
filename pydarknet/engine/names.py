# SPDX-License-Identifier: Apache-2.0
"""Class names of a network, from files and from beside its weights."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

from pydarknet.engine.darknet_files import read_data, read_names, resolve
from pydarknet.errors import DataError
from pydarknet.system.files import read_file


def names_from(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Read class names from a ``.names`` or ``.data`` file, or from YOLOv5's ``data.yaml``.

    Raises:
        DataError: the file cannot be read or has no names.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".data":
        return _names_of_data(Path(path))
    if suffix in (".yaml", ".yml"):
        return _names_of_yaml(Path(path))
    return read_names(path)


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


def names_beside(cfg: str | os.PathLike[str], weights: str | os.PathLike[str]) -> tuple[str, ...] | None:
    """Find class names beside the weights or the cfg; None if there are none.

    Looked for: ``names`` in a ``run.json`` in the folder of the weights or its parent, then a ``.names`` file
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


def _names_of_run(path: Path) -> tuple[str, ...] | None:
    try:
        run = json.loads(path.read_bytes())
    except (OSError, ValueError):  # missing, or of another program
        return None
    names = run.get("names") if isinstance(run, dict) else None
    return tuple(map(str, names)) if isinstance(names, list) and names else None


def names_for(names: str | os.PathLike[str] | Sequence[str] | None, classes: int) -> tuple[str, ...]:
    """Class names of a network: from a file or a list; the ids as text if None is given.

    Raises:
        DataError: the file cannot be read, or the number of names is not that of the network's classes.
    """
    if names is None:
        return tuple(str(i) for i in range(classes))
    where = ""
    if isinstance(names, (str, os.PathLike)):
        where = f"{os.fspath(names)}: "
        names = read_names(names)
    if classes and len(names) != classes:
        raise DataError(f"{where}found {len(names)} class names, the network has {classes} classes")
    return tuple(names)
