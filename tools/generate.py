# SPDX-License-Identifier: Apache-2.0
"""Write the files made from tables: ``cfg/*.cfg``, ``docs/cfg-keys.md``, ``docs/preflight-rules.md``.

python tools/generate.py            write them
python tools/generate.py --check    say which are out of date, exit code 1 if any
"""

from __future__ import annotations

import sys
from pathlib import Path

from pydarknet.cfg import FAMILIES, new
from pydarknet.cfg.explain import reference as key_reference
from pydarknet.check import GROUPS
from pydarknet.check.reference import reference as rule_reference

ROOT = Path(__file__).resolve().parents[1]


def contents() -> dict[Path, str]:
    """Every generated file and what must be in it."""
    files = {ROOT / "cfg" / f"{name}.cfg": str(new(name)) for name in FAMILIES}
    docs = {"cfg-keys.md": key_reference(), "preflight-rules.md": rule_reference(GROUPS)}
    return files | {ROOT / "docs" / name: text for name, text in docs.items()}


def outdated() -> list[Path]:
    """Generated files that are missing or differ from what would be written now."""
    return [
        path for path, text in contents().items() if not path.is_file() or path.read_text("utf-8") != text
    ]


def main() -> int:
    if "--check" in sys.argv[1:]:
        for path in outdated():
            print(f"out of date: {path.relative_to(ROOT)}; run python tools/generate.py")
        return 1 if outdated() else 0
    for path, text in contents().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
