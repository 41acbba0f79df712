# SPDX-License-Identifier: Apache-2.0
"""The binding: the only module that touches cffi.

It turns statuses into exceptions, handles into objects that free themselves, and arrays into pointers without
copying them. ``darknet.h`` documents the calls; users call :class:`pydarknet.Network`.
"""

from __future__ import annotations

import json
import operator
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np
import numpy.typing as npt

from pydarknet import __version__, errors
from pydarknet.engine import openmp
from pydarknet.engine.handle import (
    DETECTION,
    EngineOptions,
    Floats,
    Image,
    LayerInfo,
    LayerTime,
    MemoryNeed,
    NetworkInfo,
)
from pydarknet.system.nvidia import library_folders

_ROOT = Path(__file__).parents[2]
_REINSTALL = "Install the package again; in a source tree, `pip install -e .`"

try:
    with openmp.briefly_spinning_threads():
        from pydarknet.engine._ffi import ffi, lib
except ModuleNotFoundError as error:
    if error.name != "pydarknet.engine._ffi":
        raise
    raise ImportError(
        f"pydarknet was imported from its source tree ({_ROOT}), which has no compiled module. "
        "Run from another folder, or `pip install -e .` here"
    ) from None
except ImportError as error:
    raise ImportError(
        f"the compiled module of pydarknet {__version__} ({_ROOT}) does not load: {error}. {_REINSTALL}"
    ) from error

_ERRORS: dict[int, type[errors.DarknetError]] = {
    lib.DN_INVALID_ARGUMENT: errors.ArgumentError,
    lib.DN_IO: errors.FileError,
    lib.DN_CFG: errors.CfgError,
    lib.DN_WEIGHTS: errors.WeightsError,
    lib.DN_BACKEND: errors.BackendError,
    lib.DN_OUT_OF_MEMORY: errors.OutOfMemory,
}

assert DETECTION.itemsize == ffi.sizeof("dn_detection"), "darknet.h and handle.DETECTION differ; rebuild"


def check(status: int) -> None:
    """Raise the exception that belongs to a status of the engine, with the engine's message."""
    if status == lib.DN_OK:
        return
    message = text(lib.dn_last_error())
    if status == lib.DN_INTERNAL:
        message += " (a defect of pydarknet; please report it)"
    raise _ERRORS.get(status, errors.DarknetError)(message)


def text(pointer: Any) -> str:
    """A C string as str; bytes of a user's file that are not UTF-8 stay readable."""
    return str(ffi.string(pointer).decode("utf-8", "replace")) if pointer else ""


def _bytes(text: str) -> bytes:
    """A str as bytes for C; those of a user's file that are not UTF-8 become themselves again."""
    return text.encode("utf-8", "surrogateescape")


if (_built := text(lib.dn_version())) != __version__:
    raise ImportError(
        f"pydarknet {__version__} ({_ROOT}) found a compiled module of version {_built}. {_REINSTALL}"
    )

if (_abi := lib.dn_abi()) != lib.DN_ABI:
    raise ImportError(
        f"the compiled module of pydarknet {__version__} ({_ROOT}) was built for version {lib.DN_ABI} of the "
        f"engine's interface and found libdarknet.so of version {_abi}. {_REINSTALL}"
    )

if _folders := [ffi.new("char[]", os.fsencode(folder)) for folder in library_folders()]:
    check(lib.dn_library_folders(ffi.new("char *[]", _folders), len(_folders)))


def build_info() -> dict[str, Any]:
    """This build and machine as ``dn_build_info`` in ``darknet.h`` describes them."""
    info = json.loads(text(lib.dn_build_info()))
    assert isinstance(info, dict)
    return info


def backend_names() -> list[str]:
    """Names of the backends that are available here, the fastest first."""
    return [backend["name"] for backend in build_info()["backends"] if backend["available"]]


def advice(backends: list[str]) -> str:
    """Text for users of a build that has no fast backend; "" for other builds.

    Args:
        backends: names of the available ones.
    """
    if backends != ["ref"]:
        return ""
    return (
        "this build of pydarknet has only the backend ref, whose plain loops are slow: it was built without "
        "oneDNN. Install a wheel for x86-64 Linux, or install oneDNN 3 and build pydarknet with "
        "CMAKE_PREFIX_PATH set to its folder"
    )


if _advice := advice(backend_names()):
    warnings.warn(_advice, RuntimeWarning, stacklevel=2)


def compute(call: Callable[[], int]) -> None:
    """Make a call that uses OpenMP and check its status on the thread that made it."""
    openmp.computing_thread(lambda: check(call()))


# -- networks ------------------------------------------------------------------------------------------------


