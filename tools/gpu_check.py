# SPDX-License-Identifier: Apache-2.0
"""Check the cuda backend on a GPU: stages in the order of their value, one JSON each, in at most 15 minutes.

    python tools/gpu_check.py --out gpu-check            # on a machine with a GPU, after a build
    python tools/gpu_check.py --out /tmp/x --rehearse    # every stage on the fakes of the test build

Each stage is a process of its own with a time limit: one that fails, crashes or hangs does not stop the next.
Writes NAME.json for each stage, with its output, and summary.json; the exit code is 0 if no stage failed.
The libraries of a rehearsal are those in BUILD/darknet/tests/fake_cuda.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MINUTES = 15.0
TAIL = 4000  # characters of a stage's output that are kept

#: Stage -> its time limit in seconds, the most valuable first; each is a function in gpu_stages.py.
STAGES = {
    "machine": 60,
    "selftest": 60,
    "ceilings": 30,
    "kernels": 120,
    "convolutions": 120,
    "layers": 150,
    "detections": 90,
    "training": 150,
    "speed": 180,
    "training_speed": 120,
    "counters": 60,
    "record": 60,
    "sanitizer": 120,
    "profile": 90,
}


def main() -> int:
    """Run the stages, or with --stage one of them in this process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="Folder of the results.")
    parser.add_argument("--build", type=Path, default=ROOT / "build/dev", help="Build with the test program.")
    parser.add_argument("--device", default="cuda", help="cuda or cuda:N.")
    parser.add_argument("--rehearse", action="store_true", help="On fakes, with small networks.")
    parser.add_argument("--only", nargs="+", choices=STAGES, default=[*STAGES], help="Stages to run.")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="Time for all stages.")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        from gpu_stages import Check

        check = Check(options.out, options.build, options.device, options.rehearse)
        print(json.dumps(getattr(check, options.stage)()))
        return 0
    options.out.mkdir(parents=True, exist_ok=True)
    results = run_stages(options)
    passed = all(one["outcome"] in ("passed", "not possible") for one in results)
    table = {"passed": passed, "rehearsal": options.rehearse, "stages": results}
    (options.out / "summary.json").write_text(json.dumps(table, indent=1) + "\n", "utf-8")
    return 0 if passed else 1


def run_stages(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Run each stage in its own process; returns name, outcome, seconds and reason of each."""
    end, results = time.monotonic() + 60 * options.minutes, []
    for name in options.only:
        limit = min(STAGES[name], end - time.monotonic())
        found = run_stage(name, limit, options) if limit > 1 else _result("not run", reason="no time is left")
        (options.out / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        results.append({"stage": name, **{key: found[key] for key in ("outcome", "seconds", "reason")}})
        print(f"{found['outcome']:12} {name:14} {found['seconds']:6.1f} s  {found['reason']}", flush=True)
    return results


def run_stage(name: str, limit: float, options: argparse.Namespace) -> dict[str, Any]:
    """Run one stage.

    Returns:
        ``outcome`` (``passed``, ``failed``, or ``not possible`` where something is missing), ``reason``,
        ``seconds``, ``result`` of the stage, and the end of its ``output``.
    """
    command = [sys.executable, __file__, "--stage", name, "--device", options.device]
    command += ["--out", str(options.out.resolve()), "--build", str(options.build.resolve())]
    command += ["--rehearse"] * options.rehearse
    begun = time.monotonic()
    try:
        done = subprocess.run(
            command, env=environment(options), capture_output=True, text=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired as error:
        output = (error.stderr or b"").decode("utf-8", "replace")
        reason = f"not done after {limit:.0f} s"
        return _result("failed", limit, reason, output=output)
    seconds = time.monotonic() - begun
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return _result("failed", seconds, lines[-1][:300], output=done.stderr)
    result = json.loads(done.stdout.splitlines()[-1])
    outcome, reason = result.pop("outcome"), result.pop("reason", "")
    return _result(outcome, seconds, reason, result, done.stderr)


def environment(options: argparse.Namespace) -> dict[str, str]:
    """Environment of the stages: the package of this tree if it is built there; in a rehearsal the fakes."""
    values = dict(os.environ)
    if any((ROOT / "pydarknet/engine").glob("_ffi.*so")):
        values["PYTHONPATH"] = os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))
    if options.rehearse:
        values["PYDARKNET_CUDA_PATH"] = str(options.build.resolve() / "darknet/tests/fake_cuda")
        values["XDG_CACHE_HOME"] = str(options.out.resolve() / "cache")
    return values


def _result(
    outcome: str,
    seconds: float = 0.0,
    reason: str = "",
    result: dict[str, Any] | None = None,
    output: str = "",
) -> dict[str, Any]:
    measured = {"outcome": outcome, "reason": reason, "seconds": round(seconds, 2)}
    return {**measured, "result": result or {}, "output": output[-TAIL:]}


if __name__ == "__main__":
    sys.exit(main())
