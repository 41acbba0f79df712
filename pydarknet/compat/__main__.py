# SPDX-License-Identifier: Apache-2.0
"""``python -m pydarknet.compat script.py ...``: run a script with pydarknet's ``darknet`` module."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from pydarknet.compat import install


def main() -> None:
    """Run the script that is the first argument; the rest are its arguments."""
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        print("usage: python -m pydarknet.compat SCRIPT.py [ARGUMENT]...", file=sys.stderr)
        sys.exit(2)
    del sys.argv[0]
    if not Path(sys.argv[0]).is_file():
        sys.exit(f"error: {sys.argv[0]}: file not found; expected a Python script")
    install()
    sys.path[0] = str(Path(sys.argv[0]).resolve().parent)  # as Python does for a script
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