def memory_need(
    text: str, name: str, options: EngineOptions, *, size: tuple[int, int] = (0, 0), training: bool = False
) -> MemoryNeed:
    """Memory of a network of cfg text, without making it; ``size`` (0, 0) is that of the cfg."""
    c_options, keep = _c_options(options)
    content = _bytes(text)
    out = ffi.new("dn_memory *")
    check(lib.dn_plan_bytes(content, len(content), _bytes(name), c_options, *size, training, out))
    del keep
    return MemoryNeed(out.plan, out.parameters, out.free or None)


class EngineHandle:
    """A ``dn_network``; for one thread at a time."""

    def __init__(self, pointer: Any) -> None:
        self._pointer = ffi.gc(pointer, lib.dn_network_free)
        self._info: NetworkInfo | None = None

    @classmethod
    def load(cls, cfg: str, weights: str | None, options: EngineOptions) -> EngineHandle:
        """Load a network from files."""
        c_options, keep = _c_options(options)
        out = ffi.new("dn_network **")
        check(lib.dn_network_load(_path(cfg), _path(weights), c_options, out))
        del keep
        return cls(out[0])

    @classmethod
    def parse(cls, text: str, name: str, weights: str | None, options: EngineOptions) -> EngineHandle:
        """Load a network from cfg text; ``name`` stands for the file in messages."""
        c_options, keep = _c_options(options)
        content = _bytes(text)
        out = ffi.new("dn_network **")
        check(lib.dn_network_parse(content, len(content), _bytes(name), _path(weights), c_options, out))
        del keep
        return cls(out[0])

    def clone(self) -> EngineHandle:
        """A second network that shares the weights."""
        out = ffi.new("dn_network **")
        check(lib.dn_network_clone(self.pointer, out))
        return EngineHandle(out[0])

    @property
    def pointer(self) -> Any:
        """The C handle.

        Raises:
            ArgumentError: the network is closed.
        """
        if self._pointer is None:
            raise errors.ArgumentError("the network is closed")
        return self._pointer

    def close(self) -> None:
        """Free the network now."""
        if self._pointer is not None:
            ffi.release(self._pointer)
            self._pointer = None

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._pointer is None

    # -- what it is ------------------------------------------------------------------------------------------

    def info(self) -> NetworkInfo:
        """Sizes, counts and settings; asked for once until a call may change them."""
        pointer = self.pointer
        if self._info is None:
            out = ffi.new("dn_network_info *")
            check(lib.dn_network_get_info(pointer, out))
            values = {name: getattr(out, name) for name in NetworkInfo.__dataclass_fields__}
            texts = ("backend", "precision", "device", "precision_reason")
            values.update({name: text(values[name]) for name in texts}, letter_box=bool(out.letter_box))
            self._info = NetworkInfo(**values)
        return self._info

    def _compute(self, call: Callable[[], int]) -> None:
        """Make a call that uses OpenMP and may compile a plan, whose memory info() reports."""
        self._info = None
        compute(call)

    def layer(self, index: int) -> LayerInfo:
        """One layer."""
        out = ffi.new("dn_layer_info *")
        check(lib.dn_network_get_layer(self.pointer, index, out))
        return LayerInfo(
            index=index,
            type=text(out.type),
            where=text(out.where),
            description=text(out.description),
            inputs=tuple(ffi.unpack(out.inputs, out.input_count)) if out.input_count else (),
            in_shape=(out.in_c, out.in_h, out.in_w),
            out_shape=(out.out_c, out.out_h, out.out_w),
            is_head=bool(out.is_head),
            parameters=out.parameters,
            bflops=out.bflops,
        )

    def warnings(self) -> list[str]:
        """Warnings from loading."""
        return self._texts(lib.dn_network_warning)

    def without_effect(self) -> list[str]:
        """Keys of the cfg that are set and have an effect in Darknet only, with file and line."""
        return self._texts(lib.dn_network_without_effect)

    def _texts(self, entry: Callable[[Any, int], Any]) -> list[str]:
        found: list[str] = []
        while line := entry(self.pointer, len(found)):
            found.append(text(line))
        return found

    def array(self, layer: int, name: str) -> Floats:
        """A parameter array of a layer, flat, as a weights file holds it; empty if the layer has none."""
        count = ffi.new("size_t *")
        c_name = ffi.new("char[]", _bytes(name))
        check(lib.dn_network_get_array(self.pointer, layer, c_name, ffi.NULL, 0, count))
        out = np.empty(count[0], np.float32)
        if out.size:
            buffer = ffi.from_buffer("float[]", out)
            check(lib.dn_network_get_array(self.pointer, layer, c_name, buffer, out.size, count))
        return out

    # -- changes ---------------------------------------------------------------------------------------------

    def resize(self, width: int, height: int) -> None:
        """Change the input size."""
        self._info = None
        check(lib.dn_network_resize(self.pointer, _count("width", width), _count("height", height)))

    def set_batch(self, batch: int) -> None:
        """Change the largest batch."""
        self._info = None
        check(lib.dn_network_set_batch(self.pointer, _count("batch", batch)))

    def save_weights(self, path: str, cutoff: int) -> None:
        """Write a weights file atomically."""
        check(lib.dn_network_save_weights(self.pointer, _path(path), cutoff))

    # -- inference -------------------------------------------------------------------------------------------

    def predict(self, x: Floats, layers: Sequence[int]) -> None:
        """Run the n images of x, C-contiguous float32 (n, c, h, w); ``layers`` can be read afterwards."""
        wanted = ffi.new("int[]", list(layers)) if layers else ffi.NULL
        data = ffi.from_buffer("float[]", x)
        pointer = self.pointer
        self._compute(lambda: lib.dn_network_predict(pointer, data, len(x), wanted, len(layers)))

    def read(self, layer: int, n: int, outputs: int) -> Floats:
        """The output of a layer of the last predict() of n images, (n, outputs)."""
        out = np.empty((n, outputs), np.float32)
        check(lib.dn_network_read(self.pointer, layer, ffi.from_buffer("float[]", out), out.size))
        return out

    def detect(
        self, images: Sequence[Image], thresh: float, nms: float, letterbox: bool
    ) -> list[npt.NDArray[Any]]:
        """Detections of each image, as arrays of dtype ``DETECTION``."""
        c_images = ffi.new("dn_image[]", [_image_fields(image) for image in images])
        options = ffi.new("dn_detect_options *", (thresh, nms, letterbox))
        out = ffi.new("dn_detections **")
        pointer = self.pointer
        self._compute(lambda: lib.dn_network_detect(pointer, c_images, len(images), options, out))
        found = ffi.gc(out[0], lib.dn_detections_free)
        try:
            return [_detections_of(found, i) for i in range(len(images))]
        finally:
            ffi.release(found)

    def preprocess(self, image: Image, letterbox: bool, shape: tuple[int, int, int]) -> Floats:
        """The planes (c, h, w) that detect() would feed; ``shape`` is that of the network's input."""
        out = np.empty(shape, np.float32)
        c_image = ffi.new("dn_image *", _image_fields(image))
        buffer = ffi.from_buffer("float[]", out)
        check(lib.dn_network_preprocess(self.pointer, c_image, letterbox, buffer, out.size))
        return out

    def profile(self, capacity: int) -> list[LayerTime]:
        """Run one forward pass and time each layer."""
        times = ffi.new("dn_layer_time[]", capacity)
        count = ffi.new("int *")
        pointer = self.pointer
        self._compute(lambda: lib.dn_network_profile(pointer, times, capacity, count))
        return [LayerTime(t.layer, text(t.what), t.seconds) for t in times[0 : min(count[0], capacity)]]

    def layer_errors(self) -> list[float]:
        """Compare the two backends of a check layer by layer."""
        capacity = self.info().layers
        errors = ffi.new("double[]", capacity)
        count = ffi.new("int *")
        pointer = self.pointer
        self._compute(lambda: lib.dn_network_layer_errors(pointer, errors, capacity, count))
        return list(errors)


