# SPDX-License-Identifier: Apache-2.0
"""Class names: a ``.names`` file, one name per line, the line number being the class id."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

from pydarknet.errors import DataError


def read_names(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """The names of a ``.names`` file, UTF-8 with or without BOM; blank lines at the end do not count.

    Raises:
        DataError: the file cannot be read, is empty, or is no text.
    """
    path = os.fspath(path)
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8 ({error.reason} at byte {error.start})") from None
    if "\0" in text:
        raise DataError(f"{path}: holds a NUL byte; expected a text file with one class name per line")
    names = tuple(line.rstrip("\r") for line in text.rstrip().split("\n"))
    if names == ("",):
        raise DataError(f"{path}: is empty; expected one class name per line")
    return names


def names_from(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Class names by way of any file that leads to them: ``.names``, ``.data``, or YOLOv5's ``data.yaml``.

    Raises:
        DataError: the file cannot be read or tells no names.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".data":
        return _names_of_data(Path(path))
    if suffix in (".yaml", ".yml"):
        return _names_of_yaml(Path(path))
    return read_names(path)


def _names_of_data(path: Path) -> tuple[str, ...]:
    from pydarknet.data.formats.darknet import read_data
    from pydarknet.data.paths import resolve

    entries = read_data(path)
    if "names" not in entries:
        raise DataError(f"{path}: has no line 'names = FILE'")
    return read_names(resolve(entries["names"][0], path.parent))


def _names_of_yaml(path: Path) -> tuple[str, ...]:
    import yaml

    try:
        names = (yaml.safe_load(path.read_bytes()) or {}).get("names")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, AttributeError):
        raise DataError(f"{path}: is no YAML mapping") from None
    if isinstance(names, dict) and sorted(names) == list(range(len(names))):
        names = [names[i] for i in range(len(names))]
    if not isinstance(names, list) or not names:
        raise DataError(f"{path}: has no 'names', a list or a mapping from 0, 1, ...")
    return tuple(map(str, names))


def names_beside(cfg: str | os.PathLike[str], weights: str | os.PathLike[str]) -> tuple[str, ...] | None:
    """Class names that lie beside the weights or the cfg; None where there are none.

    That is ``names`` in a ``run.json`` in the weights' folder or the one above, or a ``.names`` file there
    or beside the cfg, called as the weights (less ``_best``, ``_last``, ``_final``, ``_ema``, a number) or
    the cfg.
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
    except (OSError, ValueError):  # not there, or somebody else's
        return None
    names = run.get("names") if isinstance(run, dict) else None
    return tuple(map(str, names)) if isinstance(names, list) and names else None


def names_for(names: str | os.PathLike[str] | Sequence[str] | None, classes: int) -> tuple[str, ...]:
    """Class names of a network: from a file or a list; the ids as text where there are none.

    Raises:
        DataError: their number is not that of the network's classes.
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
