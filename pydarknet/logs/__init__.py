# SPDX-License-Identifier: Apache-2.0
"""Training logs of every Darknet: parse, plot and interpret them.

>>> log = load("train.log")
>>> log.iterations[-1].avg_loss, advise(log).verdict
"""

from __future__ import annotations

from pydarknet.logs.advice import Advice, advise
from pydarknet.logs.load import load
from pydarknet.logs.model import ClassResult, Evaluation, HeadLine, Iteration, Log
from pydarknet.logs.parse import parse

__all__ = [
    "Advice",
    "ClassResult",
    "Evaluation",
    "HeadLine",
    "Iteration",
    "Log",
    "advise",
    "load",
    "parse",
]
