# SPDX-License-Identifier: Apache-2.0
"""The work that ``eval --engine`` gives to workers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from bccd_files import make_bccd, network
from helpers import run

from pydarknet.data import Sample
from pydarknet.evaluation.columns import Judged
from pydarknet.evaluation.spread import EvaluationJob


def test_workers_compute_where_and_as_the_first_network_does(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The device of the options, and one precision for all."""
    jobs: list[EvaluationJob] = []

    def collect(engine: str, job: EvaluationJob, samples: Sequence[Sample], **_: object) -> list[Judged]:
        jobs.append(job)
        return job(samples)[0]

    monkeypatch.setattr("pydarknet.cli._impl.eval.collect_by", collect)
    cfg, weights = network(shared)
    words = [
        "--cfg",
        cfg,
        "--weights",
        weights,
        "--data",
        make_bccd(shared, tmp_path / "few", 2),
        "--lenient",
    ]
    words += ["--engine", "ray", "--device", "cpu", "--precision", "auto", "--json"]
    assert run(monkeypatch, "eval", *words) == 0
    table = json.loads(capsys.readouterr().out)
    loading = dict(jobs[0].loading)
    assert loading["device"] == "cpu"
    assert loading["precision"] == table["conditions"]["precision"] != "auto"
