# SPDX-License-Identifier: Apache-2.0
"""Steps of the learning rate in a training of another length."""

from __future__ import annotations

from pydarknet.cfg.model import Section


def rescale(net: Section, length: int) -> tuple[list[int], list[int]]:
    """Move the steps of ``[net]`` so that they keep their share of a training of ``length`` iterations.

    Steps that were before the end stay before it and ascend: those that round to one iteration become one
    step with the product of their scales, and those that round to the end are left out; without any step
    left, the rate is constant.  A step of 0 or less means "from the start" and stays.  If ``max_batches`` is
    not set, the steps come to lie between 80 % of the training and its end.

    Args:
        net: the section, whose ``steps``, ``scales`` and ``policy`` are changed; ``max_batches`` is not.
        length: iterations of the other training, at least 1.

    Returns:
        The steps before and after; equal if nothing was changed.
    """
    old, scales, before = net.integers("steps"), net.numbers("scales"), net.integer("max_batches")
    if not old:
        return old, old
    paired = len(scales) == len(old)
    places = old
    if before < 1:
        before = 10 * len(old)
        places = [step if step <= 0 else 8 * len(old) + 2 * i for i, step in enumerate(old)]
    pairs = _moved(places, scales if paired else [1.0] * len(old), before, length)
    steps = [step for step, _ in pairs]
    if steps == old:
        return old, old
    if not steps:
        if net.text("policy") == "steps":
            net.set("policy", "constant")
        net.remove("steps")
        net.remove("scales")
        return old, steps
    net.set("steps", steps)
    if paired and len(steps) != len(old):
        net.set("scales", [scale for _, scale in pairs])
    return old, steps


def _moved(old: list[int], scales: list[float], before: int, length: int) -> list[tuple[int, float]]:
    pairs: list[tuple[int, float]] = []
    for place, (step, scale) in enumerate(zip(old, scales, strict=True)):
        moved = step if step <= 0 else max(round(step * length / before), 1)
        if step < before and moved >= length:
            continue
        if pairs and moved <= pairs[-1][0] and step > old[place - 1]:
            pairs[-1] = pairs[-1][0], pairs[-1][1] * scale
        else:
            pairs.append((moved, scale))
    return pairs
