# SPDX-License-Identifier: Apache-2.0
"""Rules about the length of a training and its learning rate."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator

from pydarknet.cfg.generate import schedule, training_length
from pydarknet.cfg.model import Section, format_value
from pydarknet.check.catalogue import ERROR, NOTE, WARNING, Found, Severity, at, rule
from pydarknet.check.inputs import Inputs

HIGH_RATE = 0.001  # from here on a burn-in of 1000 iterations is needed
LOST_RATE = 0.01  # share of the base rate below which a network hardly learns


@rule("L-06", WARNING, "unsuitable burn-in", "Use burn_in=1000, in a short training a quarter of it.")
def burn_in_suits(inputs: Inputs) -> Iterator[Found]:
    """A burn-in that is too short for the rate makes the heads diverge to nan.  One that fills half of the
    time before the rate first falls leaves too little training at the full rate."""
    net = inputs.net
    burn_in, rate = net.integer("burn_in"), net.number("learning_rate")
    if not inputs.trains:
        return
    steps = net.integers("steps") if net.text("policy") == "steps" else []
    full = min([net.integer("max_batches"), *(step for step in steps if step > 0)])
    if burn_in < 100:
        yield at(net, "burn_in", f"burn_in is {burn_in}", "1000")
    elif 2 * burn_in >= full:
        text = f"burn_in is {burn_in}, and the rate falls or the training ends at iteration {full} already"
        yield at(net, "burn_in", text, f"less than {full // 2}")
    elif burn_in < 1000 and rate >= HIGH_RATE:
        yield at(net, "burn_in", f"burn_in is {burn_in} with learning_rate {rate:g}", "1000")


@rule("L-07", ERROR, "steps that cannot work", "Use steps at 80 and 90 % of max_batches, one scale for each.")
def steps_work(inputs: Inputs) -> Iterator[Found]:
    """Steps must ascend, end before max_batches, and have one scale each; Darknet stops without them."""
    net = inputs.net
    if net.text("policy") != "steps" or not inputs.trains:
        return
    steps, scales, end = net.integers("steps"), net.numbers("scales"), net.integer("max_batches")
    late = [step for step in steps if step >= end]
    rule_steps = format_value(schedule(end, 1.0).get("steps", "policy=constant"))
    if not steps:
        yield at(net, "policy", "policy=steps without steps", f"steps={rule_steps}")
    if late:
        listed = ", ".join(map(str, late))
        text = f"training ends at {end}, so the steps {listed} are never reached and the rate never falls"
        yield at(net, "steps", text, rule_steps)
    if any(later <= earlier for earlier, later in itertools.pairwise(steps)):
        yield at(net, "steps", f"steps {net.get('steps')} do not ascend", rule_steps)
    if len(steps) != len(scales):
        yield at(
            net, "scales", f"there are {len(steps)} steps, but {len(scales)} scales", f"{len(steps)} scales"
        )


@rule(
    "L-08", WARNING, "training is shorter than the rule", "Use max_batches = max(2000·classes, images, 6000)."
)
def long_enough(inputs: Inputs) -> Iterator[Found]:
    """2000 iterations per class, one per image, at least 6000; below a tenth of that the network does not
    become useful, which is an error unless the length was given for this run (``--epochs``,
    ``--max-batches``).  A cfg without a length is only noted."""
    if inputs.classes is None:
        return
    if not inputs.trains:
        text, hint = "max_batches is not set", "Set it, or give `train` --epochs or --max-batches."
        yield at(inputs.net, "max_batches", text, severity=NOTE, hint=hint)
        return
    planned = inputs.net.integer("max_batches")
    needed = training_length(inputs.classes, inputs.train_images)
    if planned < needed:
        parts = f"2000 · {inputs.classes} classes, {inputs.train_images or 'unknown number of'} images, 6000"
        text = f"max_batches is {planned}, {planned / needed:.1%} of {needed} (the largest of {parts})"
        severity = _unless_given(inputs) if planned < 0.1 * needed else None
        yield at(inputs.net, "max_batches", text, str(needed), severity)


def _unless_given(inputs: Inputs) -> Severity:
    """An error, unless the user gave the length of this run."""
    return WARNING if inputs.run.length_given else ERROR


@rule("L-09", WARNING, "learning rate vanishes early", "Put the last step at 90 % of max_batches.")
def rate_lasts(inputs: Inputs) -> Iterator[Found]:
    """Below a hundredth of its base the rate hardly changes the weights; before 70 % of the training that
    wastes time."""
    net, end = inputs.net, inputs.net.integer("max_batches")
    rate = relative_rate(net)
    start = net.integer("burn_in") + 1
    points = {start + (end * 7 // 10 - start) * i // 100 for i in range(100)} | set(net.integers("steps"))
    for iteration in sorted(point for point in points if start <= point < 0.7 * end):
        if rate(iteration) <= LOST_RATE * (1 + 1e-6):
            left = rate(iteration) * net.number("learning_rate")
            when = f"iteration {iteration}, {iteration / end:.0%} of the training"
            text = f"the rate falls to {left:.3g} at {when}"
            yield at(net, "steps" if "steps" in net else "policy", text, f"not before {end * 7 // 10}")
            return


def relative_rate(net: Section) -> Callable[[int], float]:
    """The learning rate after the burn-in as a share of ``learning_rate``, by iteration.

    Policy sgdr comes back to its full rate again and again, so it counts as constant here.
    """
    policy, end = net.text("policy"), max(net.integer("max_batches"), 1)
    if policy == "steps":
        pairs = list(zip(net.integers("steps"), net.numbers("scales"), strict=False))
        return lambda n: math.prod(scale for step, scale in pairs if step <= n)
    if policy == "step":
        return lambda n: float(net.number("scale") ** (n // max(net.integer("step"), 1)))
    if policy == "exp":
        return lambda n: float(net.number("gamma") ** n)
    if policy == "poly":
        return lambda n: float((1 - min(n, end) / end) ** net.number("power"))
    if policy in ("sigmoid", "sig"):
        return lambda n: 1 / (1 + math.exp(min(net.number("gamma") * (n - net.integer("step")), 700)))
    return lambda _: 1.0


@rule(
    "L-10", ERROR, "training sees too few images", "Raise max_batches or batch; 100 epochs are usual.", "data"
)
def enough_epochs(inputs: Inputs) -> Iterator[Found]:
    """A training that does not see all of its images once cannot succeed; fewer than ten epochs are rarely
    enough.  Always a warning if the length was given for this run."""
    if not inputs.trains or not 0 < inputs.epochs < 10:
        return
    text = (
        f"batch {inputs.net.integer('batch')} · max_batches {inputs.net.integer('max_batches')} = "
        f"{inputs.planned_images} images, {inputs.epochs:.2f} epochs of {inputs.train_images} images"
    )
    severity = _unless_given(inputs) if inputs.epochs < 1 else WARNING
    yield at(inputs.net, "max_batches", text, "at least 10 epochs", severity)


@rule("L-33", NOTE, "planned time", "Lower max_batches, use a smaller model or size, or a faster machine.")
def time_planned(inputs: Inputs) -> Iterator[Found]:
    """Measured seconds per iteration times max_batches; an error if it exceeds the allowed time."""
    seconds = inputs.run.seconds_per_iteration
    if seconds is None or not inputs.trains:
        return
    count = inputs.net.integer("max_batches")
    hours = seconds * count / 3600
    text = f"{count} iterations of {seconds:.3g} s take {hours:.1f} hours"
    if inputs.run.max_hours is not None and hours > inputs.run.max_hours:
        most = int(inputs.run.max_hours * 3600 / seconds)
        text += f", more than the allowed {inputs.run.max_hours:g}"
        yield at(inputs.net, "max_batches", text, f"at most {most}", ERROR)
    else:
        yield Found(text, hint="No action needed.")
