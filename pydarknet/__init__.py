# SPDX-License-Identifier: Apache-2.0
"""Train and run Darknet models (YOLOv4 and its family) from Python.

Names are imported on first use, so that ``import pydarknet`` stays quick.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydarknet import cfg as cfg
    from pydarknet import data as data
    from pydarknet.cfg import anchors as anchors
    from pydarknet.compat.yolo34py import Detector as Detector
    from pydarknet.compat.yolo34py import Image as Image
    from pydarknet.compat.yolo34py import is_compiled_with_gpu as is_compiled_with_gpu
    from pydarknet.compat.yolo34py import is_compiled_with_opencv as is_compiled_with_opencv
    from pydarknet.compat.yolo34py import set_cuda_device as set_cuda_device
    from pydarknet.engine.detections import Detections as Detections
    from pydarknet.engine.info import info as info
    from pydarknet.engine.info import libdarknet_path as libdarknet_path
    from pydarknet.engine.network import Network as Network
    from pydarknet.errors import ArgumentError as ArgumentError
    from pydarknet.errors import BackendError as BackendError
    from pydarknet.errors import CfgError as CfgError
    from pydarknet.errors import DarknetError as DarknetError
    from pydarknet.errors import DataError as DataError
    from pydarknet.errors import FileError as FileError
    from pydarknet.errors import HookError as HookError
    from pydarknet.errors import MissingExtra as MissingExtra
    from pydarknet.errors import NonFinite as NonFinite
    from pydarknet.errors import OutOfMemory as OutOfMemory
    from pydarknet.errors import WeightsError as WeightsError
    from pydarknet.evaluation.evaluate import evaluate as evaluate
    from pydarknet.evaluation.evaluation import Evaluation as Evaluation
    from pydarknet.runs.config import TrainConfig as TrainConfig
    from pydarknet.streaming.stream import detect as detect
    from pydarknet.streaming.stream import stream as stream
    from pydarknet.training import train as train

    __version__: str

#: Module of each name at run time; the imports above are the same for type checkers.
_HOMES = {
    "Network": "engine.network",
    "Detections": "engine.detections",
    "info": "engine.info",
    "libdarknet_path": "engine.info",
    "stream": "streaming.stream",
    "detect": "streaming.stream",
    "TrainConfig": "runs.config",
    "train": "training",
    "evaluate": "evaluation.evaluate",
    "Evaluation": "evaluation.evaluation",
    **dict.fromkeys(
        ("ArgumentError", "BackendError", "CfgError", "DarknetError", "DataError", "FileError", "HookError",
         "MissingExtra", "NonFinite", "OutOfMemory", "WeightsError"),
        "errors",
    ),
    # the call shape of YOLO3-4-Py, the older wrapper of this name
    **dict.fromkeys(
        ("Detector", "Image", "set_cuda_device", "is_compiled_with_gpu", "is_compiled_with_opencv"),
        "compat.yolo34py",
    ),
}  # fmt: skip
_MODULES = {"anchors": "cfg.anchors", "cfg": "cfg", "data": "data"}


def _version() -> str:
    """The version in pyproject.toml: of a source tree directly, of an installation from its metadata."""
    source = Path(__file__).parents[1] / "pyproject.toml"
    if source.is_file():
        found = re.search(r'^name = "pydarknet"\nversion = "(.+)"$', source.read_text("utf-8"), re.MULTILINE)
        if found:
            return found[1]
    from importlib import metadata

    return metadata.version("pydarknet")


if not TYPE_CHECKING:  # type checkers would take any name for one of ours
    __all__ = ["__version__", *_HOMES, *_MODULES]

    def __getattr__(name: str) -> Any:
        if name in _HOMES:
            return getattr(importlib.import_module(f"pydarknet.{_HOMES[name]}"), name)
        if name in _MODULES:
            return importlib.import_module(f"pydarknet.{_MODULES[name]}")
        if name == "__version__":
            return _version()
        raise AttributeError(f"module 'pydarknet' has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted(__all__)
