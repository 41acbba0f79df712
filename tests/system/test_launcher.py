# SPDX-License-Identifier: Apache-2.0
"""Numbers of workers in the variables of the launchers."""

from __future__ import annotations

import pytest

from pydarknet.engine.memory import available_memory
from pydarknet.system.launcher import LOCAL_SIZES, SIZES, launched, launched_here


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The environment without a launcher."""
    for name in (*SIZES, *LOCAL_SIZES):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("variables", "everywhere", "here"),
    [
        ({}, 1, 1),
        ({"PMI_SIZE": "4", "MPI_LOCALNRANKS": "2"}, 4, 2),
        ({"OMPI_COMM_WORLD_SIZE": "3", "OMPI_COMM_WORLD_LOCAL_SIZE": "3"}, 3, 3),
        ({"SLURM_STEP_NUM_TASKS": "8", "SLURM_STEP_TASKS_PER_NODE": "2(x4)"}, 8, 2),
        ({"SLURM_STEP_NUM_TASKS": "7", "SLURM_STEP_TASKS_PER_NODE": "2(x3),1"}, 7, 2),
        ({"SLURM_STEP_NUM_TASKS": "13", "SLURM_STEP_TASKS_PER_NODE": "1,12"}, 13, 12),
        ({"PMI_SIZE": "4"}, 4, 4),  # not reported: as if all were here
        ({"PMI_SIZE": "2", "MPI_LOCALNRANKS": "x"}, 2, 2),
        ({"SLURM_STEP_TASKS_PER_NODE": "6"}, 1, 1),  # one process of an allocation
    ],
)
def test_numbers_of_workers(
    alone: pytest.MonkeyPatch, variables: dict[str, str], everywhere: int, here: int
) -> None:
    for name, value in variables.items():
        alone.setenv(name, value)
    assert (launched(), launched_here()) == (everywhere, here)


def test_workers_of_a_machine_divide_its_memory(alone: pytest.MonkeyPatch) -> None:
    whole = available_memory()
    assert whole
    alone.setenv("PMI_SIZE", "8")
    alone.setenv("MPI_LOCALNRANKS", "4")
    share = available_memory()
    assert share
    assert 3 < whole / share < 5  # what is free changes meanwhile
