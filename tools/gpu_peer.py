# SPDX-License-Identifier: Apache-2.0
"""PyTorch beside the cuda backend in gpu_check.py: the same networks, channels last, under autocast."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

import numpy as np
from gpu_base import ROOT, Report

KINDS = {"bf16": "bfloat16", "fp16": "float16"}


def inference(rows: list[Report], device: str, rehearse: bool) -> Any:
    """Median milliseconds of a forward pass for each row with graphs, or the reason why there are none."""
    return _measured(rows, device, rehearse, _forward)


def training(rows: list[Report], device: str, rehearse: bool) -> Any:
    """Likewise of forward, backward and an update, with a sum of squares as the loss, which is less work."""
    return _measured(rows, device, rehearse, _step)


def _measured(rows: list[Report], device: str, rehearse: bool, make: Any) -> Any:
    if not importlib.util.find_spec("torch"):
        return "PyTorch is not installed"
    if rehearse:
        return "installed"
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import torch
    from torch_darknet import Darknet

    if not torch.cuda.is_available():
        return "PyTorch finds no GPU"
    found = []
    for row in rows:
        if not row["graphs"] or "error" in row:
            continue
        one: Report = {key: row[key] for key in ("cfg", "batch", "precision")}
        try:
            model = Darknet(str(ROOT / f"cfg/{row['cfg']}.cfg")).to(device, memory_format=torch.channels_last)
            x = torch.rand(row["batch"], 3, row["height"], row["width"], device=device)
            x = x.to(memory_format=torch.channels_last)
            one["p50"] = _milliseconds(torch, make(torch, model, x, row["precision"]))
        except RuntimeError as error:  # the GPU's memory, say
            one["error"] = str(error)[:300]
        found.append(one)
    return found


def _autocast(torch: Any, precision: str) -> Any:
    kind = KINDS.get(precision)
    return torch.autocast("cuda", dtype=getattr(torch, kind or "float16"), enabled=kind is not None)


def _forward(torch: Any, model: Any, x: Any, precision: str) -> Any:
    model.eval()

    def run() -> None:
        with torch.inference_mode(), _autocast(torch, precision):
            model(x)

    return run


def _step(torch: Any, model: Any, x: Any, precision: str) -> Any:
    optimizer = torch.optim.SGD(model.train().parameters(), 0.001, momentum=0.9, weight_decay=0.0005)

    def run() -> None:
        optimizer.zero_grad(set_to_none=True)
        with _autocast(torch, precision):
            outputs = model(x)
        sum((output.float() ** 2).mean() for output in outputs).backward()
        optimizer.step()

    return run


def _milliseconds(torch: Any, run: Any) -> float:
    times = []
    for _ in range(30):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end))
    return float(np.median(times[10:]))
