# SPDX-License-Identifier: Apache-2.0
"""Weights that projects publish for the networks of the families: names and sizes."""

from __future__ import annotations

from pathlib import PurePath

from pydarknet.cfg.families import FAMILIES
from pydarknet.weights.fit import profile

_HEADER = 20  # bytes


def sizes() -> dict[str, tuple[int, str]]:
    """File name -> (size in bytes, content) of complete weights for 80 classes, and of the cut ones."""
    found = {}
    for name, family in FAMILIES.items():
        ends = profile(name)
        whole = ends[-1].floats + 79 * ends[-1].slope  # profiles have one class
        found[f"{name}.weights"] = (_HEADER + 4 * whole, f"{name}, 80 classes")
        if family.pretrained:
            file, layers = family.pretrained
            cut = next((end.floats for end in ends if end.layer == layers - 1 and not end.slope), None)
            if cut is not None:
                found.setdefault(file, (_HEADER + 4 * cut, f"the first {layers} layers of {name}"))
    return found


def hint(path: str) -> str:
    """Advice on a published file that is missing; "" for another name."""
    name = PurePath(path).name
    if name not in (known := sizes()):
        return ""
    size, content = known[name]
    return (
        f"; {name} ({content}, {size} bytes) is not part of pydarknet: download it from the project that "
        "publishes it and check the size with `pydarknet weights info`"
    )
