# SPDX-License-Identifier: Apache-2.0
"""Properties of a GPU as cuDNN describes them: text that lets cuDNN plan for it elsewhere."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from pydarknet.errors import BackendError

# Of cudnn_graph.h.
_DESCRIPTOR, _HANDLE, _JSON = 38, 2701, 2702
_TYPE_HANDLE, _TYPE_CHAR = 0, 24
_LONGEST = 1 << 14


def read(device: str) -> str:
    """JSON text of the device ``cuda`` or ``cuda:N``. The engine has opened the libraries.

    Raises:
        OSError: a library is not found.
        BackendError: a call failed; the message names it.
    """
    driver, cudnn = library("libcuda.so.1"), library("libcudnn.so.9")
    context, number = ctypes.c_void_p(), ctypes.c_int()
    index = int(device.partition(":")[2] or 0)
    _call(driver, "cuDeviceGet", ctypes.byref(number), index)
    _call(driver, "cuDevicePrimaryCtxRetain", ctypes.byref(context), number)
    _call(driver, "cuCtxPushCurrent_v2", context)
    handle, properties, count = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_int64()
    text = ctypes.create_string_buffer(_LONGEST)
    _call(cudnn, "cudnnCreate", ctypes.byref(handle))
    _call(cudnn, "cudnnBackendCreateDescriptor", _DESCRIPTOR, ctypes.byref(properties))
    one = ctypes.c_int64(1)
    _call(cudnn, "cudnnBackendSetAttribute", properties, _HANDLE, _TYPE_HANDLE, one, ctypes.byref(handle))
    _call(cudnn, "cudnnBackendFinalize", properties)
    room = ctypes.c_int64(_LONGEST)
    _call(cudnn, "cudnnBackendGetAttribute", properties, _JSON, _TYPE_CHAR, room, ctypes.byref(count), text)
    return text.value.decode()


def library(name: str) -> ctypes.CDLL:
    """A library of NVIDIA's: from ``PYDARKNET_CUDA_PATH``, or the one that the process has opened."""
    for folder in filter(None, os.environ.get("PYDARKNET_CUDA_PATH", "").split(":")):
        if (Path(folder) / name).is_file():
            return ctypes.CDLL(str(Path(folder) / name))
    return ctypes.CDLL(name)


def _call(where: ctypes.CDLL, name: str, *arguments: object) -> None:
    status = getattr(where, name)(*arguments)
    if status:
        raise BackendError(f"{name} returned {status}")
