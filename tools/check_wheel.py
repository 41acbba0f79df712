# SPDX-License-Identifier: Apache-2.0
"""Fail when the wheel that pip installed contains more than the package, or paths of the building machine.

usage: PYTHON tools/check_wheel.py    PYTHON is that of the environment pydarknet is installed in
"""

import sys
from collections.abc import Iterator
from importlib.metadata import PackagePath, distribution
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: Folders of a build: the sources, the user's, and those that pip makes.
BUILD_PATHS = (f"{ROOT}/", f"{Path.home()}/", "/pip-build-env-", "/pip-req-build-")
#: Written by pip when it installs.
OF_PIP = ("direct_url.json", "RECORD")
NEEDED = ("pydarknet/__init__.py", "pydarknet/engine/libdarknet.so", "pydarknet/engine/include/darknet.h")


def findings(files: list[PackagePath]) -> Iterator[str]:
    """Errors in the files of the wheel, a line each."""
    for file in files:
        top = file.parts[0]
        if top != "pydarknet" and not top.endswith(".dist-info"):
            yield f"{file}: not part of the package"
        elif "tests" in file.parts:
            yield f"{file}: a test"
        content = Path(str(file.locate())).read_bytes()
        yield from (f"{file}: contains {path}" for path in BUILD_PATHS if path.encode() in content)
    names = {file.as_posix() for file in files}
    yield from (f"{name}: missing" for name in NEEDED if name not in names)


def main() -> int:
    """Print the findings; exit code 1 if there are any."""
    made = ("..", *OF_PIP)  # commands are written outside the packages
    files = [
        file
        for file in distribution("pydarknet").files or []
        if file.parts[0] not in made and file.name not in made and file.suffix != ".pyc"
    ]
    found = list(findings(files))
    print("\n".join(found))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
