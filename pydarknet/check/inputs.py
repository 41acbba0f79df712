# SPDX-License-Identifier: Apache-2.0
"""Inputs of the rules: cfg, data, weights and the planned run, with derived values."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pydarknet.cfg.model import CfgFile, Problem, Section
from pydarknet.cfg.shapes import Node, Walk, walk
from pydarknet.cfg.trainable import at_possible_size, refusal, refusals, stride_of
from pydarknet.check.data_facts import DataFacts
from pydarknet.errors import WeightsError
from pydarknet.weights import WeightsFile


@dataclass(frozen=True)
class PlannedRun:
    """The planned run.

    Attributes:
        folder: where the run will write; ``backup`` of the ``.data`` file if None.
        clear: count iterations from 0, not from the number in the weights file.
        length_given: the user stated the length of this run, so a short one is intended.
        seconds_per_iteration: measured on this machine, if known.
        max_hours: the run must end within this time.
        memory: bytes that the run may take; asked of the system if None.
        precision: in which the run computes.
        backend: that computes.
    """

    folder: Path | None = None
    clear: bool = False
    length_given: bool = False
    seconds_per_iteration: float | None = None
    max_hours: float | None = None
    memory: int | None = None
    precision: str = "fp32"
    backend: str = "auto"


@dataclass(frozen=True)
class Inputs:
    """Everything that the rules check.

    Attributes:
        cfg: the network and its training settings.
        data: facts about the data set.
        weights: the file to start from; an exception if it cannot be opened.
        run: the planned run.
    """

    cfg: CfgFile
    data: DataFacts | None = None
    weights: WeightsFile | WeightsError | None = None
    run: PlannedRun = field(default_factory=PlannedRun)

    @cached_property
    def stride(self) -> int:
        """Width and height must be multiples of this; 1 for networks without a head that tiles the image."""
        return stride_of(self.cfg)

    @cached_property
    def nodes(self) -> Walk:
        """The layers, as far as they can be understood, at the nearest possible size."""
        return walk(at_possible_size(self.cfg), problems=[])

    @cached_property
    def built(self) -> bool:
        """The engine can build the network, at the nearest possible size."""
        return refusal(at_possible_size(self.cfg)) is None

    @cached_property
    def problems(self) -> list[Problem]:
        """Why the engine or the start of a training refuses the network; empty if they accept it."""
        return refusals(self.cfg)

    @property
    def sound(self) -> bool:
        """The network can be built and trained as it stands: no problems, a possible size, equal parts."""
        sizes = (self.net.integer("width"), self.net.integer("height"))
        parts = self.net.integer("subdivisions")
        even = parts > 0 and self.net.integer("batch") % parts == 0
        return not self.problems and even and not any(size % self.stride for size in sizes)

    @property
    def net(self) -> Section:
        """The ``[net]`` section."""
        return self.cfg.net

    @property
    def heads(self) -> list[Node]:
        """The layers that detect."""
        sections = {id(section) for section in self.cfg.heads}
        return [node for node in self.nodes if id(node.section) in sections]

    @property
    def classes(self) -> int | None:
        """Classes of the first head; None for networks without one."""
        return self.cfg.heads[0].integer("classes") if self.cfg.heads else None

    @property
    def train_images(self) -> int:
        """Images to train on; 0 if unknown."""
        return self.data.train.images if self.data else 0

    @property
    def planned_images(self) -> int:
        """Images that the whole training will process, repetitions counted."""
        return self.net.integer("batch") * self.net.integer("max_batches")

    @property
    def epochs(self) -> float:
        """How often the planned training sees each image; 0 if the data are unknown."""
        return self.planned_images / self.train_images if self.train_images else 0.0

    @property
    def trains(self) -> bool:
        """The cfg describes a training: ``max_batches`` is set."""
        return self.net.integer("max_batches") > 0
