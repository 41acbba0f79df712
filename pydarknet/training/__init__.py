# SPDX-License-Identifier: Apache-2.0
"""Training: from images and labels to weights, in runs that can be stopped and resumed at any time.

>>> outcome = pydarknet.train(pydarknet.TrainConfig(cfg="yolov4-tiny.cfg", data="obj.data", out="runs/x"))
>>> outcome.reason, outcome.best
"""

from __future__ import annotations

from pydarknet.runs.config import TrainConfig
from pydarknet.runs.outcome import EXIT_CODES, Outcome
from pydarknet.training.eta import Estimate, estimate
from pydarknet.training.hooks import Hook, Step
from pydarknet.training.rerun import rerun
from pydarknet.training.run import resume, train

__all__ = [
    "EXIT_CODES",
    "Estimate",
    "Hook",
    "Outcome",
    "Step",
    "TrainConfig",
    "estimate",
    "rerun",
    "resume",
    "train",
]
