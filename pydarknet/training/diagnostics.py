# SPDX-License-Identifier: Apache-2.0
"""Trouble said aloud: what can be told to be wrong while a training goes on, and what to do about it.

Findings have the ids of the preflight's rules.  They are said once, written into ``train.log``, and appended
to ``findings.jsonl`` in the folder of the run.
"""

from __future__ import annotations

import json
import math
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydarknet.evaluation.diagnose import TrainingFacts, usual_causes
from pydarknet.training.darknet_log import open_to_append
from pydarknet.training.hooks import Hook, Step
from pydarknet.training.tables import Stall

if TYPE_CHECKING:
    from pydarknet.data import Sample
    from pydarknet.evaluation.evaluation import Evaluation
    from pydarknet.training.darknet_log import Log
    from pydarknet.training.loop import Training
    from pydarknet.training.prepare import Say

SETTLED = 300  # iterations after which the rolling statistics of batch norm are 95 % of what they will be
UNSETTLED = "The statistics of batch norm need some hundred iterations to settle: evaluate later."
EXPLODED = "The loss has probably exploded: go back, with a tenth of the learning rate; check the labels."
# D-02.  Networks with random weights (yolov4, yolov4-tiny, yolov4-tiny-3l, yolov3-tiny on BCCD) cost 1.01 to
# 1.05 times what heads cost that say "perhaps" everywhere; one trained on it 0.06 times.
START_FACTOR, TRAINED_SHARE = 2.0, 0.5
RISE, RISE_WINDOW = 3.0, 500  # D-04: times the smallest average loss of so many iterations
RISE_STEPS = 20  # D-04: iterations after the burn-in before it is judged; the average is one of about ten
STALL, STALL_STEPS = 0.1, 50  # L-50: share of the time, and iterations before it is judged


def untrained_loss(training: Training, size: tuple[int, int]) -> float | None:
    """The loss of heads that say 0.5 for every objectness: a quarter for each box that they can report.

    Args:
        training: knows the network.
        size: of the input.

    Returns:
        The mean over the heads; None if a head has another loss than ``[yolo]``.
    """
    net, costs = training.cfg.net, []
    grow = size[0] * size[1] / (net.integer("width") * net.integer("height"))
    for index, section in enumerate(training.cfg.layers):
        if index not in training.detecting:
            continue
        if section.type != "yolo":
            return None
        _, height, width = training.network.layers[index].out_shape
        boxes = len(section.integers("mask")) * height * width * grow
        # Twice in the squares of its deltas; class_loss, which mse has no use for, has it once more.
        power = 2 if section.text("iou_loss") == "mse" else 3
        costs.append(0.25 * boxes * section.number("obj_normalizer", 1.0) ** power)
    return sum(costs) / len(costs) if costs else None


def heads_are_new(training: Training) -> bool:
    """Whether all layers in front of the heads have biases of 0, which training never leaves."""
    before = (training.network.parameters(index - 1) for index in training.detecting)
    return all(not arrays["biases"].any() for arrays in before if "biases" in arrays)


