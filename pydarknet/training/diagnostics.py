# SPDX-License-Identifier: Apache-2.0
"""Runtime diagnostics: faults that show while a training runs, and how to fix them.

Findings have the ids of the preflight's rules.  Each is reported once, written into ``train.log``, and
appended to ``findings.jsonl`` in the folder of the run.
"""

from __future__ import annotations

import json
import math
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydarknet.evaluation.diagnose import TrainingFacts, usual_causes
from pydarknet.system.notify import Notify
from pydarknet.training.darknet_log import open_to_append
from pydarknet.training.hooks import Hook, Step
from pydarknet.training.tables import Stall

if TYPE_CHECKING:
    from pydarknet.data import Sample
    from pydarknet.evaluation.evaluation import Evaluation
    from pydarknet.training.darknet_log import DarknetLog
    from pydarknet.training.loop import TrainingLoop

SETTLED = 300  # iterations after which the rolling statistics of batch norm have reached 95 % of their values
UNSETTLED = "The statistics of batch norm need some hundred iterations to settle: evaluate later."
DIVERGED = (
    "The loss has probably diverged: start from earlier weights with a tenth of the learning rate, and check "
    "the labels."
)
# D-02, as shares of the loss of heads that give 0.5 everywhere; docs/stopping.md has measurements.
START_FACTOR, TRAINED_SHARE = 2.0, 0.5
RISE, RISE_WINDOW = 3.0, 500  # D-04: times the smallest average loss of this many iterations
RISE_STEPS = 20  # D-04: iterations after the burn-in before it is judged; the average is one of about ten
NO_OBJECT = 50  # D-06: iterations without an object that was assigned to an anchor
STALL, STALL_STEPS = 0.1, 50  # L-50: share of the time, and iterations before it is judged


def untrained_loss(training: TrainingLoop, step: Step) -> float | None:
    """Expected loss of heads that give 0.5 everywhere.

    A quarter for each box that they can report, and for each class of each object that was assigned to one.

    Args:
        training: the loop.
        step: the first one.

    Returns:
        The mean over the heads; None if a head has another loss than ``[yolo]``.
    """
    cfg, costs, class_costs = training.config.cfg, [], []
    net = cfg.net
    grow = step.size[0] * step.size[1] / (net.integer("width") * net.integer("height"))
    for index, section in enumerate(cfg.layers):
        if index not in training.config.head_layers:
            continue
        if section.type != "yolo":
            return None
        _, height, width = training.trainer.network.layers[index].out_shape
        boxes = len(section.integers("mask")) * height * width * grow
        # Squared in its deltas; class_loss, which mse does not use, multiplies by it once more.
        power = 2 if section.text("iou_loss") == "mse" else 3
        costs.append(0.25 * boxes * section.number("obj_normalizer", 1.0) ** power)
        class_costs.append(0.25 * section.integer("classes") * section.number("cls_normalizer", 1.0) ** power)
    if not costs:
        return None
    objects = step.boxes / step.images if step.images else 0.0
    return (sum(costs) + objects * sum(class_costs) / len(class_costs)) / len(costs)


def heads_are_new(training: TrainingLoop) -> bool | None:
    """Whether the layers before the heads have biases of 0, which are never 0 after training.

    None if some have: after a transfer to other classes the rows of the new classes are new.
    """
    before = (training.trainer.network.parameters(index - 1) for index in training.config.head_layers)
    biases = [arrays["biases"] for arrays in before if "biases" in arrays]
    if all(values.all() for values in biases):
        return False
    return None if any(values.any() for values in biases) else True


