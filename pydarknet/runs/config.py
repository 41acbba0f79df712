# SPDX-License-Identifier: Apache-2.0
"""Settings of a training: one frozen value, from which the command line is derived."""

# ruff: noqa: RUF009  `_option` makes dataclass fields

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from pydarknet.engine.devices import backend_on, require_agreement
from pydarknet.engine.precisions import PRECISIONS
from pydarknet.errors import ArgumentError

Pathlike = str | os.PathLike[str]
Device = str | int


DEVICE_HELP = "Where to compute: cpu, cuda, cuda:N, or auto, which is the CPU."
PRECISION_HELP = "auto: bf16 or fp16 where the device multiplies them natively, else fp32."
BACKEND_HELP = "Code that computes, for comparisons: auto, or a name that `pydarknet info` lists."


def _option(default: Any, text: str, **more: Any) -> Any:
    return field(default=default, metadata={"help": text, **more})


@dataclass(frozen=True)
class TrainConfig:
    """The settings of a training.

    Every field but ``cfg`` and ``data`` has a default; the command line has one option for each field.

    Raises:
        ArgumentError: a value is not valid.
    """

    cfg: Pathlike = _option("", "Network configuration (.cfg).")
    data: Pathlike = _option("", "Data set: .data file, data.yaml, or any format that `convert` reads.")
    weights: Pathlike | None = _option(
        None, "Initial weights, or none; layers that do not match are skipped."
    )
    weights_names: Pathlike | None = _option(
        None, "Class names of --weights, if not beside it. Weights of unchanged classes are kept."
    )
    out: Pathlike | None = _option(None, "Folder of the run.  [default: runs/NAME-1, -2, ...]")

    epochs: float | None = _option(None, "Length in passes over the images, instead of max_batches.")
    max_batches: int | None = _option(None, "Length in iterations; a larger one extends a run.", low=1)
    max_hours: float | None = _option(
        None, "Save and stop after this many hours; run the same command to resume."
    )
    monitor: str = _option(
        "map50",
        "Metric by which the best weights are chosen and --patience counts.",
        choices=("map50", "map5095", "fitness", "val_loss"),
    )
    patience: int = _option(0, "Stop after N evaluations without improvement; 0: never.", low=0)
    stop_on: str | None = _option(
        None,
        "Stop on overfitting: the validation loss rose K (3) times in a row while the training loss fell.",
        metavar="overfit[:K]",
    )

    lr: float | None = _option(None, "Learning rate instead of that of the cfg.")
    batch: int | None = _option(None, "Images per update.", low=1, flag=("--batch", "--batch-size"))
    subdivisions: str | None = _option(
        None, "Parts of a batch, or auto: the smallest number that fits into memory.", metavar="N"
    )
    size: tuple[int, int] | None = _option(
        None, "Input size in pixels, e.g. 416 or 608x320.", flag=("--size", "--imgsz", "--img-size")
    )
    freeze: str | None = _option(
        None, "Do not train the first N layers, or the backbone.", metavar="N|backbone"
    )
    settings: tuple[str, ...] = _option(
        (), "Any other cfg value: KEY=VALUE or SECTION.KEY=VALUE.", flag="--set", metavar="KEY=VALUE"
    )
    clear: bool = _option(False, "Count iterations from 0; ignore the count in the weights file.")

    save_every: int | str | None = _option(
        None,
        "Iterations between numbered weights, or epochs: 5e.  [default: 1000; 10000 if max_batches >= 10000]",
        metavar="N|Ne",
    )
    last_every: int | None = _option(
        None, "Iterations between saves of the complete state.  [default: 100]", low=1
    )
    keep: str = _option(
        "best,last,3", "Weights to keep: best, last, and the number of numbered ones, or all."
    )
    map_every: int | None = _option(
        None, "Iterations between evaluations; 0: none.  [default: 4 epochs, 100 at least]", low=0
    )

    val_fraction: float | None = _option(
        None,
        "Fraction of the training images to hold out for validation if the data has no validation images.",
    )

    seed: int = _option(0, "Seed of image order and augmentation.", low=0)
    threads: int | None = _option(None, "Cores to compute on.  [default: all]", low=1)
    workers: int | None = _option(None, "Threads that prepare images.  [default: number of cores]", low=1)
    device: Device = _option("auto", DEVICE_HELP, metavar="DEVICE")
    backend: str = _option("auto", BACKEND_HELP)
    precision: str = _option(
        "auto",
        f"{PRECISION_HELP} A run keeps its own.",
        choices=("auto", *PRECISIONS),
    )
    augment_on: str = _option(
        "auto",
        "Where decoded images are augmented: cpu, or device: the GPU that trains. auto is cpu.",
        choices=("auto", "cpu", "device"),
    )
    worker_timeout: float = _option(
        300.0, "With several workers: end the training after N seconds without a sign of one.", metavar="N"
    )
    cache: str = _option(
        "none", "Keep decoded images in memory, as many as fit, or on disk.", choices=("none", "ram", "disk")
    )

    http: str | None = _option(None, "Serve a live page of the run during training.", metavar="[HOST:]PORT")
    plots: bool = _option(True, "Do not write plots or the report.", flag="--no-plots")
    max_bad: int = _option(100, "Number of unreadable images to skip before the run stops.", low=0)
    on_nan: str = _option(
        "stop",
        "stop, or rollback: after nan, resume from earlier with FACTOR (0.1) times the rate, up to 3 times.",
        metavar="stop|rollback[:FACTOR]",
    )
    dump_batches: int = _option(3, "Number of training batches to draw with their boxes.", low=0)
    price_per_hour: float | None = _option(
        None, "Price of this machine per hour; the summary reports the cost of the run."
    )
    tensorboard: bool = _option(False, "Also write TensorBoard event files into RUN/tensorboard.")
    mlflow: bool = _option(False, "Also log to the MLflow server of MLFLOW_TRACKING_URI.")
    on_end: str | None = _option(None, "Command to run at the end, also after a failure.", metavar="CMD")
    ignore: tuple[str, ...] = _option(
        (), "Skip a rule of the preflight, e.g. L-08; may be repeated.", metavar="RULE"
    )
    force: bool = _option(False, "Train even if the preflight finds errors.")
    restart: bool = _option(False, "Start over; an existing run in the folder is moved aside.")

    def __post_init__(self) -> None:
        if self.weights is not None and str(self.weights).lower() == "none":
            object.__setattr__(self, "weights", None)
        if self.epochs is not None and self.max_batches is not None:
            raise ArgumentError("epochs and max_batches both set the training length; give one")
        if self.epochs is not None and self.epochs <= 0:
            raise ArgumentError(f"found epochs={self.epochs:g}, expected more than 0")
        if self.subdivisions not in (None, "auto") and not str(self.subdivisions).isdigit():
            raise ArgumentError(f"found subdivisions={self.subdivisions!r}, expected a number or 'auto'")
        if self.freeze not in (None, "backbone") and not str(self.freeze).isdigit():
            raise ArgumentError(f"found freeze={self.freeze!r}, expected a number of layers or 'backbone'")
        if self.price_per_hour is not None and self.price_per_hour < 0:
            raise ArgumentError(f"found price_per_hour={self.price_per_hour:g}, expected 0 or more")
        if not self.worker_timeout > 0:
            raise ArgumentError(f"found worker_timeout={self.worker_timeout:g}, expected more than 0")
        for setting in self.settings:
            if "=" not in setting:
                raise ArgumentError(f"found the setting {setting!r}, expected KEY=VALUE")
        if self.val_fraction is not None and not 0 < self.val_fraction < 1:
            raise ArgumentError(
                f"found val_fraction={self.val_fraction:g}, expected more than 0 and less than 1"
            )
        require_agreement(self.backend, self.device)
        self.kept, self.overfit, self.rollback, self.save_interval(1)

    def with_changes(self, **changes: Any) -> TrainConfig:
        """Copy with other values; a new length or place to compute replaces the old one, however stated.

        Raises:
            ArgumentError: a value is not valid.
        """
        for one, other in (("epochs", "max_batches"), ("max_batches", "epochs")):
            if changes.get(one) is not None:
                changes.setdefault(other, None)
        if changes.keys() & {"device", "backend"}:  # the run's own may contradict what the user chose now
            changes = {"device": "auto", "backend": "auto", **changes}
        return replace(self, **changes)

    @property
    def engine_backend(self) -> str:
        """Backend of the engine that ``device`` and ``backend`` mean together."""
        return backend_on(self.backend, self.device)

    @property
    def kept(self) -> tuple[bool, float]:
        """Whether ``_best`` is kept, and how many numbered files (infinity for all); ``_last`` always is.

        Raises:
            ArgumentError: ``keep`` is not valid.
        """
        best, numbered = False, 0.0
        for word in (part.strip() for part in self.keep.split(",")):
            if word == "best":
                best = True
            elif word == "all":
                numbered = float("inf")
            elif word.isdigit():
                numbered = float(word)
            elif word != "last":
                raise ArgumentError(f"found keep={self.keep!r}, expected words of: best, last, all, a number")
        return best, numbered

    def save_interval(self, epoch: float) -> int | None:
        """Iterations between numbered weights; None for the default.

        Args:
            epoch: length of an epoch in iterations.

        Raises:
            ArgumentError: ``save_every`` is not valid.
        """
        if self.save_every is None:
            return None
        text = str(self.save_every)
        with contextlib.suppress(ValueError):
            number = float(text.removesuffix("e"))
            if text.endswith("e") and 0 < number < math.inf:
                return max(1, round(number * epoch))
            if number >= 1 and number.is_integer():
                return int(number)
        raise ArgumentError(
            f"found save_every={text!r}, expected a number of iterations, or of epochs with an e, like 5e"
        )

    @property
    def overfit(self) -> int:
        """Number of evaluations in a row with overfitting after which the training stops; 0: never.

        Raises:
            ArgumentError: ``stop_on`` is not valid.
        """
        if self.stop_on is None:
            return 0
        word, _, count = self.stop_on.partition(":")
        if word != "overfit" or not (count or "3").isdigit() or int(count or 3) < 1:
            raise ArgumentError(
                f"found stop_on={self.stop_on!r}, expected overfit or overfit:K with K above 0"
            )
        return int(count or 3)

    @property
    def rollback(self) -> float | None:
        """Factor of the learning rate after a value that is not finite; None: the training stops.

        Raises:
            ArgumentError: ``on_nan`` is not valid.
        """
        if self.on_nan == "stop":
            return None
        word, _, factor = self.on_nan.partition(":")
        with contextlib.suppress(ValueError):
            if word == "rollback" and 0 < (found := float(factor or 0.1)) < 1:
                return found
        raise ArgumentError(
            f"found on_nan={self.on_nan!r}, expected stop, rollback, or rollback:FACTOR with 0 < FACTOR < 1"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``run.json``; paths are absolute, so that a run can be resumed from any folder."""
        values = asdict(self)
        for name in ("cfg", "data", "weights", "weights_names", "out"):
            values[name] = None if values[name] is None else str(Path(values[name]).absolute())
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> TrainConfig:
        """Inverse of :meth:`to_json`; fields of other versions are ignored."""
        known = {f.name: values[f.name] for f in fields(cls) if f.name in values}
        known |= {name: tuple(known.get(name, ())) for name in ("settings", "ignore")}
        if known.get("size"):
            known["size"] = tuple(known["size"])
        return cls(**known)


#: Fields that may differ when a run is resumed.
FREE = frozenset(
    (
        "out",
        "max_batches",
        "epochs",
        "max_hours",
        "monitor",
        "patience",
        "stop_on",
        "save_every",
        "last_every",
        "keep",
        "map_every",
        "threads",
        "workers",
        "device",
        "backend",
        "precision",
        "augment_on",
        "worker_timeout",
        "cache",
        "http",
        "plots",
        "max_bad",
        "dump_batches",
        "price_per_hour",
        "tensorboard",
        "mlflow",
        "on_nan",
        "on_end",
        "ignore",
        "force",
        "restart",
        "clear",
    )
)


#: Fields whose files or effect on the cfg are compared by content; see ``training/resumed_inputs.py``.
BY_CONTENT = frozenset(
    ("cfg", "data", "weights", "weights_names", "lr", "batch", "subdivisions", "size", "freeze", "settings")
)


def changed(before: TrainConfig, now: TrainConfig) -> list[str]:
    """List the fields that may make ``now`` another training than ``before``; paths count as they are."""
    old, new = before.to_json(), now.to_json()
    return [name for name in old if name not in FREE and old[name] != new[name]]


def fixed_changes(before: TrainConfig, now: TrainConfig) -> list[tuple[str, Any, Any]]:
    """List the fields, with both values, that make ``now`` another training, whatever files and cfg hold."""
    old, new = before.to_json(), now.to_json()
    return [(name, old[name], new[name]) for name in changed(before, now) if name not in BY_CONTENT]
