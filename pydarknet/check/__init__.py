# SPDX-License-Identifier: Apache-2.0
"""Preflight: find known problems before a training starts.

>>> report = preflight("yolov4-tiny.cfg", data="ds/obj.data", weights="yolov4-tiny.conv.29")
>>> report.exit_code, [finding.rule for finding in report.findings]

The rules are in the ``rules_*`` modules, one function each.
"""

from __future__ import annotations

from pydarknet.check import (
    rules_anchors,
    rules_cfg,
    rules_data,
    rules_keys,
    rules_labels,
    rules_run,
    rules_schedule,
    rules_weights,
)
from pydarknet.check.catalogue import (
    CATALOGUE,
    ERROR,
    NOTE,
    WARNING,
    Finding,
    Found,
    Rule,
    Severity,
    require_rules,
    rule,
)
from pydarknet.check.data_facts import DataFacts, inspect_data
from pydarknet.check.inputs import Inputs, PlannedRun
from pydarknet.check.preflight import Preflight, inspect, load_inputs, preflight

GROUPS = {
    "Keys and values": rules_keys,
    "Network and settings": rules_cfg,
    "Anchors": rules_anchors,
    "Schedule": rules_schedule,
    "Weights": rules_weights,
    "Classes, lists and images": rules_data,
    "Labels and boxes": rules_labels,
    "The run": rules_run,
}

__all__ = [
    "CATALOGUE",
    "ERROR",
    "GROUPS",
    "NOTE",
    "WARNING",
    "DataFacts",
    "Finding",
    "Found",
    "Inputs",
    "PlannedRun",
    "Preflight",
    "Rule",
    "Severity",
    "inspect",
    "inspect_data",
    "load_inputs",
    "preflight",
    "require_rules",
    "rule",
]
