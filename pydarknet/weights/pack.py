# SPDX-License-Identifier: Apache-2.0
"""Put a trained detector into one folder or archive that works elsewhere: cfg, weights, names, origin."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydarknet import __version__
from pydarknet.cfg.model import CfgFile
from pydarknet.cfg.shapes import walk
from pydarknet.engine.darknet_files import read_names
from pydarknet.engine.model_files import ARCHIVES, Parts
from pydarknet.errors import DataError, FileError, WeightsError
from pydarknet.system.atomic import replacing
from pydarknet.system.text import encode
from pydarknet.weights.file import load
from pydarknet.weights.fit import fit


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
