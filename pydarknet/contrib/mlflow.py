# SPDX-License-Identifier: Apache-2.0
"""Hook for MLflow: settings as parameters, losses and mAP as metrics, small files as artifacts.

``MLFLOW_TRACKING_URI`` and ``MLFLOW_EXPERIMENT_NAME`` set the destination.  A server that is unreachable at
the start is an error; one that becomes unreachable later is retried and does not end the training.

>>> pydarknet.train(config, hooks=[Mlflow()])  # or --mlflow
"""

from __future__ import annotations

import logging
import math
import os
import time
from typing import TYPE_CHECKING, Any

from pydarknet.errors import MissingExtra
from pydarknet.training.hooks import Hook, Step

try:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.exceptions import MlflowException
except ImportError:
    raise MissingExtra("mlflow", "mlflow") from None

if TYPE_CHECKING:
    from pydarknet.evaluation.evaluation import Evaluation
    from pydarknet.training.loop import TrainingLoop

_log = logging.getLogger("pydarknet")

EVERY = 10.0  # seconds between messages to the server; each has all iterations since the last
PAUSE = 600.0  # seconds until an unreachable server is tried again; MLflow itself retries for minutes
ARTIFACTS = ("results.csv", "evaluation.json", "evaluation_best.json", "chart.png", "run.json")
_STATUS = {
    "signal": "KILLED",
    **dict.fromkeys(("finished", "nothing-to-do", "time-limit", "early-stop", "overfit-stop"), "FINISHED"),
}
_MOST = 900  # metrics in a message; the protocol allows 1000


class Mlflow(Hook):
    """Logs to an MLflow server or folder; a resumed training continues the same MLflow run.

    Args:
        client: to log with; by default one configured by MLflow's environment variables.
    """

    name = "mlflow"

    def __init__(self, client: Any = None) -> None:
        self._client = client
        self._run = ""
        self._waiting: list[Any] = []
        self._next = 0.0

    def start(self, training: TrainingLoop) -> None:
        """Create a run, or reopen that of the session before."""
        self._client = self._client or MlflowClient()
        if self._run:
            self._client.update_run(self._run, status="RUNNING")
            return
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "pydarknet")
        found = self._client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else self._client.create_experiment(name)
        run = self._client.create_run(experiment, run_name=training.config.run.path.name)
        self._run = run.info.run_id
        settings = training.config.run.read()["config"]
        parameters = [Param(key, str(value)[:500]) for key, value in settings.items() if value is not None]
        tags = [RunTag("folder", str(training.config.run.path.absolute()))]
        self._client.log_batch(self._run, params=parameters, tags=tags)

    def _keep(self, step: int, **values: float) -> None:
        now = int(time.time() * 1000)
        self._waiting += [Metric(k, v, now, step) for k, v in values.items() if math.isfinite(v)]

    def _send(self) -> None:
        """Send waiting metrics, unless the server failed a short time ago."""
        if time.monotonic() < self._next:
            return
        pause = EVERY
        try:
            while self._waiting:
                self._client.log_batch(self._run, metrics=self._waiting[:_MOST])
                del self._waiting[:_MOST]
        except MlflowException as error:
            _log.warning("MLflow does not accept the metrics, they are sent later: %s", error)
            pause = PAUSE
        self._next = time.monotonic() + pause

    def after_step(self, training: TrainingLoop, step: Step) -> None:  # noqa: ARG002
        """Keep the metrics, and send them regularly."""
        self._keep(step.iteration, loss=step.loss, avg_loss=step.avg_loss, rate=step.rate)
        self._send()

    def evaluated(self, training: TrainingLoop, report: Evaluation) -> None:
        """Send the metrics of the evaluation."""
        darknet = report.darknet
        self._keep(
            training.iteration,
            map50=report.map50,
            map5095=report.map5095,
            precision=darknet.precision,
            recall=darknet.recall,
            f1=darknet.f1,
        )
        if training.step.val_loss:
            self._keep(training.iteration, val_loss=training.step.val_loss.loss)
        self._send()

    def end(self, training: TrainingLoop, reason: str) -> None:
        """Send the remaining metrics, some files, and the stop reason."""
        if not self._run:
            return
        self._next = 0.0
        self._send()
        try:
            for name in ARTIFACTS:
                if training.config.run.file(name).is_file():
                    self._client.log_artifact(self._run, str(training.config.run.file(name)))
            self._client.set_tag(self._run, "stop_reason", reason)
            self._client.set_terminated(self._run, _STATUS.get(reason, "FAILED"))
        except MlflowException as error:
            _log.warning("MLflow does not accept the end of the run: %s", error)

    def state(self) -> dict[str, Any]:
        """Id of the MLflow run."""
        return {"run": self._run}

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue the same MLflow run."""
        self._run = state["run"]
