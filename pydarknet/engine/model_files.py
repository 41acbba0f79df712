# SPDX-License-Identifier: Apache-2.0
"""Files of a trained model: cfg, weights and names in the folder of a run or in a pack."""

from __future__ import annotations

import contextlib
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydarknet.errors import FileError, WeightsError

ARCHIVES = (".tar.gz", ".tgz")
PREFERRED = ("best", "final", "last", "ema")
STORY = ("run.json", "results.csv", "*.png")


@dataclass(frozen=True)
class Parts:
    """Parts of a pack.

    Attributes:
        cfg: the network.
        weights: complete weights of it.
        names: class names, if there are any.
        story: run.json, tables and plots.
    """

    cfg: Path
    weights: Path
    names: Path | None = None
    story: tuple[Path, ...] = ()


def of_run(folder: Path) -> Parts:
    """Parts of a run folder: its cfg, the best weights, names and plots.

    Raises:
        WeightsError: no cfg or several, or no weights.
    """
    cfgs = sorted(folder.glob("*.cfg"))
    if len(cfgs) != 1:
        found = ", ".join(path.name for path in cfgs) or "none"
        raise WeightsError(f"{folder}: expected one .cfg file in a run, found {found}")
    weights = [path for place in (folder, folder / "weights") for path in sorted(place.glob("*.weights"))]
    if not weights:
        raise WeightsError(f"{folder}: no .weights file in it")
    names = sorted(folder.glob("*.names"))
    story = [path for pattern in STORY for path in sorted(folder.glob(pattern))]
    return Parts(cfgs[0], min(weights, key=_rank), names[0] if len(names) == 1 else None, tuple(story))


def is_model(path: Path) -> bool:
    """Whether a path is a pack, as a folder or an archive, or the folder of a run."""
    if path.is_dir():
        return any((path / name).is_file() for name in ("model.json", "run.json"))
    return is_archived(path)


def is_whole(path: Path) -> bool:
    """Whether a path alone may mean a network: a pack, a run, or weights, which lie in one."""
    return is_model(path) or path.suffix.lower() == ".weights"


def is_archived(path: Path) -> bool:
    """Whether a path is a pack as an archive."""
    return path.name.lower().endswith(ARCHIVES) and path.is_file()


def open_model(path: Path, folder: Path) -> Parts:
    """Parts of a pack or a run.

    Args:
        path: the folder or archive.
        folder: where to unpack the cfg, weights and names of an archive.

    Raises:
        WeightsError: it is not a pack, or is damaged, or has no cfg or weights.
    """
    if path.is_dir():
        return of_run(path)
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = Path(member.name).name
                source = (
                    archive.extractfile(member) if name.endswith((".cfg", ".weights", ".names")) else None
                )
                if source is not None:
                    with (folder / name).open("wb") as target:
                        shutil.copyfileobj(source, target)
    except (tarfile.TarError, EOFError, OSError, ValueError, zlib.error) as error:
        raise WeightsError(f"{path}: cannot be read as a pack: {error}") from None
    return of_run(folder)


def cfg_beside(weights: Path) -> Path | None:
    """The cfg of the run or pack that weights lie in; None if they lie elsewhere."""
    for folder in (weights.parent, weights.absolute().parent.parent):
        cfgs = list(folder.glob("*.cfg")) if is_model(folder) else []
        if len(cfgs) == 1:
            return cfgs[0]
    return None


def _rank(path: Path) -> tuple[int, int]:
    """Best first, then final, last, and the newest number."""
    label = path.stem.rpartition("_")[2]
    if label in PREFERRED:
        return PREFERRED.index(label), 0
    return len(PREFERRED), -int(label) if label.isdigit() else 0


@contextlib.contextmanager
def found_files(
    model: str | os.PathLike[str], weights: str | os.PathLike[str] | None
) -> Iterator[tuple[str, str | None]]:
    """The cfg and weights that a user means; those of an archive exist until the end of the block.

    Args:
        model: a cfg, a pack, the folder of a run, or the weights of one.
        weights: weights for a cfg.

    Raises:
        FileError: the model is a folder of something else.
        WeightsError: the model is damaged or incomplete, or its weights belong to no run.
    """
    path = Path(model)
    if path.is_dir() and not is_model(path):
        raise FileError(f"{path}: is neither a cfg, nor a run (with run.json), nor a pack (with model.json)")
    if weights is not None or not is_whole(path):
        yield os.fspath(model), None if weights is None else os.fspath(weights)
    elif not is_model(path):
        cfg = cfg_beside(path)
        if cfg is None:
            raise WeightsError(
                f"{path}: are weights without their cfg, which comes before them: CFG, WEIGHTS"
            )
        yield str(cfg), str(path)
    else:
        with tempfile.TemporaryDirectory(prefix="pydarknet-") as folder:
            parts = open_model(path, Path(folder))
            yield str(parts.cfg), str(parts.weights)


@contextlib.contextmanager
def saying_where_from(weights: str | None) -> Iterator[None]:
    """Add to the error of missing weights where they are published."""
    try:
        yield
    except FileError as error:
        if weights is None or Path(weights).exists() or not str(error).startswith(weights):
            raise
        from pydarknet.weights.published import hint

        raise FileError(f"{error}{hint(weights)}") from None
