# SPDX-License-Identifier: Apache-2.0
"""Summary of ``pydarknet detect``, as text or JSON."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from pydarknet.cli._impl.detect_engine import Spread
from pydarknet.streaming import compare
from pydarknet.streaming.outputs import Output
from pydarknet.streaming.result import Result
from pydarknet.streaming.stream import Stream


class DetectSummary:
    """Counts and written files of a detection."""

    def __init__(self) -> None:
        self.written: list[str] = []
        self.counts: dict[str, int] = {}
        self.first: Any = None
        self.compared = False
        self.difference: compare.LayerDifference | None = None

    def close(self, output: Output | compare.Differences) -> None:
        """Close an output and keep its message."""
        if line := output.close():
            self.written.insert(0, line)

    def add(self, result: Result) -> None:
        """Count a result."""
        if self.first is None:
            self.first = result.frame.image
        for name in result.detections.labels:
            self.counts[name] = self.counts.get(name, 0) + 1

    def text(self, results: Stream | Spread, failed: int, *, as_json: bool) -> str:
        """Lines of text, or one JSON object."""
        stats = results.stats
        values: dict[str, Any] = {
            "frames": stats.frames,
            "failed": failed,
            "objects": sum(self.counts.values()),
            "classes": self.counts,
            "seconds": round(stats.seconds, 3),
            "fps": round(stats.fps, 2),
        }
        unit = "frame" if stats.frames == 1 else "frames"
        lines = [f"{stats.frames} {unit} in {stats.seconds:.1f} s ({stats.fps:.1f} fps)"]
        if results.live:
            p50, p95, worst = (stats.latency(q) * 1e3 for q in (0.5, 0.95, 1))
            values["latency_ms"] = {"p50": round(p50, 1), "p95": round(p95, 1), "max": round(worst, 1)}
            values["dropped"], values["lost"] = stats.dropped, stats.lost
            lines.append(f"latency {p50:.0f} ms (95 %: {p95:.0f} ms, worst: {worst:.0f} ms)")
            lines.append(f"{stats.dropped} frames dropped, {stats.lost} times lost")
        if self.compared:
            values["first_difference"] = self._difference_values()
            lines.append(self._difference_text())
        values["written"] = self.written
        return json.dumps(values, ensure_ascii=False) if as_json else "\n".join([*lines, *self.written])

    def _difference_values(self) -> dict[str, Any] | None:
        if self.difference is None:
            return None
        return {field.name: getattr(self.difference, field.name) for field in fields(self.difference)}

    def _difference_text(self) -> str:
        found = self.difference
        if found is None:
            return "no layer's output differs"
        layer = "the input" if found.layer < 0 else f"layer {found.layer}"
        size = "" if found.largest == float("inf") else f" (by {found.largest:.1%} of its largest value)"
        return f"first difference: {layer}{size}\n  A: {found.a}\n  B: {found.b}"
