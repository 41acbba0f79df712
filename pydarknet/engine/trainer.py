# SPDX-License-Identifier: Apache-2.0
"""Training operations on a network: one mini-batch, one update, the complete state.

Loops, events, data and files are in :mod:`pydarknet.training`; this is the level for tests and research.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pydarknet.engine._core import EngineHandle
from pydarknet.engine._trainer import KINDS, ROLES, LossReport, TrainerHandle
from pydarknet.engine.handle import Floats
from pydarknet.engine.tiles import Tile, records
from pydarknet.errors import ArgumentError
from pydarknet.system.closing import Closing

if TYPE_CHECKING:
    from pydarknet.engine.network import Network

State = dict[str, Any]

_log = logging.getLogger("pydarknet")


class Trainer(Closing):
    """Training of a network's weights; made by :meth:`pydarknet.Network.trainer`.

    Weights have one trainer at a time. It uses the network's backend, precision and threads, and takes turns
    with the network's own calls. It ends with :meth:`close`, as a context manager, or with its network.

    Attributes:
        network: whose weights are trained; it can be used for inference between the calls.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self._images = 0  # of the last mini-batch
        self._announced: Floats | None = None  # and its successor, whose memory the engine may have read
        self._sent: Floats | None = None
        with network._turns.engine() as handle:
            self._trainer = TrainerHandle(handle)
            for line in handle.without_effect():
                _log.warning("%s", line)

    @contextmanager
    def _use(self) -> Iterator[tuple[EngineHandle, TrainerHandle]]:
        """Both handles, for one thread at a time."""
        with self.network._turns.engine() as handle:
            yield handle, self._trainer

    def close(self) -> None:
        """Free gradients, momentum and activations; a second call does nothing, any other call raises."""
        with self._use() as (_, trainer):
            trainer.close()

    def __repr__(self) -> str:
        return f"Trainer({self.network!r})"

    def accumulate(self, images: npt.ArrayLike, truths: npt.ArrayLike) -> float:
        """Run one mini-batch forward and backward; gradients add up until :meth:`update`.

        Args:
            images: float32 (n, c, h, w), 0..1, of the training's input size.
            truths: for detectors (n, boxes, 6): x, y, w, h relative to the image (centre form), class,
                track id, rows after the last box 0; for classifiers (n, classes), one-hot or smoothed.

        Returns:
            The cost as Darknet computes it: the mean over all layers that own one.

        Raises:
            ArgumentError: a shape does not fit.
        """
        x, t = np.ascontiguousarray(images, np.float32), np.ascontiguousarray(truths, np.float32)
        with self._use() as (handle, trainer):
            _check_images(handle, trainer, x)
            if t.ndim not in (2, 3) or len(t) != len(x) or (t.ndim == 3 and t.shape[2] != 6):
                raise ArgumentError(
                    f"found truths of shape {t.shape}, expected ({len(x)}, boxes, 6) or ({len(x)}, classes)"
                )
            self._images = len(x)
            self._sent, self._announced = self._announced, None
            return trainer.accumulate(x, t)

    def announce(self, images: Floats) -> None:
        """Name the images of the mini-batch after the next one, which a GPU receives while it computes.

        Call it before :meth:`accumulate`; without it results are the same.

        Args:
            images: as for :meth:`accumulate`, C-contiguous; the same array is given there, unchanged.

        Raises:
            ArgumentError: the shape does not fit.
        """
        with self._use() as (handle, trainer):
            _check_images(handle, trainer, images)
            if images.dtype == np.float32 and images.flags.c_contiguous:
                trainer.announce(images)
                self._announced = images

    def accumulate_tiles(self, images: Sequence[Sequence[Tile]], truths: npt.ArrayLike) -> float:
        """Run one mini-batch as :meth:`accumulate` does, of images that the backend composes.

        Args:
            images: for each its tiles, at most 4, with at most 4 bytes of pixels for each value of the input.
            truths: (n, boxes, 6), as those of :meth:`accumulate`.

        Raises:
            ArgumentError: a tile or a shape does not fit.
            BackendError: the backend does not compose images; ``cuda`` does.
        """
        t = np.ascontiguousarray(truths, np.float32)
        with self._use() as (_, trainer):
            if t.ndim != 3 or t.shape[2] != 6 or len(t) != len(images) or not len(t):
                raise ArgumentError(f"found truths of shape {t.shape}, expected ({len(images)}, boxes, 6)")
            self._images = len(t)
            self._sent = self._announced = None
            return trainer.accumulate_tiles(records(images), t)

    def update(self) -> bool:
        """Update the weights with the accumulated gradients, momentum, decay and the schedule's rate.

        Returns:
            False when the update was skipped: in fp16, gradients or activations overflowed. They are dropped,
            the :attr:`loss_scale` is halved, and the iteration counts.

        Raises:
            ArgumentError: nothing was accumulated.
        """
        with self._use() as (_, trainer):
            trainer.update()
            return not trainer.info().skipped

    @property
    def iteration(self) -> int:
        """Updates done, those before a resume included."""
        with self._use() as (_, trainer):
            return trainer.info().iteration

    @property
    def seen(self) -> int:
        """Images trained on."""
        with self._use() as (_, trainer):
            return trainer.info().seen

    @property
    def rate(self) -> float:
        """The learning rate of the schedule at this iteration: what the last update used."""
        with self._use() as (_, trainer):
            return trainer.info().rate

    @property
    def loss_scale(self) -> float:
        """Factor of the losses' gradients in fp16; 0 in other precisions."""
        with self._use() as (_, trainer):
            return trainer.info().loss_scale

    def losses(self) -> list[LossReport]:
        """The losses of the last mini-batch, one per layer that owns a cost."""
        with self._use() as (handle, trainer):
            return trainer.reports(handle.info().layers)

    def delta(self, layer: int) -> Floats:
        """A layer's delta (negative gradient of the loss) in the last mini-batch, (n, outputs).

        The delta of a layer that another reads is spent by that one's backward pass; heads keep theirs.
        """
        return self._read(layer, delta=True)

    def output(self, layer: int) -> Floats:
        """A layer's output in the last mini-batch, (n, outputs)."""
        return self._read(layer, delta=False)

    def _read(self, layer: int, *, delta: bool) -> Floats:
        with self._use() as (handle, trainer):
            if not self._images:
                raise ArgumentError("nothing was accumulated yet")
            return trainer.read(layer, self._images, _outputs(handle, trainer, layer), delta=delta)

    def gradients(self, layer: int) -> dict[str, Floats]:
        """Copies of a layer's accumulated negative gradients, flat, in the layout of a weights file.

        They stand on top of the momentum that the last update left. ``{}`` for a layer without parameters.
        """
        with self._use() as (_, trainer):
            arrays = {role: trainer.get("gradients", layer, role) for role in ("weights", "biases", "scales")}
            return {role: array for role, array in arrays.items() if array is not None}

    def set_worker(self, number: int, count: int) -> None:
        """Share the mini-batches of every update with ``count - 1`` trainers in other processes.

        All begin with the same state. This one computes the mini-batches ``number``, ``number + count``, ...
        Before each :meth:`update` the caller replaces the :meth:`flat_gradients` by their sum over all
        workers and calls :meth:`move_rolling`. Momentum, and with it :meth:`state`, is complete in number 0.

        Args:
            number: of this worker, 0 to ``count - 1``.
            count: workers; 1 ends the sharing.

        Raises:
            ArgumentError: the number is out of range, or images are accumulated.
            CfgError: layers share batch norm (``share_index``).
        """
        with self._use() as (_, trainer):
            trainer.set_worker(number, count)

    def shares(self) -> Floats:
        """Parts of this worker's mini-batches since the last update in rolling statistics, float32, flat."""
        with self._use() as (_, trainer):
            return trainer.shares()

    def move_rolling(self, shares: Floats) -> None:
        """Move the rolling statistics by the :meth:`shares` of all workers, number 0 first.

        The result has the bits of a trainer that computed all mini-batches itself.

        Raises:
            ArgumentError: they are not as many as those of this worker times the workers.
        """
        with self._use() as (_, trainer):
            trainer.move_rolling(np.ascontiguousarray(shares, np.float32))

    def gradient_arrays(self) -> list[tuple[int, str, int]]:
        """(layer, role, values) of each array of gradients, the last layer first, as backward passes them."""
        with self._use() as (handle, trainer):
            places = [(i, role) for i in reversed(range(handle.info().layers)) for role in ROLES]
            counted = [(layer, role, trainer.count("gradients", layer, role)) for layer, role in places]
            return [place for place in counted if place[2]]

    def flat_gradients(self, arrays: Sequence[tuple[int, str, int]], out: Floats) -> None:
        """Copy arrays of gradients, as :meth:`gradient_arrays` lists them, into flat float32 memory."""
        with self._use() as (_, trainer):
            at = 0
            for layer, role, count in arrays:
                trainer.read_into(out[at : at + count], "gradients", layer, role)
                at += count

    def set_flat_gradients(self, arrays: Sequence[tuple[int, str, int]], values: Floats) -> None:
        """Replace arrays of gradients by the values that :meth:`flat_gradients` would give."""
        with self._use() as (_, trainer):
            at = 0
            for layer, role, count in arrays:
                trainer.set("gradients", layer, role, values[at : at + count])
                at += count

    def why_no_group(self) -> str:
        """The reason why the backend cannot sum the gradients of several workers itself, or "".

        Where it can, :meth:`sum_gradients` takes the place of the caller's sum of :meth:`flat_gradients`.
        """
        with self._use() as (_, trainer):
            return trainer.why_no_group()

    def group_id(self) -> bytes:
        """Id of a new group, made by one worker, which sends it to the others.

        Raises:
            BackendError: the backend leaves the sum to its caller.
        """
        with self._use() as (_, trainer):
            return trainer.group_id()

    def join_group(self, group: bytes, limit: float) -> None:
        """Connect with the other workers, after :meth:`set_worker`; each has a device of its own.

        Args:
            group: what :meth:`group_id` returned in one of them.
            limit: seconds to wait for the others.

        Raises:
            BackendError: they did not come, or cannot be reached.
        """
        with self._use() as (_, trainer):
            trainer.join_group(group, limit)

    def sum_gradients(self, limit: float) -> None:
        """Replace the gradients by their sums, of equal bits in all workers; all of them call it.

        Args:
            limit: seconds to wait for the others.

        Raises:
            BackendError: they did not come, or the connection failed; the gradients are undefined.
        """
        with self._use() as (_, trainer):
            trainer.sum_gradients(limit)

    def set_learning_rate(self, rate: float) -> None:
        """Replace the base rate that the schedule multiplies."""
        with self._use() as (_, trainer):
            trainer.set_learning_rate(rate)

    def resize(self, width: int, height: int) -> None:
        """Change the input size of the next mini-batches; that of the network's own calls stays.

        Args:
            width: in pixels, a multiple of the network's ``info.stride``.
            height: likewise; it need not equal the width.

        Raises:
            ArgumentError: a size is not such a multiple.
        """
        with self._use() as (_, trainer):
            trainer.resize(width, height)

    def non_finite(self) -> str:
        """The first layer and array with NaN or Inf among parameters and gradients, or "".

        Gradients that overflowed in fp16 do not count if :meth:`update` will skip them.
        """
        with self._use() as (_, trainer):
            return trainer.non_finite()

    def state(self) -> State:
        """Everything that a bit-exact continuation needs.

        Returns:
            ``iteration``, ``seen``, and ``arrays``: copies of parameters, momentum, Adam's moments and EMA by
            name (``"gradients/3/weights"``); in fp16 ``loss_scale``: the factor, and its updates so far;
            where there are any, ``skipped``: iterations whose update was skipped.
        """
        with self._use() as (handle, trainer):
            info = trainer.info()
            if info.pending:
                raise ArgumentError(f"{info.pending} images are accumulated; take the state after update()")
            arrays = dict(trainer.arrays(handle.info().layers))
            state: State = {"iteration": info.iteration, "seen": info.seen, "arrays": arrays}
            if info.skipped_updates:
                state["skipped"] = info.skipped_updates
            if info.loss_scale:
                state["loss_scale"] = [info.loss_scale, info.loss_scale_updates]
            return state

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from the result of :meth:`state`, in this or another process.

        Raises:
            ArgumentError: the state is of another network; nothing was changed.
        """
        with self._use() as (handle, trainer):
            arrays: Mapping[str, Floats] = state["arrays"]
            missing = [name for name in _names(trainer, handle.info().layers) if name not in arrays]
            wrong = [name for name, array in arrays.items() if _count(trainer, name) != np.size(array)]
            if missing or wrong:
                name = (missing or wrong)[0]
                raise ArgumentError(f"the state is of another network: {name} is missing or of another size")
            if "loss_scale" in state:
                scale, updates = state["loss_scale"]
                trainer.set_loss_scale(float(scale), int(updates))
            for name, array in arrays.items():
                kind, layer, role = name.split("/")
                trainer.set(kind, int(layer), role, np.ascontiguousarray(np.ravel(array), np.float32))
            counters = (state["iteration"], state["seen"], state.get("skipped", 0))
            trainer.set_counters(*map(int, counters))


def _check_images(handle: EngineHandle, trainer: TrainerHandle, images: Floats) -> None:
    info = trainer.info()
    shape = (handle.info().channels, info.height, info.width)
    if images.ndim != 4 or images.shape[1:] != shape or not len(images):
        expected = ", ".join(map(str, shape))
        raise ArgumentError(f"found images of shape {images.shape}, expected (n, {expected})")


def _names(trainer: TrainerHandle, layers: int) -> Iterator[str]:
    """The arrays that every state of this training has: all but the EMA, which begins during a run."""
    for kind in KINDS:
        for layer in range(layers):
            for role in ROLES:
                if kind != "ema" and trainer.count(kind, layer, role):
                    yield f"{kind}/{layer}/{role}"


def _count(trainer: TrainerHandle, name: str) -> int:
    """Values of an array of the state by its name, 0 where there is none; an EMA is as long as gradients."""
    kind, _, place = name.partition("/")
    try:
        layer, role = place.split("/")
        return trainer.count("gradients" if kind == "ema" else kind, int(layer), role)
    except (ValueError, ArgumentError):
        return 0


def _outputs(handle: EngineHandle, trainer: TrainerHandle, layer: int) -> int:
    """Outputs of a layer at the size that is trained, which need not be the network's own."""
    own, trained = handle.info(), trainer.info()
    if (own.width, own.height) == (trained.width, trained.height):
        return handle.layer(layer).outputs
    twin = handle.clone()
    try:
        twin.resize(trained.width, trained.height)
        return twin.layer(layer).outputs
    finally:
        twin.close()
