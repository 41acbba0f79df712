# SPDX-License-Identifier: Apache-2.0
"""A loaded network: detection, prediction, resizing, cloning."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from pydarknet.engine._core import EngineHandle
from pydarknet.engine._trainer import LossReport, losses
from pydarknet.engine.detections import Detections
from pydarknet.engine.devices import backend_on
from pydarknet.engine.forward import outputs_of
from pydarknet.engine.handle import EngineOptions, Handle, Image, LayerInfo, LayerTime, NetworkInfo
from pydarknet.engine.hinted import Hinting, hinted
from pydarknet.engine.images import ImageLike, load
from pydarknet.engine.layer_table import default_outputs, layer_table, network_html
from pydarknet.engine.model_files import found_files, saying_where_from
from pydarknet.engine.names import names_for, usable_names_beside
from pydarknet.engine.selection import Classes, Selection
from pydarknet.engine.trainer import Trainer
from pydarknet.engine.turns import Turns
from pydarknet.errors import ArgumentError
from pydarknet.system import html
from pydarknet.system.closing import Closing

_log = logging.getLogger("pydarknet")

Names = str | os.PathLike[str] | Sequence[str]


class Network(Closing, Hinting):
    """A Darknet network, ready to run.

    Any thread may call it; calls run one after the other. To compute in parallel, give each thread a
    :meth:`clone`.
    Use it as a context manager, or :meth:`close` it, to free its memory at a known moment.

    Args:
        cfg: path of the cfg file. Without ``weights`` also the folder of a run, of which the best weights are
            taken, a pack (``pydarknet weights pack``), or weights in one of these.
        weights: path of the weights file; a file that ends on a layer's boundary (``yolov4.conv.137``) is
            loaded up to there. Without one, weights are random.
        names: the names, or path of a ``.names`` or ``.data`` file, a ``data.yaml`` or the ``run.json`` of a
            run; by default those beside the weights (:func:`.names_beside`), else classes are numbered.
        device: where to compute: ``"auto"`` (the CPU), ``"cpu"``, ``"cuda"``,
            ``"cuda:1"``, or the number of a GPU.
        backend: code that computes, for comparisons and tests: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"ref"``
            (slow, the definition) or ``"check:cpu,ref"``: runs both and raises BackendError at the first
            layer that differs. It implies the device.
        precision: ``"fp32"``, ``"tf32"``, ``"bf16"`` or ``"fp16"``, if the backend has it; ``"auto"``: what
            the backend prefers on its device, bf16 if the CPU multiplies it faster than fp32.
        batch: largest number of images in a forward pass.
        threads: cores to compute on; by default all that the process may use.
        strict: what is probably a mistake in the cfg, though Darknet reads it, is an error: an unknown key, a
            value that is a number only in part (``64px``), a key without a value, ``num`` below the anchors
            that ``mask`` uses. Otherwise these are warnings, logged by the logger ``"pydarknet"``.
        library: path of a libdarknet.so built upstream, to detect through it instead of pydarknet's engine;
            by default the environment variable ``PYDARKNET_LIBRARY``. Such a network only detects.

    Raises:
        CfgError: the cfg is malformed or describes an impossible network; the message has file and line.
        WeightsError: the weights file is damaged or belongs to another network.
        DataError: the names cannot be read, or their number is not that of the classes.
        BackendError: the device, backend or precision is not available here; the message has the reason.
        ArgumentError: there is no such device, or the backend does not compute on it.
        FileError: a file cannot be opened.
    """

    _instead = "; clone() makes another, and another process opens its own"

    def __init__(  # noqa: PLR0913  all but two by keyword
        self,
        cfg: str | os.PathLike[str],
        weights: str | os.PathLike[str] | None = None,
        *,
        names: Names | None = None,
        device: str | int = "auto",
        backend: str = "auto",
        precision: str = "auto",
        batch: int = 1,
        threads: int | None = None,
        strict: bool = True,
        library: str | os.PathLike[str] | None = None,
    ) -> None:
        options = EngineOptions(backend_on(backend, device), precision, batch, threads or 0, strict)
        library = library or os.environ.get("PYDARKNET_LIBRARY")
        with found_files(cfg, weights) as (path, file), saying_where_from(file):
            if library:
                from pydarknet.compat.foreign import ForeignHandle

                handle: Handle = ForeignHandle(os.fspath(library), path, file, options)
            else:
                handle = EngineHandle.load(path, file, options)
            if names is None and file is not None:
                names = usable_names_beside(path, file, handle.info().classes)
        self._take(handle, path, names)

    @classmethod
    def parse(
        cls,
        text: str,
        weights: str | os.PathLike[str] | None = None,
        *,
        name: str = "cfg",
        names: Names | None = None,
        **options: Any,
    ) -> Network:
        """A network from the text of a cfg.

        Args:
            text: content of a cfg file.
            weights: as in the constructor.
            name: stands for the file in messages.
            names: as in the constructor.
            options: ``device``, ``backend``, ``precision``, ``batch``, ``threads``, ``strict`` as in the
                constructor.
        """
        if options.get("threads", 0) is None:
            del options["threads"]
        options["backend"] = backend_on(options.get("backend", "auto"), options.pop("device", "auto"))
        chosen = EngineOptions.of(options)
        network = cls.__new__(cls)
        handle = EngineHandle.parse(text, name, None if weights is None else os.fspath(weights), chosen)
        network._take(handle, name, names)
        return network

    def _take(self, handle: Handle, cfg: str, names: Names | None) -> None:
        self._turns = Turns(handle)
        self._trainers: weakref.WeakSet[Trainer] = weakref.WeakSet()
        self._cfg = cfg
        self._layers: tuple[LayerInfo, ...] | None = None
        try:
            self._names = names_for(names, handle.info().classes)
        except BaseException:
            handle.close()
            raise
        for warning in handle.warnings():
            _log.warning("%s", warning)

    def clone(self) -> Network:
        """A second network that shares the weights, for parallel computation in another thread."""
        twin = type(self).__new__(type(self))
        with self._turns.engine() as handle:
            twin._take(handle.clone(), self._cfg, self._names or None)
        return twin

    def trainer(self) -> Trainer:
        """Start to train the network's weights; see :class:`pydarknet.engine.trainer.Trainer`.

        Raises:
            ArgumentError: another trainer trains these weights, those of a clone included.
            CfgError: a layer of the network cannot be trained.
        """
        trainer = Trainer(self)
        self._trainers.add(trainer)
        return trainer

    def close(self) -> None:
        """Free the network's memory; a second call does nothing, any other call raises ArgumentError."""
        for trainer in tuple(self._trainers):
            trainer.close()
        with self._turns.handle() as handle:
            handle.close()

    def __repr__(self) -> str:
        if self._turns.closed:
            return f"Network(cfg={Path(self._cfg).name!r}, closed)"
        info = self.info
        classes = f"{info.classes} classes, " if info.classes else ""
        return (
            f"Network(cfg={Path(self._cfg).name!r}, {info.width}×{info.height}, {classes}"
            f"backend={info.backend!r}, precision={info.precision!r})"
        )

    def _repr_html_(self) -> str:
        """Sizes and the layer table, for notebooks."""
        if self._turns.closed:
            return html.titled(repr(self))
        return network_html(repr(self), self.info, self.layers, self._names)

    # -- what it is ------------------------------------------------------------------------------------------

    @property
    def info(self) -> NetworkInfo:
        """Sizes, counts and settings of the network."""
        with self._turns.handle() as handle:
            return handle.info()

    @property
    def cfg(self) -> str:
        """Path of the cfg file, or its name if the network came from text."""
        return self._cfg

    @property
    def names(self) -> tuple[str, ...]:
        """Class names by class id."""
        return self._names

    @property
    def layers(self) -> tuple[LayerInfo, ...]:
        """All layers with their shapes at the present size."""
        with self._turns.engine() as handle:
            return self._layers_of(handle)

    def _layers_of(self, handle: EngineHandle) -> tuple[LayerInfo, ...]:
        """The layers, asked for once per input size; the caller holds the lock."""
        if self._layers is None or handle.closed:
            self._layers = tuple(handle.layer(i) for i in range(handle.info().layers))
        return self._layers

    @property
    def outputs(self) -> tuple[int, ...]:
        """The layers that :meth:`predict` returns: the heads, or the last layer that is not a cost layer."""
        return default_outputs(self.layers)

    def rename(self, names: Names) -> None:
        """Change the names of the classes.

        Raises:
            DataError: they cannot be read, or their number is not that of the classes.
        """
        self._names = names_for(names, self.info.classes)

    def summary(self) -> str:
        """The layer table with shapes and operations, and the totals; several lines of text."""
        return layer_table(self.info, self.layers)

    @property
    def batch(self) -> int:
        """Largest number of images in a forward pass; can be set."""
        return self.info.batch

    @batch.setter
    def batch(self, batch: int) -> None:
        with self._turns.engine() as handle:
            handle.set_batch(batch)

    def resize(self, width: int, height: int) -> None:
        """Change the input size.

        Args:
            width: in pixels, a multiple of ``info.stride``.
            height: likewise; it need not equal the width.

        Raises:
            ArgumentError: not such a multiple.
            CfgError: a layer of the network cannot have the size.
        """
        with self._turns.engine() as handle:
            handle.resize(width, height)
            self._layers = None

    def parameters(self, layer: int) -> dict[str, npt.NDArray[np.float32]]:
        """Copies of a layer's arrays, flat and in the layout of a weights file, batch-norm not folded.

        Returns:
            Those of ``biases``, ``scales``, ``means``, ``variances`` and ``weights`` that the layer has; one
            with ``share_index`` has those of the layer it shares.
        """
        roles = ("biases", "scales", "means", "variances", "weights")
        with self._turns.engine() as handle:
            arrays = {role: handle.array(layer, role) for role in roles}
        return {role: array for role, array in arrays.items() if array.size}

    def save_weights(self, path: str | os.PathLike[str], cutoff: int | None = None) -> None:
        """Write a Darknet weights file; it appears complete or not at all.

        Args:
            path: the file.
            cutoff: write only the layers before this one, as ``darknet partial`` does.

        Raises:
            ArgumentError: there is no such layer.
            FileError: the file cannot be written.
        """
        if cutoff is not None and cutoff < 0:
            raise ArgumentError(f"found cutoff={cutoff}, expected a number of layers or None")
        with self._turns.engine() as handle:
            handle.save_weights(os.fspath(path), -1 if cutoff is None else cutoff)

    # -- inference -------------------------------------------------------------------------------------------

    @overload
    def detect(
        self,
        image: list[Any] | tuple[Any, ...] | Iterator[Any],
        thresh: float = ...,
        nms: float = ...,
        letterbox: bool | None = ...,
        *,
        classes: Classes | None = ...,
        max_det: int | None = ...,
        agnostic: bool = ...,
        rgb: bool = ...,
    ) -> list[Detections]: ...
    @overload
    def detect(
        self,
        image: ImageLike,
        thresh: float = ...,
        nms: float = ...,
        letterbox: bool | None = ...,
        *,
        classes: Classes | None = ...,
        max_det: int | None = ...,
        agnostic: bool = ...,
        rgb: bool = ...,
    ) -> Detections: ...
    @hinted
    def detect(
        self,
        image: ImageLike | list[Any] | tuple[Any, ...] | Iterator[Any],
        thresh: float = 0.25,
        nms: float = 0.45,
        letterbox: bool | None = None,
        *,
        classes: Classes | None = None,
        max_det: int | None = None,
        agnostic: bool = False,
        rgb: bool = False,
    ) -> Detections | list[Detections]:
        """Detect objects in an image, or in each image of a list.

        Args:
            image: array (h, w, c) or (h, w), uint8, uint16 or floats 0..1, blue first, or an object with
                ``__array__``; path; http(s) URL; bytes of an image file; PIL image; or a list, tuple or
                iterator of these, of any sizes, which runs in batches of ``batch``.
            thresh: confidence above which an object is reported, 0..1.
            nms: overlap (IoU) above which the weaker of two boxes is suppressed, 0..1; 0 keeps all.
            letterbox: keep the aspect ratio and pad, instead of stretching; by default as the cfg's
                ``letter_box`` says.
            classes: report only these classes, by name or id.
            max_det: report at most this many objects of an image, the most confident ones.
            agnostic: suppress overlapping boxes of different classes, too.
            rgb: arrays are red first, as those of imageio and torchvision.

        Returns:
            Detections in the pixels of the image; a list of them for several images.

        Raises:
            DataError: an image cannot be read, or its channels are not those of the network.
            ArgumentError: a value is out of range, or an object is not an image.
        """
        select = Selection.of(self._names, nms, classes, agnostic, max_det)
        if isinstance(image, (list, tuple)) or (isinstance(image, Iterator) and not hasattr(image, "read")):
            images, step = iter(image), self.info.batch
            # One batch at a time: decoded images do not pile up, and Ctrl-C is heard in between.
            chunks = iter(lambda: list(islice(images, step)), [])
            return [
                found for chunk in chunks for found in self._detect(chunk, thresh, letterbox, select, rgb)
            ]
        return self._detect([image], thresh, letterbox, select, rgb)[0]

    __call__ = detect

    def examine(
        self, image: ImageLike, truths: npt.ArrayLike, thresh: float = 0.25, nms: float = 0.45
    ) -> tuple[Detections, list[LossReport]]:
        """Detect objects in an image, and compute the losses of these predictions.

        Weights and rolling statistics stay as they are; batch norm is that of inference.

        Args:
            image: as for :meth:`detect`.
            truths: (boxes, 6) as for :meth:`.Trainer.accumulate`, relative to the network's input: with
                ``letter_box`` to the padded image.
            thresh: as for :meth:`detect`.
            nms: as for :meth:`detect`.

        Returns:
            The detections, and the losses, one per head.
        """
        table = np.ascontiguousarray(truths, np.float32)[None]
        with self._turns.engine() as handle:
            info = handle.info()
        loaded = [Image(load(image, info.channels, urls=True), bgr=True)]
        with self._turns.engine() as handle:
            rows = handle.detect(loaded, thresh, nms, info.letter_box)
            reports = losses(handle, table, info.layers)
        return self._detections(rows, loaded)[0], reports

    def _detect(
        self, images: Sequence[Any], thresh: float, letterbox: bool | None, select: Selection, rgb: bool
    ) -> list[Detections]:
        info = self.info
        loaded = [Image(load(image, info.channels, rgb=rgb, urls=True), bgr=True) for image in images]
        boxed = info.letter_box if letterbox is None else letterbox
        with self._turns.handle() as handle:
            rows = handle.detect(loaded, thresh, select.engine_nms, boxed)
        return [select(found) for found in self._detections(rows, loaded)]

    def _detections(self, found: list[npt.NDArray[Any]], images: list[Image]) -> list[Detections]:
        return [
            Detections(
                rows["xyxy"],
                rows["confidence"],
                rows["class_id"],
                self._names,
                (image.pixels.shape[1], image.pixels.shape[0]),
            )
            for rows, image in zip(found, images, strict=True)
        ]

    def predict(
        self, x: npt.ArrayLike, layers: Sequence[int] | None = None
    ) -> dict[int, npt.NDArray[np.float32]]:
        """Run the network on prepared input and read layers' outputs.

        Args:
            x: float32 (n, c, h, w), values 0..1, of the network's input size; any n.
            layers: which outputs to return; by default those of the heads, or of the last layer.

        Returns:
            For each layer its output, float32 (n, outputs), the planes of each image flattened. Heads contain
            Darknet's values: x, y, objectness and classes after their activations, w, h raw; in ``[region]``
            x, y are raw too, and the values of a cell stand side by side.

        Raises:
            ArgumentError: the shape is not the network's, or there is no such layer.
        """
        with self._turns.engine() as handle:
            return outputs_of(handle, x, self._layers_of(handle), layers)

    def preprocess(self, image: ImageLike, letterbox: bool | None = None) -> npt.NDArray[np.float32]:
        """Input planes of :meth:`detect` for an image: float32 (c, h, w), 0..1, red first."""
        info = self.info
        loaded = Image(load(image, info.channels, urls=True), bgr=True)
        boxed = info.letter_box if letterbox is None else letterbox
        with self._turns.engine() as handle:
            return handle.preprocess(loaded, boxed, (info.channels, info.height, info.width))

    def profile(self) -> list[LayerTime]:
        """Times of the steps of one forward pass over a full batch, in order; fused layers have none."""
        with self._turns.engine() as handle:
            return handle.profile(2 * handle.info().layers + 8)

    def layer_errors(self) -> list[float]:
        """Relative error of each layer on noise, of a backend ``"check:A,B"``; BackendError with others."""
        with self._turns.engine() as handle:
            return handle.layer_errors()
