# SPDX-License-Identifier: Apache-2.0
"""Fail when a module of pydarknet imports what its place forbids; imports inside functions count.

usage: check_imports.py [FOLDER]    FOLDER contains pydarknet/; by default the working folder
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

#: A room imports itself and rooms before it.
ROOMS = (
    "errors", "system", "engine", "data", "cfg", "weights", "logs", "streaming", "evaluation", "runs",
    "check", "training", "serving", "compat", "contrib", "cli",
)  # fmt: skip

#: Libraries, and the only modules that import them.
PLACES = {
    "pydarknet.engine._ffi": ("engine/_core.py", "engine/_trainer.py"),
    # compat/foreign.py binds a library that is not ours.
    "cffi": ("engine/_core.py", "engine/_trainer.py", "compat/foreign.py"),
    "matplotlib": ("plots.py", "system/figure_files.py"),
    **dict.fromkeys(
        ("mlflow", "mss", "onnx", "onnxruntime", "pandas", "polars", "pynvml", "ray", "supervision",
         "tensorboardX", "trackers", "yt_dlp"),
        ("contrib/*.py",),
    ),
    **dict.fromkeys(
        ("fastapi", "prometheus_client", "pydantic", "python_multipart", "starlette", "uvicorn"),
        ("serving/*.py",),
    ),
}  # fmt: skip

#: Functions that take a text.
OPENCV_TEXT = {
    f"cv2.{name}"
    for name in ("VideoCapture", "VideoWriter", "getTextSize", "imread", "imshow", "imwrite", "putText")
}

#: ``Network(library=...)`` detects through a foreign library; missing weights are reported with an address.
EXCEPTIONS = {
    ("engine/network.py", "pydarknet.compat.foreign.ForeignHandle"),
    ("engine/model_files.py", "pydarknet.weights.published.hint"),
}


def imports(node: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import; those for type checkers alone are left out."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.Import):
            yield from ((child.lineno, alias.name) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield from ((child.lineno, f"{child.module}.{alias.name}") for alias in child.names)
        yield from imports(child)


def forbidden(path: Path, name: str) -> str:
    """Why a module, a path below pydarknet/, may not import a name; "" if it may."""
    for library, places in PLACES.items():
        if f"{name}.".startswith(f"{library}.") and not any(path.match(place) for place in places):
            return f"only {' and '.join(places)} import {library}"
    top, _, rest = name.partition(".")
    own, room = path.parts[0].removesuffix(".py"), rest.partition(".")[0]
    if top != "pydarknet" or own not in ROOMS or (path.as_posix(), name) in EXCEPTIONS:
        return ""
    if room not in ROOMS:
        allowed = own == "cli" or room == "__version__"
        return "" if allowed else "a room imports modules, not the names of the package"
    if room == "contrib" and own not in ("contrib", "cli"):
        return "only cli imports contrib; use pydarknet.system.extras"
    return f"{own} stands before {room}" if ROOMS.index(room) > ROOMS.index(own) else ""


def findings(root: Path) -> Iterator[str]:
    """Violations below a folder, a line each."""
    for path in sorted((root / "pydarknet").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for line, name in imports(tree):
            if reason := forbidden(path.relative_to(root / "pydarknet"), name):
                yield f"{path.relative_to(root)}:{line}: imports {name}: {reason}"
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Attribute)
                and ast.unparse(node) in OPENCV_TEXT
                and not path.match("engine/opencv.py")
            ):
                reason = "crashes on text that is not UTF-8; use pydarknet.engine.images or opencv"
                yield f"{path.relative_to(root)}:{node.lineno}: {ast.unparse(node)} {reason}"


if __name__ == "__main__":
    found = list(findings(Path(sys.argv[1] if len(sys.argv) > 1 else ".")))
    print("\n".join(found))
    sys.exit(bool(found))