class Diagnostics(Hook):
    """Looks for faults and reports each once.

    Args:
        train: training images, for the checks of D-05.
        weights: description of the initial weights, for the same.
        log: of the run.
        notify: receives the findings.
    """

    name = "diagnostics"

    def __init__(self, train: Sequence[Sample], weights: str, log: DarknetLog, notify: Notify) -> None:
        self.train, self.weights, self.log, self._notify = train, weights, log, notify
        self._lowest: deque[float] = deque(maxlen=RISE_WINDOW)
        self._stall, self._zeros = Stall(2 * STALL_STEPS), 0
        self._reported: set[str] = set()
        self._new: bool | None = None
        self._without = 0

    def start(self, training: TrainingLoop) -> None:
        """Check whether the heads are new."""
        self._file = open_to_append(training.config.run.file("findings.jsonl"))
        self._new = heads_are_new(training) if training.iteration == 0 else None

    def report(self, training: TrainingLoop, rule: str, text: str, hint: str, **values: Any) -> None:
        """Report a finding."""
        line = f"{rule}: {text}. {hint}"
        self._notify(line)
        self.log.note(line)
        finding = {"rule": rule, "iteration": training.iteration, "message": text, "hint": hint, **values}
        finding["time"] = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        self._file.write(json.dumps(finding, ensure_ascii=False) + "\n")
        self._file.flush()

    def evaluated(self, training: TrainingLoop, report: Evaluation) -> None:
        """Check for saturated detections, and for a mAP that stays 0."""
        if why := report.saturation.reason:
            self.report(
                training,
                "D-01",
                f"the detections are saturated: {why}",
                "This evaluation is not used to choose the best weights. "
                + (UNSETTLED if training.iteration < SETTLED else DIVERGED),
            )
        self._zeros = self._zeros + 1 if report.map50 == 0 else 0
        if self._zeros == 2:
            burn_in = training.config.cfg.net.integer("burn_in")
            done = (training.iteration, training.config.max_batches, burn_in)
            facts = TrainingFacts(self.train, self.weights, *done)
            causes = usual_causes(report, training.trainer.network.info, facts)
            text = "\n".join(["mAP is 0 at two evaluations in a row; the usual causes", *causes])
            self.report(training, "D-05", text, "Check the causes marked with ! first.", causes=causes)

    def after_step(self, training: TrainingLoop, step: Step) -> None:
        """Check the first loss, a rising loss, missing objects, and a loader that is too slow."""
        if step.iteration == 1 and self._new is not None:
            self._start_loss(training, step, self._new)
        self._rising(training, step)
        self._unassigned(training, step)
        share = self._stall.add(step)
        if len(self._stall) >= STALL_STEPS and share > STALL and "L-50" not in self._reported:
            self._reported.add("L-50")
            self.report(
                training,
                "L-50",
                f"the network waits for images {share:.0%} of the time",
                "--cache ram or disk keeps decoded images, --workers N prepares more of them at a time; "
                "smaller image files and a faster disk help too.",
                share=share,
            )

    def _start_loss(self, training: TrainingLoop, step: Step, new: bool) -> None:
        expected = untrained_loss(training, step)
        if not expected:
            return
        share = step.loss / expected
        values = {"loss": step.loss, "expected": expected, "heads": "new" if new else "loaded"}
        if new and not 1 / START_FACTOR <= share <= START_FACTOR:
            self.report(
                training,
                "D-02",
                f"the loss begins at {step.loss:.4g}; new heads should begin near {expected:.4g}",
                "Much less: the heads hardly respond; much more: the weights before them belong to another "
                "network or are damaged.",
                **values,
            )
        if not new and share > TRAINED_SHARE:
            self.report(
                training,
                "D-02",
                f"the loss begins at {step.loss:.4g}, as high as that of new heads ({expected:.4g}), "
                "although the weights have trained heads",
                "They were trained with other anchors, classes or images.",
                **values,
            )

    def _rising(self, training: TrainingLoop, step: Step) -> None:
        if step.iteration <= training.config.cfg.net.integer("burn_in") or not math.isfinite(step.avg_loss):
            return
        self._lowest.append(step.avg_loss)
        lowest = min(self._lowest)
        if step.avg_loss <= RISE * lowest:
            self._reported.discard("D-04")
        elif len(self._lowest) >= RISE_STEPS and "D-04" not in self._reported:
            self._reported.add("D-04")
            self.report(
                training,
                "D-04",
                f"the average loss is {step.avg_loss:.4g}, {step.avg_loss / lowest:.1f} times the smallest "
                f"of the last {len(self._lowest)} iterations ({lowest:.4g})",
                "The learning rate is probably too high: start from earlier weights with a tenth of it.",
                loss=step.avg_loss,
                lowest=lowest,
            )

    def _unassigned(self, training: TrainingLoop, step: Step) -> None:
        assigned = sum(head.count for heads in step.heads for head in heads)
        self._without = self._without + 1 if step.heads and not assigned else 0
        if self._without >= NO_OBJECT and "D-06" not in self._reported:
            self._reported.add("D-06")
            self.report(
                training,
                "D-06",
                f"no object was assigned to an anchor in the last {self._without} iterations, so only the "
                "background is learnt",
                "The images have no boxes, or those lie at anchors that no mask uses: `check` reports both "
                "(L-20, L-40).",
                iterations=self._without,
            )

    def end(self, training: TrainingLoop, reason: str) -> None:  # noqa: ARG002
        """Close the file."""
        self._file.close()

    def state(self) -> dict[str, Any]:
        """Counts, and findings that were reported."""
        return {"lowest": list(self._lowest), "zeros": self._zeros, "reported": sorted(self._reported)}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore; L-50 is judged again, since the loader may have changed."""
        self._lowest.extend(state["lowest"])
        self._zeros, self._reported = state["zeros"], set(state["reported"]) - {"L-50"}
