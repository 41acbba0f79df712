# SPDX-License-Identifier: Apache-2.0
"""Put a trained detector into one folder or archive that works elsewhere: cfg, weights, names, origin."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydarknet import __version__
from pydarknet.cfg.model import CfgFile
from pydarknet.cfg.shapes import walk
from pydarknet.engine.darknet_files import read_names
from pydarknet.errors import DataError, FileError, WeightsError
from pydarknet.system.atomic import replacing
from pydarknet.system.text import encode
from pydarknet.weights.file import load
from pydarknet.weights.fit import fit

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


def pack(parts: Parts, out: Path, name: str = "model") -> Path:
    """Write the pack; it appears complete or not at all.

    Args:
        parts: the files.
        out: a folder to make, or an archive if it ends in ``.tar.gz`` or ``.tgz``.
        name: stem of the files in it.

    Returns:
        ``out``.

    Raises:
        WeightsError: weights and cfg do not belong together, or weights are not complete.
        DataError: the number of names is not that of the classes.
        FileError: ``out`` exists as a folder, or cannot be written.
    """
    card = _card(parts, name)
    if out.exists() and (out.is_dir() or not str(out).endswith(ARCHIVES)):
        raise FileError(f"{out}: exists already; choose another name")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".pack-", dir=out.parent) as temporary:
        folder = Path(temporary) / name
        folder.mkdir()
        for source, target in _members(parts, name):
            shutil.copyfile(source, folder / target)
        text = json.dumps(card, indent=1, ensure_ascii=False) + "\n"
        (folder / "model.json").write_bytes(encode(text))
        if str(out).endswith(ARCHIVES):
            with replacing(out) as archive, tarfile.open(archive, "w:gz") as tar:
                tar.add(folder, name)
        else:
            folder.rename(out)
    return out


def _members(parts: Parts, name: str) -> Sequence[tuple[Path, str]]:
    members = [(parts.cfg, f"{name}.cfg"), (parts.weights, f"{name}.weights")]
    if parts.names:
        members.append((parts.names, f"{name}.names"))
    return members + [(path, path.name) for path in parts.story]


def _card(parts: Parts, name: str) -> dict[str, Any]:
    """Manifest of the pack: sizes, classes, origin of the weights, checksums."""
    cfg, file = CfgFile.load(parts.cfg), load(parts.weights)
    nodes = walk(cfg)
    held = fit(len(file.values), nodes)
    if file.rest or not held.complete:
        raise WeightsError(f"{parts.weights}: {held}; a pack needs the complete weights of {parts.cfg}")
    classes = cfg.heads[0].integer("classes") if cfg.heads else None
    names = read_names(parts.names) if parts.names else None
    if names is not None and classes is not None and len(names) != classes:
        raise DataError(f"{parts.names}: {len(names)} names, {parts.cfg} has {classes} classes")
    return {
        "name": name,
        "pydarknet": __version__,
        "width": cfg.net.integer("width"),
        "height": cfg.net.integer("height"),
        "channels": cfg.net.integer("channels"),
        "classes": classes,
        "names": names,
        "bflops": round(nodes.bflops, 3),
        "parameters": nodes.floats,
        "weights_from": parts.weights.name,
        "images_seen": file.header.seen,
        "iterations": file.header.iterations(max(cfg.net.integer("batch"), 1)),
        **_measured(parts.weights),
        "sha256": {target: _digest(source) for source, target in _members(parts, name)},
    }


def _measured(weights: Path) -> dict[str, float | None]:
    """Metrics of weights of a run, 0..1, from their own record or the summary of the run; None if unknown."""
    found: dict[str, float | None] = {"map50": None, "map5095": None}
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        summary = json.loads((weights.absolute().parent.parent / "summary.json").read_text("utf-8"))
        entries = {entry["path"].rpartition("/")[2]: entry for entry in summary["files"]}
        found["map50"] = entries.get(weights.name, {}).get("map50")
    with contextlib.suppress(OSError, ValueError, AttributeError):
        record = json.loads(weights.with_suffix(".json").read_text("utf-8"))
        found |= {name: record.get(name) for name in found}
    return found


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
