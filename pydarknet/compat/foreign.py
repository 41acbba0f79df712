# SPDX-License-Identifier: Apache-2.0
"""Detection through a libdarknet.so built upstream: the handle behind ``Network(..., library=...)``.

The size of records differs between versions, so it is measured on a forward pass. The library keeps its
behaviour: it prints, and it ends the process on files that it cannot use. Therefore the files are checked
here first.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from cffi import FFI

from pydarknet.cfg import CfgFile
from pydarknet.engine.handle import DETECTION, EngineOptions, Image, NetworkInfo
from pydarknet.errors import ArgumentError, BackendError, CfgError, FileError

ffi = FFI()
ffi.cdef(
    """
    typedef struct { int w, h, c; float *data; } image;
    void *load_network_custom(char *cfg, char *weights, int clear, int batch);
    void free_network_ptr(void *net);
    float *network_predict_ptr(void *net, float *input);
    float *network_predict_image(void *net, image im);
    float *network_predict_image_letterbox(void *net, image im);
    void *get_network_boxes(void *net, int w, int h, float thresh, float hier, int *map, int relative,
                            int *num, int letter);
    void free_detections(void *dets, int n);
    void do_nms_sort(void *dets, int total, int classes, float thresh);
    void diounms_sort(void *dets, int total, int classes, float thresh, int kind, float beta1);
    char *dn_last_error(void);
    """
)

RECORD_SIZES = (56, 64, 88, 96)
"""Of a ``detection`` in the versions since 2019-11; box, classes and prob have the same offsets in all."""
_CLASSES, _PROB = 16, 24  # offsets in a record
_NMS_KINDS = {"default": 0, "greedynms": 1, "diounms": 2, "cornersnms": 3}


class ForeignHandle:
    """A network of a foreign library, which detects: a :class:`pydarknet.engine.handle.Handle`.

    Args:
        library: path of the shared library.
        cfg: path of the cfg.
        weights: path of the weights.
        options: of the engine, which is not used: ``batch`` is reported by ``info`` (images run one by one),
            the others must have their defaults.

    Raises:
        ArgumentError: an option that only the engine has.
        BackendError: the library cannot be loaded, lacks a function, or has records of unknown size.
        CfgError: the cfg is malformed, has no head, or the library refuses it.
        FileError: a file is missing.
    """

    def __init__(self, library: str, cfg: str, weights: str | None, options: EngineOptions) -> None:
        self._library = library
        self._net: Any = None
        given = {"backend": options.backend, "precision": options.precision, "threads": options.threads}
        for name, value in given.items():
            if value not in ("auto", 0):
                raise ArgumentError(
                    f"found {name}={value!r}, which {library} does not support; only pydarknet's engine does"
                )
        self._lib = _open(library)
        self._info, self._nms = _read_cfg(cfg, Path(library).name, options.batch)
        for path in (cfg, weights):
            if not path or not Path(path).is_file():
                raise FileError(f"{path}: file not found; {library} would end the process")
        assert weights is not None
        self._net = self._lib.load_network_custom(os.fsencode(cfg), os.fsencode(weights), 1, 1)
        if self._net == ffi.NULL:
            raise CfgError(f"{library}: cannot load {cfg} with {weights}{self._reason()}")
        self._size = self._measure()

    def close(self) -> None:
        """Free the network now."""
        if not self.closed:
            self._lib.free_network_ptr(self._net)
            self._net = None

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._net is None

    def info(self) -> NetworkInfo:
        """Facts from the cfg; values that only the engine knows are 0."""
        if self.closed:
            raise ArgumentError("the network is closed")
        return self._info

    def warnings(self) -> list[str]:
        """Empty: the library prints its own."""
        return []

    def detect(
        self, images: Sequence[Image], thresh: float, nms: float, letterbox: bool
    ) -> list[npt.NDArray[Any]]:
        """Detections of each image, as arrays of dtype ``DETECTION``."""
        if self.closed:
            raise ArgumentError("the network is closed")
        for name, value in (("thresh", thresh), ("nms", nms)):
            if not 0 <= value <= 1:
                raise ArgumentError(f"found {name} {value}, expected 0 to 1")
        return [self._detect(image, thresh, nms, letterbox) for image in images]

    def _detect(self, image: Image, thresh: float, nms: float, letterbox: bool) -> npt.NDArray[Any]:
        planes = _planes(image)
        channels, height, width = planes.shape
        c_image = ffi.new("image *", (width, height, channels, ffi.from_buffer("float[]", planes)))[0]
        predict = "network_predict_image_letterbox" if letterbox else "network_predict_image"
        if getattr(self._lib, predict)(self._net, c_image) == ffi.NULL:
            raise BackendError(f"{self._library}: the prediction failed{self._reason()}")
        count = ffi.new("int *")
        dets = self._lib.get_network_boxes(
            self._net, width, height, thresh, 0.5, ffi.NULL, 1, count, int(letterbox)
        )
        try:
            kind, beta = self._nms
            if nms and kind:
                self._lib.diounms_sort(dets, count[0], self._info.classes, nms, kind, beta)
            elif nms:
                self._lib.do_nms_sort(dets, count[0], self._info.classes, nms)
            return self._rows(dets, count[0], width, height)
        finally:
            self._lib.free_detections(dets, count[0])

    def _rows(self, dets: Any, count: int, width: int, height: int) -> npt.NDArray[Any]:
        """All (box, class) with a probability above 0, in the library's order.

        Records are relative to the image, because NMS measures distances in them; rows are in its pixels.
        """
        base = ffi.cast("char *", dets)
        rows = []
        for i in range(count):
            record = base + i * self._size
            prob = np.frombuffer(
                ffi.buffer(ffi.cast("float **", record + _PROB)[0], 4 * self._info.classes), np.float32
            )
            x, y, w, h = ffi.unpack(ffi.cast("float *", record), 4)
            left, top = (x - w / 2) * width, (y - h / 2) * height
            corners = (left, top, left + w * width, top + h * height)
            rows += [(corners, prob[c], c, i) for c in np.flatnonzero(prob > 0)]
        return np.array(rows, DETECTION)

    def _measure(self) -> int:
        """Size of the library's records: the one for which every record contains the number of classes."""
        noise = np.random.default_rng(0).random(
            (self._info.channels, self._info.height, self._info.width), np.float32
        )
        self._lib.network_predict_ptr(self._net, ffi.from_buffer("float[]", noise))
        count = ffi.new("int *")
        dets = self._lib.get_network_boxes(self._net, 1, 1, 0.0, 0.5, ffi.NULL, 1, count, 0)
        smallest, largest = min(RECORD_SIZES), max(RECORD_SIZES)
        records = min(20, count[0] * smallest // largest)  # at least these are in the block
        base = ffi.cast("char *", dets)
        sizes = [
            size
            for size in RECORD_SIZES
            if records > 1
            and all(
                ffi.cast("int *", base + i * size + _CLASSES)[0] == self._info.classes for i in range(records)
            )
        ]
        self._lib.free_detections(dets, count[0])
        if len(sizes) != 1:
            found = " or ".join(map(str, sizes)) or "none of these"
            raise BackendError(
                f"{self._library}: unknown layout of detections; expected records of "
                f"{', '.join(map(str, RECORD_SIZES))} bytes; {found} fit"
            )
        return sizes[0]

    def _reason(self) -> str:
        try:
            text = ffi.string(self._lib.dn_last_error()).decode("utf-8", "replace")
        except AttributeError:  # only pydarknet's own library has it
            return ""
        return f": {text}" if text else ""


def _open(library: str) -> Any:
    # Deep binding, if available, keeps a library's `error` and similar names apart from those of libc.
    flags = ffi.RTLD_NOW | getattr(ffi, "RTLD_DEEPBIND", 0)
    try:
        lib = ffi.dlopen(library, flags)
    except OSError as error:
        raise BackendError(f"{library}: cannot be loaded: {error}") from None
    for name in ("network_predict_ptr", "load_network_custom", "get_network_boxes", "diounms_sort"):
        if not hasattr(lib, name):
            raise BackendError(
                f"{library}: has no function {name}; expected a Darknet library of AlexeyAB's or hank-ai's "
                "line, built since 2020"
            )
    return lib


def _read_cfg(path: str, backend: str, batch: int) -> tuple[NetworkInfo, tuple[int, float]]:
    """Facts about the network from its cfg, and kind and beta of its NMS."""
    cfg = CfgFile.load(path)
    if cfg.problems:
        raise CfgError(str(cfg.problems[0]))
    heads = [s for s in cfg.layers if s.type in ("yolo", "gaussian_yolo", "region", "detection")]
    if not heads:
        raise CfgError(f"{path}: has no detection head, but a network of a foreign library only detects")
    net, head = cfg.net, heads[-1]
    kind = (head.get("nms_kind") or "default").strip()
    if kind not in _NMS_KINDS:
        raise head.error("nms_kind", f"found {kind!r}, expected one of {', '.join(_NMS_KINDS)}")
    info = NetworkInfo(
        layers=len(cfg.layers),
        batch=batch,
        threads=os.cpu_count() or 1,
        width=net.integer("width"),
        height=net.integer("height"),
        channels=net.integer("channels", 3),
        stride=1,
        classes=head.integer("classes", 20),
        letter_box=bool(net.integer("letter_box", 0)),
        layers_loaded=len(cfg.layers),
        seen=0,
        parameters=0,
        bflops=0.0,
        activation_bytes=0,
        backend=backend,
        precision="fp32",
        device="",
        precision_reason="",
    )
    return info, (_NMS_KINDS[kind], head.number("beta_nms", 0.6))


def _planes(image: Image) -> npt.NDArray[np.float32]:
    """float32 (c, h, w), 0..1, red first."""
    pixels = image.pixels
    if image.bgr and pixels.shape[2] >= 3:
        pixels = pixels[:, :, [2, 1, 0, *range(3, pixels.shape[2])]]
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32)
    planes /= np.float32(np.iinfo(pixels.dtype).max)
    return planes
