# SPDX-License-Identifier: Apache-2.0
"""The binding of ``dn_trainer``, as :mod:`pydarknet.engine._core` is that of networks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pydarknet.engine._core import EngineHandle, check, compute, text
from pydarknet.engine._ffi import ffi, lib
from pydarknet.engine.handle import Floats
from pydarknet.errors import ArgumentError

KINDS = {
    "parameters": lib.DN_PARAMETERS,
    "gradients": lib.DN_GRADIENTS,
    "adam_m": lib.DN_ADAM_M,
    "adam_v": lib.DN_ADAM_V,
    "ema": lib.DN_EMA,
}
ROLES = ("biases", "scales", "means", "variances", "weights")


@dataclass(frozen=True)
class TrainerInfo:
    """Position and settings of a training; see ``dn_trainer_info`` in ``darknet.h``.

    Attributes:
        iteration: updates done, those before a resume included.
        seen: images trained on.
        pending: images accumulated since the last update.
        rate: learning rate of the schedule at this iteration.
        width: of the input now, in pixels.
        height: of the input now, in pixels.
        activation_bytes: memory of the compiled training plan.
        loss_scale: factor of the losses' gradients in fp16; 0 in other precisions.
        loss_scale_updates: updates since it changed.
        skipped: whether the last update was skipped, because of an overflow in fp16.
        skipped_updates: of those done, which Adam's corrections do not count.
    """

    iteration: int
    seen: int
    pending: int
    rate: float
    width: int
    height: int
    activation_bytes: int
    loss_scale: float
    loss_scale_updates: int
    skipped: bool
    skipped_updates: int


@dataclass(frozen=True)
class LossReport:
    """The numbers of Darknet's training log for one head and one mini-batch.

    Attributes:
        layer: the head.
        cost: its part of the network's cost.
        total_loss: sum of squared deltas.
        class_loss: the part of it that is not boxes, objectness included.
        iou_loss: the part of it that is boxes.
        iou_sum: IoU of predictions with their truths, summed.
        count: predictions that were assigned a truth.
        rewritten: of them, those assigned twice.
    """

    layer: int
    cost: float
    total_loss: float
    class_loss: float
    iou_loss: float
    iou_sum: float
    count: int
    rewritten: int


_REPORT_FIELDS = tuple(LossReport.__dataclass_fields__)


def losses(network: EngineHandle, truths: Floats, capacity: int) -> list[LossReport]:
    """Losses of the last prediction of a network, given its truths, float32 (n, ...)."""
    found, count = ffi.new("dn_loss_report[]", capacity), ffi.new("int *")
    t, stride = ffi.from_buffer("float[]", truths), truths.size // len(truths)
    check(lib.dn_network_losses(network.pointer, t, len(truths), stride, found, capacity, count))
    return _reports(found, count[0])


def _reports(found: Any, count: int) -> list[LossReport]:
    return [LossReport(**{name: getattr(r, name) for name in _REPORT_FIELDS}) for r in found[0:count]]


class TrainerHandle:
    """A ``dn_trainer`` of a network; one thread at a time."""

    def __init__(self, network: EngineHandle) -> None:
        out = ffi.new("dn_trainer **")
        check(lib.dn_trainer_create(network.pointer, out))
        self._pointer: Any = ffi.gc(out[0], lib.dn_trainer_free)

    @property
    def pointer(self) -> Any:
        """The C handle.

        Raises:
            ArgumentError: the trainer is closed.
        """
        if self._pointer is None:
            raise ArgumentError("the trainer is closed, or its network")
        return self._pointer

    def close(self) -> None:
        """Free the trainer now."""
        if self._pointer is not None:
            ffi.release(self._pointer)
            self._pointer = None

    def accumulate(self, images: Floats, truths: Floats) -> float:
        """Run one mini-batch; both arrays are C-contiguous float32, images (n, c, h, w)."""
        cost = ffi.new("float *")
        x, t, pointer = ffi.from_buffer("float[]", images), ffi.from_buffer("float[]", truths), self.pointer
        n, stride = len(images), truths.size // len(truths)
        compute(lambda: lib.dn_trainer_accumulate(pointer, x, n, t, stride, cost))
        return float(cost[0])

    def announce(self, images: Floats) -> None:
        """Name the images of the mini-batch after the next one; the caller keeps them until it has ended."""
        check(lib.dn_trainer_announce(self.pointer, ffi.from_buffer("float[]", images), len(images)))

    def accumulate_tiles(self, tiles: npt.NDArray[np.void], truths: Floats) -> float:
        """Run one mini-batch; tiles are of type :data:`pydarknet.engine.tiles.TILE`."""
        cost, pointer = ffi.new("float *"), self.pointer
        x, t = ffi.from_buffer("dn_tile[]", tiles), ffi.from_buffer("float[]", truths)
        count, n, stride = len(tiles), len(truths), truths.size // len(truths)
        compute(lambda: lib.dn_trainer_accumulate_tiles(pointer, x, count, n, t, stride, cost))
        return float(cost[0])

    def update(self) -> None:
        """Update the weights."""
        pointer = self.pointer
        compute(lambda: lib.dn_trainer_update(pointer))

    def set_worker(self, number: int, count: int) -> None:
        """Share the mini-batches of every update with other workers."""
        check(lib.dn_trainer_set_worker(self.pointer, number, count))

    def shares(self) -> Floats:
        """Shares of the mini-batches since the last update in the rolling statistics."""
        count = ffi.new("size_t *")
        check(lib.dn_trainer_get_shares(self.pointer, ffi.NULL, 0, count))
        out = np.empty(count[0], np.float32)
        check(lib.dn_trainer_get_shares(self.pointer, ffi.from_buffer("float[]", out), out.size, count))
        return out

    def move_rolling(self, shares: Floats) -> None:
        """Move the rolling statistics by the shares of all workers, C-contiguous float32."""
        check(lib.dn_trainer_move_rolling(self.pointer, ffi.from_buffer("float[]", shares), shares.size))

    def why_no_group(self) -> str:
        """The reason why the backend cannot sum the gradients of several workers itself, or ""."""
        return text(lib.dn_trainer_why_no_group(self.pointer))

    def group_id(self) -> bytes:
        """Id of a new group of workers."""
        out = ffi.new("dn_group_id *")
        check(lib.dn_trainer_group_id(self.pointer, out))
        return bytes(ffi.buffer(out))

    def join_group(self, group: bytes, limit: float) -> None:
        """Connect with the other workers, in at most ``limit`` seconds."""
        check(lib.dn_trainer_join_group(self.pointer, ffi.from_buffer("dn_group_id *", group), limit))

    def sum_gradients(self, limit: float) -> None:
        """Replace the gradients by the sums over the group, in at most ``limit`` seconds."""
        check(lib.dn_trainer_sum_gradients(self.pointer, limit))

    def resize(self, width: int, height: int) -> None:
        """Change the input size from the next mini-batch on."""
        check(lib.dn_trainer_resize(self.pointer, width, height))

    def info(self) -> TrainerInfo:
        """Position and settings of the training."""
        out = ffi.new("dn_trainer_info *")
        check(lib.dn_trainer_get_info(self.pointer, out))
        fields = {name: getattr(out, name) for name in TrainerInfo.__dataclass_fields__}
        return TrainerInfo(**fields | {"skipped": bool(out.skipped)})

    def set_counters(self, iteration: int, seen: int, skipped: int) -> None:
        """Set the position at which a run resumes; of the iterations, ``skipped`` moved nothing."""
        check(lib.dn_trainer_set_counters(self.pointer, iteration, seen, skipped))

    def set_loss_scale(self, scale: float, updates: int) -> None:
        """Set the loss scale, and the updates since it changed, with which a run in fp16 resumes."""
        check(lib.dn_trainer_set_loss_scale(self.pointer, scale, updates))

    def set_learning_rate(self, rate: float) -> None:
        """Replace the base rate that the schedule multiplies."""
        check(lib.dn_trainer_set_learning_rate(self.pointer, rate))

    def reports(self, capacity: int) -> list[LossReport]:
        """The losses of the last mini-batch, one per layer that owns a cost."""
        found, count = ffi.new("dn_loss_report[]", capacity), ffi.new("int *")
        check(lib.dn_trainer_reports(self.pointer, found, capacity, count))
        return _reports(found, count[0])

    def read(self, layer: int, n: int, outputs: int, *, delta: bool) -> Floats:
        """Output or delta of a layer in the last mini-batch, (n, outputs)."""
        out = np.empty((n, outputs), np.float32)
        function = lib.dn_trainer_read_delta if delta else lib.dn_trainer_read
        check(function(self.pointer, layer, ffi.from_buffer("float[]", out), out.size))
        return out

    def count(self, kind: str, layer: int, role: str) -> int:
        """Number of values of one array of the state; 0 if there is none.

        Raises:
            ArgumentError: no such kind, layer or role.
        """
        if kind not in KINDS:
            raise ArgumentError(f"found state kind {kind!r}, expected one of {', '.join(KINDS)}")
        count = ffi.new("size_t *")
        check(lib.dn_trainer_count(self.pointer, KINDS[kind], layer, role.encode(), count))
        return int(count[0])

    def get(self, kind: str, layer: int, role: str) -> Floats | None:
        """A flat copy of one array of the state; None if there is none."""
        count = self.count(kind, layer, role)
        if not count:
            return None
        out = np.empty(count, np.float32)
        self.read_into(out, kind, layer, role)
        return out

    def read_into(self, out: Floats, kind: str, layer: int, role: str) -> None:
        """Copy one array of the state into contiguous float32 memory of its size."""
        dst, pointer = ffi.from_buffer("float[]", out), self.pointer
        check(lib.dn_trainer_get(pointer, KINDS[kind], layer, role.encode(), dst, out.size))

    def set(self, kind: str, layer: int, role: str, values: Floats) -> None:
        """Replace one array of the state by as many float32 values; a missing EMA begins with the first."""
        src, pointer = ffi.from_buffer("float[]", values), self.pointer
        check(lib.dn_trainer_set(pointer, KINDS[kind], layer, role.encode(), src, values.size))

    def arrays(self, layers: int) -> Iterator[tuple[str, Floats]]:
        """A copy of every array of the state with its name, ``kind/layer/role``."""
        for kind in KINDS:
            for layer in range(layers):
                for role in ROLES:
                    if (array := self.get(kind, layer, role)) is not None:
                        yield f"{kind}/{layer}/{role}", array

    def non_finite(self) -> str:
        """The first layer and array with NaN or Inf, or ""."""
        found = ffi.new("const char **")
        check(lib.dn_trainer_non_finite(self.pointer, found))
        return text(found[0])
