# SPDX-License-Identifier: Apache-2.0
"""State of a run as JSON values, read from the files in its folder, for the live page and the report.

Any file may be missing, cut short, or from another version; unreadable parts are left out.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from pathlib import Path
from typing import Any

from pydarknet.cfg import CfgFile
from pydarknet.errors import CfgError, FileError
from pydarknet.runs.folder import RunFolder
from pydarknet.runs.rows import Rows

LOG_LINES = 60
FINDINGS = 100
SPEED_OVER = 50  # iterations in the mean of the speed
CELLS = 25  # names in the largest confusion matrix shown as a table; larger ones are shown as a plot
LINES = 7  # most classes with curves of their own
MATRIX = "confusion.png"

#: Images and plots to show, with their captions; no other image is read.
IMAGES: dict[str, str] = {
    **{
        f"val_{number}.jpg": f"Validation images {number}: labels on the left, predictions on the right"
        for number in range(16)
    },
    **{
        f"train_batch{number}.jpg": f"Training batch {number}, as input to the network" for number in range(3)
    },
    MATRIX: "Confusion matrix: columns are labels, rows are detections",
    "worst.jpg": "Validation images with the most errors",
    "labels.png": "Labels: boxes per class, their positions and sizes, boxes per image",
}

#: Columns that the page draws.
CURVES = (
    "loss",
    "avg_loss",
    "rate",
    "iou",
    "images_per_second",
    "rss_mb",
    "gpu_mb",
    "cpu_percent",
    "gpu_percent",
    "gpu_celsius",
    "stall",
    "read_mb",
    "written_mb",
)

_KINDS = {
    "finished": "done",
    "early-stop": "done",
    "overfit-stop": "done",
    "nothing-to-do": "done",
    "signal": "stopped",
    "time-limit": "stopped",
}


class RunState:
    """Reader of a run, for repeated reads.

    Args:
        folder: of the run; need not exist yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._rows = Rows(folder / "results.jsonl")
        self._evaluations: dict[str, tuple[int, dict[str, Any]]] = {}

    def read(self) -> dict[str, Any]:
        """Read the present state as JSON values; missing parts are None or empty."""
        self._rows.update()
        run = _json(self.folder / "run.json")
        config = _table(run.get("config"))
        cfg, status = self._cfg(config), self._status(run)
        evaluation, best = (self._evaluation(name) for name in ("evaluation.json", "evaluation_best.json"))
        return {
            "name": self.folder.absolute().name,
            "now": time.time(),
            **status,
            "progress": self._progress(cfg),
            "curves": self._rows.curves(CURVES),
            "evaluations": self._rows.evaluations,
            "evaluation": evaluation,
            "best_evaluation": best,
            # The summary of an earlier session does not describe the running one.
            "summary": {} if status["kind"] == "running" else _json(self.folder / "summary.json"),
            "findings": self._findings(),
            "checks": _tables(_json(self.folder / "preflight.json").get("findings")),
            "images": self._images(tabled="confusion" in (best or evaluation)),
            "log": self._log(),
            "settings": self._settings(config, cfg),
            "environment": self._environment(run),
        }

    # -- parts

    def _cfg(self, config: dict[str, Any]) -> CfgFile | None:
        named = Path(str(config.get("cfg", ""))).name.partition(".")[0]
        for path in (self.folder / f"{named}.cfg", *sorted(self.folder.glob("*.cfg"))):
            with contextlib.suppress(CfgError, FileError, OSError):
                return CfgFile.load(path)
        return None

    def _status(self, run: dict[str, Any]) -> dict[str, Any]:
        """Status; ``kind`` is preparing, running, done, stopped, failed or lost."""
        sessions = _tables(run.get("sessions"))
        session = sessions[-1] if sessions else {}
        found: dict[str, Any] = {
            "started": sessions[0].get("started") if sessions else None,
            "ended": session.get("ended"),
            "sessions": len(sessions),
            "reason": session.get("reason"),
            "error": "",
        }
        if session.get("ended"):
            kind = _KINDS.get(str(session.get("reason")), "failed")
            crash = _json(self.folder / "crash.json") if kind == "failed" else {}
            return {**found, "kind": kind, "error": str(crash.get("error", ""))}
        if not session or RunFolder(self.folder).owner():
            return {**found, "kind": "running" if len(self._rows) else "preparing"}
        return {
            **found,
            "kind": "lost",
            "error": "The process ended without writing a result: it was killed, or the machine went down.",
        }

    def _progress(self, cfg: CfgFile | None) -> dict[str, Any]:
        rows, last = self._rows, self._rows.last
        best = max(rows.evaluations, key=lambda e: (_number(e["map"]), e["iteration"]), default={})
        return {
            "iteration": last.get("iteration", 0),
            "max_batches": _net(cfg, "max_batches"),
            "images": last.get("images"),
            "loss": last.get("loss"),
            "avg_loss": last.get("avg_loss"),
            "rate": last.get("rate"),
            "hours_left": last.get("hours_left"),
            "hours": rows.total("seconds") / 3600,
            "images_per_second": rows.mean("images_per_second", SPEED_OVER),
            "seconds": rows.mean("seconds", SPEED_OVER),
            "stall": last.get("stall"),
            "last_map": rows.evaluations[-1]["map"] if rows.evaluations else None,
            "best_map": best.get("map"),
            "best_iteration": best.get("iteration"),
            "rss_mb": last.get("rss_mb"),
        }

    def _findings(self) -> list[dict[str, Any]]:
        """Findings of the runtime diagnostics, the newest first."""
        found: list[dict[str, Any]] = []
        with contextlib.suppress(OSError):
            for line in (self.folder / "findings.jsonl").read_text("utf-8", "replace").splitlines():
                with contextlib.suppress(ValueError, TypeError):
                    found.append({"severity": "warning", **_loads(line)})
        return found[::-1][:FINDINGS]

    def _evaluation(self, name: str) -> dict[str, Any]:
        """Parts of an evaluation to show; with 1000 classes the whole would be megabytes at every read."""
        try:
            version = (self.folder / name).stat().st_mtime_ns
        except OSError:
            return {}
        known = self._evaluations.get(name)
        if known is None or known[0] != version:
            self._evaluations[name] = known = version, _shown(_json(self.folder / name))
        return known[1]

    def _images(self, tabled: bool) -> list[dict[str, Any]]:
        found = []
        for name, caption in IMAGES.items():
            if name == MATRIX and tabled:
                continue
            with contextlib.suppress(OSError):
                version = (self.folder / name).stat().st_mtime_ns
                found.append({"name": name, "caption": caption, "version": str(version)})
        return found

    def _log(self) -> str:
        """Last lines of ``train.log``."""
        with contextlib.suppress(OSError), (self.folder / "train.log").open("rb") as file:
            file.seek(max(file.seek(0, 2) - 200 * LOG_LINES, 0))
            lines = file.read().decode("utf-8", "replace").splitlines()
            return "\n".join([line for line in lines if line.strip()][-LOG_LINES:])
        return ""

    def _settings(self, config: dict[str, Any], cfg: CfgFile | None) -> dict[str, dict[str, str]]:
        given = {name: _text(value) for name, value in config.items() if value not in (None, [], "", False)}
        net = {option.key: option.value for option in cfg.net.options} if cfg else {}
        return {"command line": given, "[net]": net}

    def _environment(self, run: dict[str, Any]) -> dict[str, str]:
        last = (_tables(run.get("sessions")) or [{}])[-1]
        found = {
            "folder": str(self.folder.absolute()),
            "host": last.get("host"),
            "command": " ".join(map(str, _list(last.get("command")))),
            **_table(run.get("versions")),
            **_table(run.get("machine")),
        }
        return {name: _text(value) for name, value in found.items() if value}


def _json(path: Path) -> dict[str, Any]:
    """Read a JSON object; {} if there is none."""
    try:
        return _table(_loads(path.read_text("utf-8")))
    except (OSError, ValueError):
        return {}


def _loads(text: str) -> Any:
    """Parse JSON; nan and infinities, which browsers reject, become None."""
    return json.loads(text, parse_constant=lambda _: None)


def _shown(evaluation: dict[str, Any]) -> dict[str, Any]:
    """Evaluation without the parts that are too large to show."""
    found = dict(evaluation)
    if len(_list(_table(found.get("confusion")).get("names"))) > CELLS:
        del found["confusion"]
    curves = _table(found.get("curves"))
    if len(_list(curves.get("classes"))) > LINES:
        found["curves"] = {**curves, "classes": []}
    return found


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _tables(value: Any) -> list[dict[str, Any]]:
    return [row for row in _list(value) if isinstance(row, dict)]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _net(cfg: CfgFile | None, key: str) -> int | None:
    with contextlib.suppress(CfgError):
        return cfg.net.integer(key) if cfg else None
    return None


def _number(value: Any) -> float:
    return value if isinstance(value, (int, float)) and math.isfinite(value) else -math.inf
