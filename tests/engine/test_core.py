# SPDX-License-Identifier: Apache-2.0
"""The binding: its types match the compiled module, and no other module uses it."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pydarknet import Network
from pydarknet.engine import _core
from pydarknet.engine._ffi import ffi, lib
from pydarknet.engine.handle import Image
from pydarknet.errors import ArgumentError

PACKAGE = Path(_core.__file__).parent


def stub_names(class_name: str) -> set[str]:
    tree = ast.parse((PACKAGE / "_ffi.pyi").read_text())
    (found,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == class_name)
    names = set()
    for node in found.body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return names


def test_the_stub_names_what_was_compiled() -> None:
    assert stub_names("_Lib") == {name for name in dir(lib) if name.startswith(("dn_", "DN_"))}
    assert {name for name in stub_names("_FFI") if not hasattr(ffi, name)} == set()


def test_detections_are_read_in_place() -> None:
    offsets = {name: ffi.offsetof("dn_detection", name) for name in ("x1", "confidence", "class_id", "box")}  # type: ignore[attr-defined]
    fields = _core.DETECTION.fields
    assert fields is not None
    assert offsets == {
        "x1": fields["xyxy"][1],
        "confidence": fields["confidence"][1],
        "class_id": fields["class_id"][1],
        "box": fields["box"][1],
    }


def test_only_the_binding_touches_cffi() -> None:
    users = {path.name for path in PACKAGE.rglob("*.py") if "pydarknet.engine._ffi" in path.read_text()}
    assert users == {"_core.py", "_trainer.py"}


def test_every_status_has_its_exception() -> None:
    header = (Path(__file__).parents[2] / "darknet" / "include" / "darknet.h").read_text()
    statuses = set(re.findall(r"\b(DN_\w+) = \d", header.split("} dn_status;")[0].split("typedef enum")[-1]))
    assert len(statuses) == 8
    failures = statuses - {"DN_OK", "DN_INTERNAL"}  # a defect is a plain DarknetError
    assert {getattr(lib, name) for name in failures} == set(_core._ERRORS)


def test_build_info_names_the_backends() -> None:
    info = _core.build_info()
    backends = {backend["name"]: backend for backend in info["backends"]}
    assert {"cpu", "ref"} <= set(backends)
    assert backends["ref"]["precisions"] == [{"name": "fp32", "reason": ""}]
    for backend in info["backends"]:
        assert backend["available"] == (backend["reason"] == "")
        if backend["available"]:
            assert backend["auto"]["name"] in {precision["name"] for precision in backend["precisions"]}
    assert _core.backend_names() == [backend["name"] for backend in info["backends"] if backend["available"]]
    assert {"compiler", "onednn", "openmp", "cpu_features"} <= set(info)


@pytest.mark.parametrize("change", ["resize", "batch", "detect"])
def test_outputs_go_with_the_plan_that_computed_them(tiny: Callable[..., Network], change: str) -> None:
    with tiny(backend="ref") as network, network._turns.engine() as handle:
        handle.predict(np.zeros((1, 1, 4, 4), np.float32), [0] if change == "detect" else [1])
        if change == "resize":
            handle.resize(8, 8)
        elif change == "batch":
            handle.set_batch(2)
        else:
            handle.detect([], 0.5, 0.45, False)  # compiles for the heads, then has no image to run
        with pytest.raises(ArgumentError, match="layer 1 was not asked for in the last prediction"):
            handle.read(1, 1, handle.layer(1).outputs)


def test_facts_are_asked_for_again_after_each_change(tiny: Callable[..., Network]) -> None:
    with tiny(backend="ref") as network, network._turns.engine() as handle:
        before = handle.info()
        assert handle.info() is before
        assert before.activation_bytes == 0
        handle.predict(np.zeros((1, 1, 4, 4), np.float32), [])
        small = handle.info()
        assert small.activation_bytes > 0
        handle.resize(8, 8)
        assert (handle.info().width, handle.info().height) == (8, 8)
        handle.detect([Image(np.zeros((8, 8, 1), np.uint8), bgr=True)], 0.5, 0.45, letterbox=False)
        assert handle.info().activation_bytes > small.activation_bytes
        handle.set_batch(3)
        assert handle.info().batch == 3
        handle.profile(20)
        assert handle.info().activation_bytes > 0


def test_a_build_without_a_fast_backend_says_so() -> None:
    assert "install oneDNN 3 and build pydarknet" in _core.advice(["ref"])
    for fast in (["cpu", "ref"], ["cuda", "ref"], _core.backend_names()):
        assert _core.advice(fast) == ""
