# SPDX-License-Identifier: Apache-2.0
"""Rules about the initial weights: whether they belong to this network, and whether they are intact."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pydarknet.cfg.shapes import Walk, walk
from pydarknet.cfg.trainable import at_possible_size
from pydarknet.check.catalogue import ERROR, NOTE, WARNING, Found, at, rule
from pydarknet.check.inputs import Inputs
from pydarknet.errors import WeightsError
from pydarknet.weights import WeightsFile, fit, guess, twins
from pydarknet.weights.arrays import arrays
from pydarknet.weights.file import Floats
from pydarknet.weights.fit import classes_by_size
from pydarknet.weights.surgery import donor

PLAUSIBLE_SPREAD = (1e-7, 50.0)  # standard deviation of the weights of a first layer
FIRST_LAYERS = 3


def _opened(inputs: Inputs) -> WeightsFile | None:
    return inputs.weights if isinstance(inputs.weights, WeightsFile) else None


@rule("L-15", ERROR, "weights do not belong to this cfg", "Use weights made for this network.", "weights")
def weights_fit(inputs: Inputs) -> Iterator[Found]:
    """The file must end exactly at the end of a layer and leave no values over.  Darknet loads any file into
    any network without a warning, and the network then starts from noise."""
    if isinstance(inputs.weights, WeightsError):
        missing = isinstance(inputs.weights.__cause__, FileNotFoundError)
        hint = "Give the path of a file; `pydarknet weights known` lists published ones." if missing else ""
        yield Found(str(inputs.weights), hint=hint)
        return
    file = _opened(inputs)
    if file is None or not inputs.built:
        return
    count = len(file.values)
    result = fit(count, inputs.nodes)
    if not result.good and _nodes(inputs, file):
        yield Found(
            f"{_origin(inputs, count)}: the layers before the heads are reinitialised",
            str(file.path),
            severity=NOTE,
        )
    elif file.rest or not result.good:
        text = f"file of {count} values {result}" if not file.rest else "the file ends inside a value"
        yield Found(
            f"{text}; {_origin(inputs, count)}",
            str(file.path),
            value=str(count),
            expected=f"{inputs.nodes.floats} values, or the end of a layer",
        )
    elif others := twins(inputs.nodes):
        text = f"by its size the file could also hold weights of {', '.join(others)}"
        hint = "Make sure that the file was trained with the activations of this cfg."
        yield Found(text, str(file.path), severity=NOTE, hint=hint)


def _nodes(inputs: Inputs, file: WeightsFile) -> Walk | None:
    """The network of the file: that of the cfg, or the same for other classes."""
    if fit(len(file.values), inputs.nodes).good:
        return inputs.nodes
    other = donor(at_possible_size(inputs.cfg), len(file.values)) if inputs.nodes and not file.rest else None
    return walk(other) if other else None


def _origin(inputs: Inputs, count: int) -> str:
    """The network whose weights a file of that size may contain."""
    classes = inputs.classes
    if classes is not None:
        found = classes_by_size(count, inputs.nodes, classes)
        if found is not None and found != classes:
            return f"its size is that of this network with {found} classes, the cfg has {classes}"
    matches = guess(count)
    if matches:
        return "its size is that of " + " or ".join(map(str, matches[:3]))
    return "its size is that of no network known here; it may be incomplete"


@rule("L-16", ERROR, "weights are damaged", "Go back to an older checkpoint, or start over.", "weights")
def weights_sound(inputs: Inputs) -> Iterator[Found]:
    """Values must be finite and variances not negative.  An unusual standard deviation in the first layers
    is a warning."""
    file = _opened(inputs)
    nodes = _nodes(inputs, file) if file and inputs.built else None
    if file is None or nodes is None:
        return
    convolutions = 0
    for node, name, values in arrays(file.values, nodes):
        place = f"layer {node.index} [{node.section.name}] {name}"
        low, high = float(values.min()), float(values.max())  # both are nan if any value is
        if not np.isfinite(low + high):
            bad = len(values) - int(np.isfinite(values).sum())
            yield Found(f"{place}: {bad} of {len(values)} values are nan or infinite", str(file.path))
            return
        if name.endswith("rolling_variance") and low < 0:
            text = f"{place}: {int((values < 0).sum())} of {len(values)} variances are negative"
            yield Found(text, str(file.path), expected="at least 0")
            return
        if name == "weights" and convolutions < FIRST_LAYERS:
            convolutions += 1
            yield from _implausible(place, values, file)


def _implausible(place: str, values: Floats, file: WeightsFile) -> Iterator[Found]:
    spread, mean = float(values.std()), float(values.mean())
    low, high = PLAUSIBLE_SPREAD
    if not low <= spread <= high or abs(mean) > high:
        text = f"{place}: mean {mean:.3g}, standard deviation {spread:.3g} are not those of a trained network"
        yield Found(text, str(file.path), severity=WARNING, expected=f"{low:g} … {high:g}")


@rule(
    "L-17",
    NOTE,
    "weights are already trained to the end",
    "Start with --clear, or raise max_batches to continue.",
    "weights",
)
def not_finished(inputs: Inputs) -> Iterator[Found]:
    """Darknet counts iterations from the images in the header of the weights, so the training would stop
    immediately."""
    file = _opened(inputs)
    batch, end = inputs.net.integer("batch"), inputs.net.integer("max_batches")
    if file is None or not inputs.built or inputs.run.clear or not inputs.trains or batch < 1:
        return
    if _nodes(inputs, file) is not inputs.nodes:
        return  # a training with it counts from 0, or does not begin
    done = file.header.iterations(batch)
    if done >= end:
        text = f"{file.path.name} is at iteration {done} (images {file.header.seen}), max_batches is {end}"
        yield at(inputs.net, "max_batches", text, f"more than {done}")
