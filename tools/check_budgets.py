# SPDX-License-Identifier: Apache-2.0
"""Fail when a file outgrows its budget, or code outside darknet/src/backends asks for a backend's macros."""

import sys

from source_files import CPP, tracked

MAX_LINES = 450


def main() -> int:
    """Print what is over budget; exit code 1 if anything is."""
    findings = []
    for path in tracked("*.py", "*.h", *CPP):
        lines = path.read_text(encoding="utf-8").splitlines()
        if len(lines) > MAX_LINES:
            findings.append(f"{path}: {len(lines)} lines, at most {MAX_LINES}; split it")
        inside_engine = path.parts[:2] == ("darknet", "src")
        neutral = inside_engine and "backends" not in path.parts and path.stem != "build_info"
        for number, line in enumerate(lines, 1):
            if neutral and ("dnnl" in line or "DN_HAVE_" in line or "omp.h" in line):
                findings.append(f"{path}:{number}: a backend's detail outside darknet/src/backends")
    print("\n".join(findings))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