class Trouble(Hook):
    """Looks for trouble, and says it.

    Args:
        train: training images, for the checks of D-05.
        weights: description of the initial weights, for the same.
        log: of the run.
        say: takes the lines for people.
    """

    name = "trouble"

    def __init__(self, train: Sequence[Sample], weights: str, log: Log, say: Say) -> None:
        self.train, self.weights, self.log, self._say = train, weights, log, say
        self._lowest: deque[float] = deque(maxlen=RISE_WINDOW)
        self._stall, self._zeros = Stall(2 * STALL_STEPS), 0
        self._silent: set[str] = set()
        self._new: bool | None = None

    def start(self, training: Training) -> None:
        """Look at the heads before they learn."""
        self._file = open_to_append(training.run.file("findings.jsonl"))
        self._new = heads_are_new(training) if training.iteration == 0 else None

    def tell(self, training: Training, rule: str, text: str, hint: str, **values: Any) -> None:
        """Say a finding."""
        line = f"{rule}: {text}. {hint}"
        self._say(line)
        self.log.note(line)
        finding = {"rule": rule, "iteration": training.iteration, "message": text, "hint": hint, **values}
        finding["time"] = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        self._file.write(json.dumps(finding, ensure_ascii=False) + "\n")
        self._file.flush()

    def evaluated(self, training: Training, report: Evaluation) -> None:
        """Saturated detections, and mAP that stays 0."""
        if why := report.saturation.reason:
            self.tell(
                training,
                "D-01",
                f"the detections are saturated: {why}",
                "This evaluation is no basis for best weights. "
                + (UNSETTLED if training.iteration < SETTLED else EXPLODED),
            )
        self._zeros = self._zeros + 1 if report.map50 == 0 else 0
        if self._zeros == 2:
            burn_in = training.cfg.net.integer("burn_in")
            done = (training.iteration, training.max_batches, burn_in)
            facts = TrainingFacts(self.train, self.weights, *done)
            causes = usual_causes(report, training.network.info, facts)
            text = "\n".join(["mAP is 0 at two evaluations in a row; the usual causes", *causes])
            self.tell(training, "D-05", text, "What is marked with ! is where to look first.", causes=causes)

    def after_step(self, training: Training, step: Step) -> None:
        """The first loss, a rising loss, a loader that is too slow."""
        if step.iteration == 1 and self._new is not None:
            self._start_loss(training, step, self._new)
        self._rising(training, step)
        share = self._stall.add(step)
        if len(self._stall) >= STALL_STEPS and share > STALL and "L-50" not in self._silent:
            self._silent.add("L-50")
            self.tell(
                training,
                "L-50",
                f"the network waits for images {share:.0%} of the time",
                "--cache ram or disk keeps decoded images, --workers N prepares more of them at a time; "
                "smaller image files and a faster disk help too.",
                share=share,
            )

    def _start_loss(self, training: Training, step: Step, new: bool) -> None:
        expected = untrained_loss(training, step.size)
        if not expected:
            return
        share = step.loss / expected
        values = {"loss": step.loss, "expected": expected, "heads": "new" if new else "loaded"}
        if new and not 1 / START_FACTOR <= share <= START_FACTOR:
            self.tell(
                training,
                "D-02",
                f"the loss begins at {step.loss:.4g}; new heads should begin near {expected:.4g}",
                "Much less: the heads hardly answer; much more: the weights in front of them are of another "
                "network or damaged.",
                **values,
            )
        if not new and share > TRAINED_SHARE:
            self.tell(
                training,
                "D-02",
                f"the loss begins at {step.loss:.4g}, as high as that of new heads ({expected:.4g}), "
                "although the weights have trained heads",
                "They were trained with other anchors, classes or images.",
                **values,
            )

    def _rising(self, training: Training, step: Step) -> None:
        if step.iteration <= training.cfg.net.integer("burn_in") or not math.isfinite(step.avg_loss):
            return
        self._lowest.append(step.avg_loss)
        lowest = min(self._lowest)
        if step.avg_loss <= RISE * lowest:
            self._silent.discard("D-04")
        elif len(self._lowest) >= RISE_STEPS and "D-04" not in self._silent:
            self._silent.add("D-04")
            self.tell(
                training,
                "D-04",
                f"the average loss is {step.avg_loss:.4g}, {step.avg_loss / lowest:.1f} times the smallest "
                f"of the last {len(self._lowest)} iterations ({lowest:.4g})",
                "The learning rate is probably too high: go back to weights from before, with a tenth of it.",
                loss=step.avg_loss,
                lowest=lowest,
            )

    def end(self, training: Training, reason: str) -> None:  # noqa: ARG002
        """Close the file."""
        self._file.close()

    def state(self) -> dict[str, Any]:
        """What was counted and said."""
        return {"lowest": list(self._lowest), "zeros": self._zeros, "silent": sorted(self._silent)}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take it back; the loader may be another one now."""
        self._lowest.extend(state["lowest"])
        self._zeros, self._silent = state["zeros"], set(state["silent"]) - {"L-50"}
