# SPDX-License-Identifier: Apache-2.0
"""Weights with names and shapes: ``.safetensors`` and ``.npz``, both ways."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pydarknet.cfg.shapes import Node, Walk
from pydarknet.errors import WeightsError
from pydarknet.system.atomic import replacing
from pydarknet.weights.arrays import arrays
from pydarknet.weights.file import Floats, Header, WeightsFile, load, save
from pydarknet.weights.fit import fit

SUFFIXES = (".weights", ".safetensors", ".npz")


def convert(source: Path, target: Path, nodes: Walk, seen: int | None = None) -> None:
    """Write weights in the format that the ending of ``target`` names.

    Arrays are called ``12.weights``, ``12.biases``, …, by the number of their layer; weights of convolutions
    have the shape (filters, channels / groups, size, size).  A ``.weights`` file always gets the modern
    header of 20 bytes.

    Args:
        source: ``.weights``, ``.safetensors`` or ``.npz``.
        target: file to write.
        nodes: the network.
        seen: images seen; as in the source if None.

    Raises:
        WeightsError: an ending is unknown, or the weights do not fit the network.
        FileError: the target cannot be written.
    """
    for path in (source, target):
        if path.suffix not in SUFFIXES and not _conv(path):
            raise WeightsError(f"{path}: unknown ending; expected one of {', '.join(SUFFIXES)}")
    file = load(source) if source.suffix == ".weights" or _conv(source) else _named(source, nodes)
    held = fit(len(file.values), nodes)
    if file.rest or not held.good:
        raise WeightsError(f"{source}: {held}; is this the cfg of these weights?")
    header = Header(file.header.seen if seen is None else seen)
    if target.suffix == ".weights" or _conv(target):
        save(target, header, [file.values])
        return
    table = {
        f"{node.index}.{name}": np.ascontiguousarray(values).reshape(shape(node, name, len(values)))
        for node, name, values in arrays(file.values, nodes)
    }
    with replacing(target) as temporary:
        _write_named(temporary, target.suffix, table, header)


def _conv(path: Path) -> bool:
    """``yolov4.conv.137``."""
    return path.suffix[1:].isdigit() and Path(path.stem).suffix == ".conv"


def shape(node: Node, name: str, count: int) -> tuple[int, ...]:
    """Shape of one array; flat unless it holds the weights of a convolution or a dense layer."""
    if name == "weights" and node.type == "convolutional":
        filters, size = node.section.integer("filters"), node.section.integer("size")
        return filters, count // (filters * size * size), size, size
    if name == "weights" and node.type == "connected":
        return node.outputs, count // node.outputs
    return (count,)


def _write_named(path: Path, suffix: str, table: dict[str, Floats], header: Header) -> None:
    if suffix == ".npz":
        everything: dict[str, NDArray[Any]] = {**table, "seen": np.array(header.seen, np.uint64)}
        with path.open("wb") as file:
            np.savez(file, **everything)  # type: ignore[arg-type]
        return
    from safetensors.numpy import save_file

    save_file(table, path, {"format": "darknet", "seen": str(header.seen)})


def _named(path: Path, nodes: Walk) -> WeightsFile:
    """Put the arrays of a file with names in order, up to the first layer that it lacks."""
    table, seen = _read_named(path)
    parts: list[Floats] = []
    names = [(node, name, size) for node in nodes for name, size in node.arrays]
    present = list(itertools.takewhile(lambda item: f"{item[0].index}.{item[1]}" in table, names))
    for node, name, size in present:
        values = table.pop(f"{node.index}.{name}")
        if values.size != size:
            raise WeightsError(f"{path}: {node.index}.{name} has {values.size} values, expected {size}")
        parts.append(np.ascontiguousarray(values, np.float32).ravel())
    if table:
        missing = names[len(present)] if len(present) < len(names) else None
        after = f"; the first one missing is {missing[0].index}.{missing[1]}" if missing else ""
        raise WeightsError(f"{path}: the network has no array {next(iter(table))!r}{after}")
    values = np.concatenate(parts) if parts else np.empty(0, np.float32)
    return WeightsFile(path, Header(seen), values)


def _read_named(path: Path) -> tuple[dict[str, NDArray[Any]], int]:
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                table = {name: file[name] for name in file.files}
            return table, int(table.pop("seen", np.array(0)))
        from safetensors import safe_open

        with safe_open(path, "numpy") as opened:
            return {name: opened.get_tensor(name) for name in opened.keys()}, int(  # noqa: SIM118
                (opened.metadata() or {}).get("seen", 0)
            )
    except Exception as error:  # both libraries raise various exceptions on damaged files
        raise WeightsError(f"{path}: cannot read the weights: {error}") from error
