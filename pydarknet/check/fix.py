# SPDX-License-Identifier: Apache-2.0
"""Automatic fixes: only changes that are certain, and only in a copy of the cfg.

Changes that need a decision (longer training, other weights, better data) are left to the user.
"""

from __future__ import annotations

from collections.abc import Callable

from pydarknet.cfg import keys, repair
from pydarknet.cfg.edit import copy, head_filters
from pydarknet.cfg.generate import schedule
from pydarknet.cfg.model import CfgFile
from pydarknet.check.catalogue import CATALOGUE
from pydarknet.check.inputs import Inputs


def _keys(cfg: CfgFile) -> CfgFile:
    """Old spellings, and misspelt keys whose meaning is clear because the correct key is missing."""
    cfg, _ = repair.fix_spellings(cfg)
    cfg, _ = repair.fix_values(cfg)
    for section in cfg.sections:
        known = keys.known(section.type)
        for line in section.body:
            key = line.option[0] if line.option and known else ""
            meant = keys.suggest(section.type, key) if key and key not in known else None
            if meant and meant not in section:
                line.text = line.text.replace(key, meant, 1)
    return cfg


def _subdivisions(cfg: CfgFile) -> CfgFile:
    batch, wanted = cfg.net.integer("batch"), cfg.net.integer("subdivisions")
    divisors = [n for n in range(1, max(batch, 1) + 1) if batch % n == 0]
    cfg.net.set("subdivisions", min(divisors, key=lambda n: (abs(n - wanted), -n)))
    return cfg


def _size(cfg: CfgFile) -> CfgFile:
    stride = Inputs(cfg).stride
    for side in ("width", "height"):
        cfg.net.set(side, max(round(cfg.net.integer(side) / stride), 1) * stride)
    return cfg


def _filters(cfg: CfgFile) -> CfgFile:
    for index, head in enumerate(cfg.layers):
        if index and head.type in ("yolo", "Gaussian_yolo", "region"):
            above = cfg.layers[index - 1]
            if above.type == "convolutional" and above.integer("filters") != head_filters(head):
                above.set("filters", head_filters(head))
    return cfg


def _burn_in(cfg: CfgFile) -> CfgFile:
    cfg.net.set("burn_in", min(1000, cfg.net.integer("max_batches") // 4))
    return cfg


def _steps(cfg: CfgFile) -> CfgFile:
    usual = schedule(cfg.net.integer("max_batches"), cfg.net.number("learning_rate"))
    for key in ("policy", "steps", "scales"):
        if key in usual:
            cfg.net.set(key, usual[key])
        else:
            cfg.net.remove(key)
    return cfg


def _flip(cfg: CfgFile) -> CfgFile:
    cfg.net.set("flip", 0)
    return cfg


# In this order: later fixes read values that earlier ones have changed.
FIXES: dict[str, Callable[[CfgFile], CfgFile]] = {
    "L-01": _keys,
    "L-37": lambda cfg: repair.fix_values(cfg)[0],
    "L-38": lambda cfg: repair.fix_num(cfg)[0],
    "L-02": _subdivisions,
    "L-03": _size,
    "L-39": lambda cfg: repair.fix_grid(cfg)[0],
    "L-04": _filters,
    "L-07": _steps,
    "L-09": _steps,
    "L-06": _burn_in,
    "L-32": _flip,
}


def fix(inputs: Inputs) -> tuple[CfgFile, list[str]]:
    """Apply the automatic fixes to a copy of the cfg.

    Returns:
        The copy, and the ids of the rules whose findings were fixed in it.
    """
    cfg, fixed = copy(inputs.cfg), []
    for name, remedy in FIXES.items():
        now = Inputs(cfg, inputs.data, None, inputs.run)
        rule = CATALOGUE[name]
        if (rule.needs and getattr(now, rule.needs) is None) or not any(rule.run(now)):
            continue
        changed = copy(remedy(copy(cfg)))
        if str(changed) != str(cfg):
            cfg = changed
            fixed.append(name)
    return cfg, fixed
