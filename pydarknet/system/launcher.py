# SPDX-License-Identifier: Apache-2.0
"""Place of this process among those that a launcher of MPI programs started, from its environment."""

from __future__ import annotations

import os
import re

#: Variables in which launchers leave the number of processes.
SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")
RANKS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK", "SLURM_PROCID")
#: Those with the number of processes on this machine; Slurm's may name several machines, as in ``2(x3),1``.
LOCAL_SIZES = (
    "MPI_LOCALNRANKS",
    "OMPI_COMM_WORLD_LOCAL_SIZE",
    "MV2_COMM_WORLD_LOCAL_SIZE",
    "SLURM_STEP_TASKS_PER_NODE",
)
#: Variable with the folder of process ids, exit codes and errors of workers that pydarknet itself started.
FOLDER = "PYDARKNET_WORKERS"


def launched() -> int:
    """Number of workers that a launcher started together with this process; 1 without one."""
    sizes = (os.environ.get(name, "") for name in SIZES)
    return max((int(size) for size in sizes if size.isdigit()), default=1)


def launched_here() -> int:
    """Number of those on this machine, which divide its memory; all if the launcher does not report it."""
    everywhere = launched()
    if everywhere == 1:
        return 1
    texts = (os.environ.get(name, "") for name in LOCAL_SIZES)
    found = [int(size) for text in texts for size in re.findall(r"(?<!x)\b\d+", text)]
    return min(max(found, default=everywhere), everywhere)


def launched_by_us() -> bool:
    """Whether ``pydarknet`` started this process as a worker."""
    return FOLDER in os.environ


def rank() -> int:
    """Number of this process among them; 0 without a launcher."""
    found = (os.environ.get(name, "") for name in RANKS)
    return next((int(number) for number in found if number.isdigit()), 0)
