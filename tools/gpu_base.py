# SPDX-License-Identifier: Apache-2.0
"""Reports, networks and settings that the stages of gpu_check.py share."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydarknet.cfg.edit import copy
from pydarknet.cfg.model import CfgFile
from pydarknet.engine._core import build_info

ROOT = Path(__file__).resolve().parents[1]
Report = dict[str, Any]


def impossible(reason: str) -> Report:
    """The report of a stage that this machine or version cannot run."""
    return {"outcome": "not possible", "reason": reason}


def judged(failures: list[str], **numbers: Any) -> Report:
    """The report of a stage that ran."""
    return {"outcome": "failed" if failures else "passed", "reason": "; ".join(failures[:3]), **numbers}


@dataclass(frozen=True)
class Stages:
    """Machine and settings that the stages share.

    Attributes:
        out: folder for their files.
        build: build folder with the engine's test program.
        device: that is checked.
        rehearse: small networks and few repetitions, for the fakes.
    """

    out: Path
    build: Path
    device: str
    rehearse: bool

    def networks(self) -> Iterator[CfgFile]:
        """Networks to compute: published ones, in a rehearsal a small input of the smallest."""
        for name, size in (("yolov4-tiny", 416), ("yolov4", 608)):
            cfg = copy(CfgFile.load(ROOT / f"cfg/{name}.cfg"))
            cfg.path = f"{name}.cfg"
            for key in ("width", "height"):
                cfg.net.set(key, 32 if self.rehearse else size)
            yield cfg
            if self.rehearse:
                return

    def saved(self, cfg: CfgFile) -> str:
        path = self.out / Path(cfg.path).name
        path.write_text(str(cfg), "utf-8")
        return str(path)

    def precisions(self) -> list[str]:
        """Precisions of the cuda backend here."""
        found = next((one for one in build_info()["backends"] if one["name"] == "cuda"), {})
        return [one["name"] for one in found.get("precisions", ())]


def run_tool(command: list[str], seconds: float = 20) -> str:
    """The output of a program of NVIDIA's, with its exit code if that is not 0."""
    if not shutil.which(command[0]):
        return f"{command[0]} is not installed"
    run: Callable[..., Any] = subprocess.run
    done = run(command, capture_output=True, text=True, timeout=seconds, check=False)
    code = f"\nexit code {done.returncode}" if done.returncode else ""
    return f"{done.stdout}{done.stderr}"[-4000:] + code
