# SPDX-License-Identifier: Apache-2.0
"""Train and run Darknet models (YOLOv4 and its family) from Python.

Names are loaded on first use, so that ``import pydarknet`` stays quick.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_EXPORTS = {
    "Network": "engine.network",
    "Detections": "engine.detections",
    "stream": "streaming.stream",
    "detect": "streaming.stream",
    "info": "engine.info",
    "libdarknet_path": "engine.info",
    "ArgumentError": "errors",
    "FileError": "errors",
    "CfgError": "errors",
    "WeightsError": "errors",
    "DataError": "errors",
    "BackendError": "errors",
    "DarknetError": "errors",
    "MissingExtra": "errors",
    "OutOfMemory": "errors",
    # the call shape of YOLO3-4-Py, the older wrapper of this name
    "Detector": "compat.yolo34py",
    "Image": "compat.yolo34py",
    "set_cuda_device": "compat.yolo34py",
    "is_compiled_with_gpu": "compat.yolo34py",
    "is_compiled_with_opencv": "compat.yolo34py",
    "NonFinite": "errors",
    "TrainConfig": "training",
    "train": "training",
    "evaluate": "evaluation.evaluate",
    "Evaluation": "evaluation.evaluation",
}

_MODULES = {"anchors": "cfg.anchors", "cfg": "cfg", "data": "data"}

__all__ = ["__version__", *_EXPORTS, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(importlib.import_module(f"pydarknet.{_EXPORTS[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"pydarknet.{_MODULES[name]}")
    raise AttributeError(f"module 'pydarknet' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