def _image_fields(image: Image) -> tuple[Any, ...]:
    """Values of a ``dn_image``; the array must outlive their use."""
    height, width, channels = image.pixels.shape
    data = ffi.cast("void *", image.pixels.ctypes.data)
    stride, depth = image.pixels.strides[0], image.pixels.itemsize
    return (data, width, height, channels, stride, depth, image.bgr)


def _detections_of(found: Any, image: int) -> npt.NDArray[Any]:
    count = ffi.new("int *")
    first = lib.dn_detections_of(found, image, count)
    if not count[0]:
        return np.empty(0, DETECTION)
    # The engine's array ends with its handle, so the rows are copied; they are few.
    rows: npt.NDArray[Any] = np.array(
        np.frombuffer(ffi.buffer(first, count[0] * DETECTION.itemsize), DETECTION)
    )
    return rows


def _c_options(options: EngineOptions) -> tuple[Any, Any]:
    """The struct, and the strings that it points to."""
    backend = ffi.new("char[]", _bytes(options.backend))
    precision = ffi.new("char[]", _bytes(options.precision))
    batch, threads = _count("batch", options.batch), _count("threads", options.threads)
    values = (backend, precision, batch, threads, options.strict)
    return ffi.new("dn_options *", values), (backend, precision)


def _count(name: str, value: SupportsIndex) -> int:
    """A number that the engine can judge; one that no C int holds becomes the largest or smallest."""
    try:
        number = operator.index(value)
    except TypeError:
        raise errors.ArgumentError(f"found {name} {value!r}, expected a whole number") from None
    return max(-(2**31), min(number, 2**31 - 1))


def _path(path: str | None) -> Any:
    if path is None:
        return ffi.NULL
    if "\0" in path:
        raise errors.ArgumentError(f"{path!r} is not a valid file name: it contains a NUL character")
    return ffi.new("char[]", os.fsencode(path))
