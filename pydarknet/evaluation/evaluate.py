# SPDX-License-Identifier: Apache-2.0
"""Evaluate a network on a data set."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pydarknet.data import Dataset, Sample, Status, read
from pydarknet.data.io import open_source, read_units
from pydarknet.data.issues import NOTE_CODES, Report
from pydarknet.data.paths import split_of
from pydarknet.data.records import ReadOptions, Rules
from pydarknet.engine.network import Network
from pydarknet.errors import ArgumentError, DataError
from pydarknet.evaluation.collect import collect
from pydarknet.evaluation.columns import Judged
from pydarknet.evaluation.darknet_map import NMS, SCORE
from pydarknet.evaluation.evaluation import Evaluation
from pydarknet.system.notify import Progress, no_progress

_log = logging.getLogger("pydarknet")

#: Detections on all readable images, in order.
Collector = Callable[[Sequence[Sample]], list[Judged]]


def evaluate(  # noqa: PLR0913  all but two by name
    network: Network,
    data: Dataset | str | Path,
    *,
    split: str = "valid",
    thresh: float = 0.25,
    iou_thresh: float = 0.5,
    points: int = 0,
    score: float = SCORE,
    nms: float = NMS,
    letterbox: bool | None = None,
    collector: Collector | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluate a network on labelled images.

    Args:
        network: the network.
        data: a data set, or the path of one in any format that :func:`pydarknet.data.read` reads.
        split: ``valid``, ``train``, ``test`` or ``all``; a set without splits is used whole.
        thresh: confidence above which detections are counted, 0..1.
        iou_thresh: overlap above which a detection belongs to a truth, in Darknet's protocol, 0..1.
        points: of recall in Darknet's protocol: 11 or 101; 0 for the area under the curve.
        score: confidence above which a detection is kept at all, 0..1.
        nms: overlap above which the weaker of two boxes is suppressed, 0..1.
        letterbox: keep the aspect ratio of images; by default as the cfg says.
        collector: detects in place of the network, as :func:`pydarknet.evaluation.spread.collect_by` does on
            many machines; ``score``, ``nms``, ``letterbox`` and ``progress`` are its own.
        progress: receives the number of images done.

    Raises:
        DataError: the data set cannot be used, has no such split, or has other classes than the network.
        ArgumentError: the split is unknown, or the network is not a :class:`pydarknet.Network`.
    """
    from pydarknet.data.album import ImageCache

    if isinstance(network, str | Path):
        raise ArgumentError(f"found {str(network)!r} as network, expected Network({str(network)!r})")
    dataset = labelled(data, split)
    ids = class_ids(network, dataset)
    if collector:
        found = collector(dataset.samples)
    else:
        album, report = ImageCache(dataset.samples, network.info.channels), progress or no_progress
        found = collect(network, album, score=score, nms=nms, letterbox=letterbox, progress=report)
    images = [replace(image, classes=ids[image.classes]) for image in found]
    return Evaluation(images, dataset.names, thresh=thresh, iou_thresh=iou_thresh, points=points)


def labelled(data: Dataset | str | Path, split: str = "valid") -> Dataset:
    """The labelled images of a split.

    Args:
        data: a data set, or the path of one.
        split: see :func:`evaluate`.

    Raises:
        DataError: there are none.
        ArgumentError: the split is unknown.
    """
    wanted = "" if split == "all" else split_of(split)
    if split != "all" and not wanted:
        raise ArgumentError(f"found split {split!r}; expected valid, train, test or all")
    where = "the data set" if isinstance(data, Dataset) else str(data)
    dataset, others = (data, ()) if isinstance(data, Dataset) else _read(data, wanted)
    if dataset is not data:
        _tell(where, dataset.report)
    there = tuple(dict.fromkeys([*dataset.splits, *others]))
    samples = [sample for sample in dataset if not wanted or sample.split == wanted]
    if not samples and set(there) <= {""}:
        samples = list(dataset)
    if not samples:
        listed = ", ".join(name or "images of no split" for name in there) or "no images"
        raise DataError(f"{where}: has no images of the split {split}; there are {listed}")
    known = [s for s in samples if not s.emptied and s.status is not Status.UNLABELLED]
    if not known:
        raise DataError(f"{where}: none of {len(samples)} images has a label file with a usable box")
    if len(known) < len(samples):
        _log.warning(
            "%d of %d images have no label file or no usable box and are left out",
            len(samples) - len(known),
            len(samples),
        )
    return dataset.replace(samples=known)


def _tell(where: str, report: Report) -> None:
    """Report what the reader dropped or changed: only the rest is evaluated."""
    passed = {*NOTE_CODES, "missing-label"}
    counts = {code: count for code, count in report.counts.most_common() if code not in passed}
    if counts:
        kinds = ", ".join(f"{count} {code}" for code, count in counts.items())
        examples = "".join(f"\n  {report.examples[code][0]}" for code in counts)
        _log.warning(
            "%s: not everything is used as it stands: %s; of each the first:%s", where, kinds, examples
        )


def _read(path: str | Path, wanted: str) -> tuple[Dataset, Iterable[str]]:
    """The data set, and splits whose labels were not read because they are not needed."""
    others: dict[str, None] = {}

    def of_split(unit: Any) -> bool:
        # The images of Darknet's lists know their split before their labels are read.
        split = getattr(unit, "split", "")
        if not wanted or split in ("", wanted):
            return True
        others[split] = None
        return False

    report = Report()
    source = open_source(Path(path), "auto", ReadOptions(), report)
    dataset = read_units(source, filter(of_split, source.units()), Rules(), report)
    notes = [issue.message for issue in dataset.report.issues if issue.code == "note"]
    if (
        wanted == "val"
        and not len(dataset)
        and any(note.startswith("valid names the same") for note in notes)
    ):
        _log.warning("%s: valid is the list of the training images", path)
        whole = read(path)
        return whole.replace(samples=[s.replace(split="val") for s in whole if s.split == "train"]), ()
    return dataset, others


def class_ids(network: Network, dataset: Dataset) -> npt.NDArray[np.int64]:
    """The data set's id of each class of the network: by name, where the network knows names.

    Raises:
        DataError: the numbers of classes differ, or a name is of one of them only.
    """
    count, names = network.info.classes, network.names
    if not count:
        raise DataError(f"{network.cfg}: has no head that detects, so there is nothing to measure")
    if len(dataset.names) != count:
        raise DataError(
            f"the data set has {len(dataset.names)} classes ({_some(dataset.names)}), the network has {count}"
        )
    numbered = names == tuple(str(i) for i in range(count))
    if numbered or names == dataset.names:
        return np.arange(count)
    if unknown := [name for name in names if name not in dataset.names]:
        raise DataError(
            f"the network has classes missing from the data set: {_some(unknown)}; the data set has "
            f"{_some(dataset.names)}. If only the names differ, write a .names file with the names of the "
            "data set beside the weights"
        )
    _log.warning(
        "the classes of the network are in a different order than those of the data set; matched by name"
    )
    return np.array([dataset.names.index(name) for name in names])


def _some(names: Iterable[str], most: int = 8) -> str:
    listed = list(names)
    return ", ".join(listed[:most]) + (", ..." if len(listed) > most else "")
