# SPDX-License-Identifier: Apache-2.0
"""TensorBoard and MLflow get the numbers of ``results.csv``, read back as those libraries store them."""

from __future__ import annotations

import csv
import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pydarknet import TrainConfig
from pydarknet.errors import MissingExtra
from pydarknet.runs.outcome import EXIT_CODES
from pydarknet.training import train

sys.path.append(str(Path(__file__).parents[1] / "training"))
import shapes
from shapes import StopAt


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    data, cfg = shapes.data_set(tmp_path / "ds"), shapes.cfg(tmp_path, 12)
    return TrainConfig(cfg, data, out=tmp_path / "run", threads=1, force=True, map_every=4, plots=False)


def table(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "results.csv").read_text().splitlines()))


def without(monkeypatch: pytest.MonkeyPatch, library: str, module: str) -> None:
    """As if an optional library were not installed."""
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, f"pydarknet.contrib.{module}", raising=False)


@pytest.mark.parametrize(("library", "extra"), [("tensorboardX", "tensorboard"), ("mlflow", "mlflow")])
def test_missing(config: TrainConfig, monkeypatch: pytest.MonkeyPatch, library: str, extra: str) -> None:
    """Without the library the option ends before anything is trained, and names the extra."""
    without(monkeypatch, library, extra)
    with pytest.raises(
        MissingExtra, match=rf"{library} is not installed; run: pip install 'pydarknet\[{extra}\]'"
    ):
        train(replace(config, **{extra: True}))
    assert not (Path(str(config.out)) / "results.csv").exists()


def events(folder: Path) -> dict[str, dict[int, float]]:
    """Scalars of all event files by name and step: TFRecords of Event messages."""
    import struct

    from tensorboardX.proto.event_pb2 import Event

    found: dict[str, dict[int, float]] = {}
    for path in sorted(folder.glob("events.*")):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            event = Event.FromString(data[at + 12 : at + 12 + length])
            at += 16 + length
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    found.setdefault(value.tag, {})[event.step] = value.simple_value
    return found


@pytest.mark.skipif(
    importlib.util.find_spec("tensorboardX") is None,
    reason="tensorboardX is not installed (extra: tensorboard)",
)
def test_tensorboard(config: TrainConfig) -> None:
    """The event files of two sessions hold every iteration and every evaluation."""
    train(replace(config, tensorboard=True), [StopAt(5)])
    outcome = train(replace(config, tensorboard=True))
    found, rows = events(outcome.folder / "tensorboard"), table(outcome.folder)
    for tag, column in (("loss/train", "loss"), ("loss/average", "avg_loss"), ("schedule/rate", "rate")):
        assert found[tag] == {int(row["iteration"]): pytest.approx(float(row[column])) for row in rows}
    measured = [row for row in rows if row["map"]]
    for tag, column in (("mAP/50", "map"), ("mAP/50_95", "map5095"), ("loss/validation", "val_loss")):
        assert found[tag] == {int(row["iteration"]): pytest.approx(float(row[column])) for row in measured}


@pytest.mark.skipif(
    importlib.util.find_spec("mlflow") is None, reason="mlflow-skinny is not installed (extra: mlflow)"
)
@pytest.mark.filterwarnings("default")  # MLflow warns about its own folders
def test_mlflow(config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that was stopped and continued is one run of MLflow, with settings, metrics and files."""
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "store").as_uri())
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "shapes")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    train(replace(config, mlflow=True), [StopAt(5)])
    outcome = train(replace(config, mlflow=True))
    client = MlflowClient()
    experiment = client.get_experiment_by_name("shapes")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.tags["stop_reason"] == "finished"
    assert run.data.tags["folder"] == str(outcome.folder)
    assert run.data.params["cfg"] == str(config.cfg)
    rows = table(outcome.folder)
    for name, column, wanted in (
        ("loss", "loss", rows),
        ("map50", "map", [row for row in rows if row["map"]]),
        ("val_loss", "val_loss", [row for row in rows if row["map"]]),
    ):
        history = client.get_metric_history(run.info.run_id, name)
        expected = {int(row["iteration"]): pytest.approx(float(row[column])) for row in wanted}
        assert {metric.step: metric.value for metric in history} == expected
        assert len(history) == len(expected)
    assert {file.path for file in client.list_artifacts(run.info.run_id)} >= {
        "results.csv",
        "evaluation.json",
    }


@pytest.mark.skipif(
    importlib.util.find_spec("mlflow") is None, reason="mlflow-skinny is not installed (extra: mlflow)"
)
def test_mlflow_that_goes_away(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A training outlives its server, and sends what waited when it is back; its end may fail, too."""
    from mlflow.exceptions import MlflowException

    from pydarknet.contrib import mlflow

    class Server:
        """Answers, but not the second to fourth message, and not at the end."""

        def __init__(self) -> None:
            self.messages, self.steps = 0, [0]

        def get_experiment_by_name(self, name: str) -> SimpleNamespace:
            return SimpleNamespace(experiment_id="1")

        def create_run(self, experiment: str, run_name: str) -> SimpleNamespace:
            return SimpleNamespace(info=SimpleNamespace(run_id="r"))

        def log_batch(self, run: str, metrics: Any = (), **_: Any) -> None:
            self.messages += bool(metrics)
            if 2 <= self.messages <= 4:
                raise MlflowException("no route to host")
            self.steps += [metric.step for metric in metrics if metric.key == "loss"]

        def log_artifact(self, run: str, path: str) -> None:
            raise MlflowException("no route to host")

    monkeypatch.setattr(mlflow, "EVERY", 0.0)
    monkeypatch.setattr(mlflow, "PAUSE", 0.0)
    server = Server()
    outcome = train(config, [mlflow.Mlflow(server)])
    assert outcome.reason == "finished"
    assert server.steps == list(range(outcome.iteration + 1))
    assert caplog.text.count("MLflow does not accept the metrics, they are sent later: no route to host") == 3
    assert "MLflow does not accept the end of the run: no route to host" in caplog.text


@pytest.mark.skipif(
    importlib.util.find_spec("mlflow") is None, reason="mlflow-skinny is not installed (extra: mlflow)"
)
@pytest.mark.parametrize("reason", EXIT_CODES)
def test_the_status_in_mlflow_of_every_stop_reason(reason: str, tmp_path: Path) -> None:
    """Exit codes up to 5, and that of a lost worker, are failures."""
    from pydarknet.contrib.mlflow import Mlflow

    ended: list[str] = []
    client = SimpleNamespace(set_tag=lambda *_: None, set_terminated=lambda _, status: ended.append(status))
    hook = Mlflow(client)
    hook.load_state({"run": "1"})
    run = SimpleNamespace(file=lambda name: tmp_path / name)
    hook.end(SimpleNamespace(config=SimpleNamespace(run=run)), reason)  # type: ignore[arg-type]
    code = EXIT_CODES[reason]
    expected = "KILLED" if code == 130 else "FAILED" if 0 < code < 6 or code == 9 else "FINISHED"
    assert ended == [expected]
