# SPDX-License-Identifier: Apache-2.0
"""``pydarknet detect``: objects in images, as annotated pictures and Darknet's JSON."""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import click

from pydarknet import darknet_json
from pydarknet.cli.options import computing, network_files, precision_option
from pydarknet.data import engines
from pydarknet.detections import Detections
from pydarknet.errors import DataError, FileError
from pydarknet.files import replacing, write_text
from pydarknet.network import Network


@click.command("detect")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@network_files
@click.option("--names", metavar="FILE", help="Class names, one per line. Default: class numbers.")
@click.option("--thresh", type=click.FloatRange(0, 1), default=0.25, show_default=True, help="Confidence.")
@click.option(
    "--nms", type=click.FloatRange(0, 1), default=0.45, show_default=True, help="0: keep all boxes."
)
@click.option(
    "--letterbox/--stretch", default=None, help="Fit images by padding or stretching. Default: cfg."
)
@click.option("--out", default="predictions", show_default=True, metavar="DIR", help="Where pictures go.")
@click.option("--json", "json_path", metavar="FILE", help="Darknet JSON. Default: DIR/detections.json.")
@click.option("--batch", type=click.IntRange(1), default=1, show_default=True, help="Images at once.")
@click.option("--engine", default="local", show_default=True, help="ray spreads batches over a Ray cluster.")
@precision_option
@computing
def command(
    images: tuple[str, ...],
    cfg: str,
    weights: str | None,
    names: str | None,
    thresh: float,
    nms: float,
    letterbox: bool | None,
    out: str,
    json_path: str | None,
    batch: int,
    engine: str,
    precision: str,
    backend: str,
    threads: int | None,
    lenient: bool,
) -> int:
    """Find objects in images: annotated pictures and Darknet JSON.

    An image that cannot be read is reported and the others go on; the exit code is then 1.

    \b
    Examples:
      pydarknet detect --cfg yolov4.cfg --weights yolov4.weights --names coco.names dog.jpg
      pydarknet detect --cfg c.cfg --weights c.weights --thresh 0.5 --json found.json *.jpg
    """
    if weights is None:
        raise click.UsageError("Missing option '--weights'; a network with random weights finds nothing.")
    options = {"backend": backend, "precision": precision, "batch": batch, "threads": threads}
    job = _Job(cfg, weights, names, tuple(options.items()), not lenient, thresh, nms, letterbox)
    batches = [list(images[first : first + batch]) for first in range(0, len(images), batch)]
    records: list[str] = []
    failed = 0
    targets = _targets(images, Path(out))
    with contextlib.closing(_results(job, batches, engine)) as results:
        for path, found, seconds in results:
            if isinstance(found, DataError):
                click.echo(f"error: {found}", err=True)
                failed += 1
                continue
            _save_picture(targets[path], path, found)
            records.append(found.to_json(path, len(records) + 1))
            click.echo(f"{path}: {found.count_text() or 'nothing'} ({seconds * 1e3:.0f} ms)")
    target = Path(json_path) if json_path else Path(out) / "detections.json"
    write_text(target, darknet_json.format_file(records))
    click.echo(f"{len(records)} pictures in {out}, detections in {target}")
    return 1 if failed else 0


_Result: TypeAlias = "tuple[str, Detections | DataError, float]"
"""Path, detections or the reason why not, and seconds per image."""


@dataclass(frozen=True)
class _Job:
    """All that the result depends on besides the images; can be sent to another machine."""

    cfg: str
    weights: str
    names: str | None
    options: tuple[tuple[str, Any], ...]
    strict: bool
    thresh: float
    nms: float
    letterbox: bool | None

    def open(self) -> Network:
        return Network(self.cfg, self.weights, names=self.names, strict=self.strict, **dict(self.options))

    def __call__(self, batch: list[str]) -> list[_Result]:
        """Runs in a worker, which keeps the network for the next batch."""
        return list(self.detect(_opened(self), batch))

    def detect(self, network: Network, batch: list[str]) -> Iterator[_Result]:
        start = time.perf_counter()
        found: list[Detections | DataError]
        try:
            found = [*network.detect(batch, self.thresh, self.nms, self.letterbox)]
        except DataError:  # one of them is bad: take them singly, so that the others are not lost
            found = [self._detect_one(network, path) for path in batch]
        seconds = (time.perf_counter() - start) / len(batch)
        yield from ((path, result, seconds) for path, result in zip(batch, found, strict=True))

    def _detect_one(self, network: Network, path: str) -> Detections | DataError:
        try:
            return network.detect(path, self.thresh, self.nms, self.letterbox)
        except DataError as error:
            return error


@functools.lru_cache(maxsize=1)
def _opened(job: _Job) -> Network:
    return job.open()


def _results(job: _Job, batches: list[list[str]], engine: str) -> Generator[_Result, None, None]:
    """The results in the order of the images, computed here or where an engine puts the work."""
    if engine != "local":
        for found in engines.by_name(engine)(job, batches, os.cpu_count() or 1):
            yield from found
        return
    with job.open() as network:
        for batch in batches:
            yield from job.detect(network, batch)


def _targets(images: Sequence[str], folder: Path) -> dict[str, Path]:
    """Where each annotated picture goes: under its own name, numbered where two images have the same."""
    targets: dict[str, Path] = {}
    taken: set[str] = set()
    for image in dict.fromkeys(images):
        stem = name = Path(image).stem
        number = 1
        while name in taken:
            number += 1
            name = f"{stem}_{number}"
        taken.add(name)
        targets[image] = folder / f"{name}.jpg"
    return targets


def _save_picture(target: Path, image: str, found: Detections) -> None:
    import cv2

    if target.resolve() == Path(image).resolve():
        raise FileError(f"{target}: is the input image and would be overwritten; choose another --out")
    picture = found.plot(image)
    with replacing(target) as temporary:
        cv2.imwrite(str(temporary), picture, [cv2.IMWRITE_JPEG_QUALITY, 92])
