# SPDX-License-Identifier: Apache-2.0
"""Starting weights: the given file, or one made of those of its layers that fit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pydarknet.cfg import CfgFile, walk
from pydarknet.engine.names import names_beside
from pydarknet.engine.network import Network
from pydarknet.errors import ArgumentError, DataError, WeightsError
from pydarknet.runs.config import TrainConfig
from pydarknet.system.notify import Notify
from pydarknet.weights import file as weights_file
from pydarknet.weights import fit
from pydarknet.weights.fit import boundaries
from pydarknet.weights.surgery import Transplant, classes_of, donor, transplant


def starting_weights(
    path: Path,
    cfg: CfgFile,
    names: Sequence[str],
    network: Network,
    folder: Path,
    notify: Notify,
    old_names: Sequence[str] | None = None,
) -> Path:
    """Choose the weights file to load: the given one if it fits, else one made of the parts that fit.

    Of a file of the same network for other classes every layer is kept; of the layers before the heads only
    the rows of boxes, of objectness and of classes with equal names.

    Args:
        path: file that the user gave.
        cfg: the network to be trained.
        names: of its classes.
        network: the same with random values, which fill the parts that the file lacks.
        folder: where a new file may be written.
        notify: receives a list of the parts that were loaded.
        old_names: of the classes in the file; by default those of a ``.names`` file beside it.

    Raises:
        WeightsError: the file belongs to another network.
        DataError: the number of ``old_names`` is not the number of classes of the file.
    """
    file, nodes = weights_file.load(path), walk(cfg)
    lie = fit(len(file.values), nodes)
    known = tuple(old_names or names_beside(path, path) or ())
    source: CfgFile | None = cfg
    if not lie.good or file.rest:
        source = donor(cfg, len(file.values))
        if source is None or file.rest:
            raise WeightsError(f"{path}: {lie}; it belongs to another network, or is incomplete")
    classes = classes_of(source) if source and source.heads else 0
    if len(known) != classes:
        if old_names and (lie.complete or source is not cfg):
            raise DataError(f"{path}: has {classes} classes, but {len(known)} names were given for it")
        known = ()
    if source is cfg and (not lie.complete or known in ((), tuple(names))):
        part = f"{lie.layers} of {lie.total} layers loaded, the rest is new"
        notify(f"{path.name}: {'all layers loaded' if lie.complete else part}")
        return path
    assert source is not None
    made = folder / "start.weights"
    network.save_weights(made)
    fresh = np.array(weights_file.load(made).values)
    found = transplant(file, source, cfg, fresh, known, names)
    weights_file.save(made, weights_file.Header(), found.parts)
    notify(_described(path, found, classes, len(names), known))
    return made


def report_random_layers(config: TrainConfig, cfg: CfgFile, notify: Notify) -> None:
    """Report layers that begin with random values, above all those that would keep them.

    Args:
        config: the settings.
        cfg: the network to be trained.
        notify: receives a notice.

    Raises:
        ArgumentError: ``freeze`` would keep random values.
    """
    frozen = max(
        (i + 1 for i, layer in enumerate(cfg.layers) if layer.integer("stopbackward", 0) == 1), default=0
    )
    nodes, loaded = walk(cfg), 0
    if config.weights is not None:
        found = fit(len(weights_file.load(Path(config.weights)).values), nodes)
        loaded = found.layers if found.good else len(nodes)  # others are judged by `starting_weights`
    random = [end.layer for end in boundaries(nodes) if loaded <= end.layer < frozen]
    given = "no --weights" if config.weights is None else f"{config.weights} has {loaded} layers"
    if random:
        text = (
            f"{given}: layers {random[0]} to {random[-1]} are frozen with random values, so the others train "
            "on noise; give weights that contain them, for example those published with the network"
        )
        if config.freeze is not None:
            raise ArgumentError(text)
        notify(text)
    elif config.weights is None:
        notify(f"{given}: all layers begin with random values")


def _described(path: Path, found: Transplant, before: int, now: int, known: Sequence[str]) -> str:
    text = (
        f"{path.name}: of {before} classes, the cfg has {now}; {found.whole} of {found.total} layers with "
        f"weights loaded; {found.total - found.whole} before the heads keep the rows of boxes and "
        "objectness"
    )
    if not known:
        return f"{text}, all classes are new (--weights-names FILE names those of the file)"
    text += f" and of {_words(found.kept)}" if found.kept else ", of no class"
    text += f"; new: {_words(found.new)}" if found.new else ""
    return text + (f"; forgotten: {_words(found.dropped)}" if found.dropped else "")


def _words(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
