# SPDX-License-Identifier: Apache-2.0
"""Shared parts of ``detector map``, ``valid`` and ``recall``: the network and the images of ``valid``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from pydarknet.data import Dataset, Status
from pydarknet.data.io import open_source
from pydarknet.data.issues import Report
from pydarknet.data.records import ReadOptions, to_samples
from pydarknet.engine.darknet_files import read_data, read_names, resolve
from pydarknet.engine.network import Network
from pydarknet.errors import DataError, RecordError
from pydarknet.system.text import lines_of

NOTES = 5  # findings about labels that are printed one by one
BATCH = 4  # images per inference, and between two numbers of the progress


@dataclass(frozen=True)
class DataFile:
    """A ``.data`` file and the files it refers to.

    Args:
        path: the file.

    Raises:
        DataError: it cannot be read.
    """

    path: Path

    def __post_init__(self) -> None:
        if not self.path.is_file():
            raise DataError(f"{self.path}: file not found; expected a .data file with valid and names")

    def entry(self, key: str, default: str = "") -> str:
        """The value of a key.

        Raises:
            DataError: the file has no such key, and there is no default.
        """
        entries = read_data(self.path)
        if key not in entries and not default:
            raise DataError(f"{self.path}: has no line {key} = FILE")
        return entries[key][0] if key in entries else default

    def file(self, key: str, default: str = "") -> Path:
        """The path in a key, relative to the working directory or the file."""
        folder = self.path.absolute().parent
        return resolve(self.entry(key, default), folder.parent, folder)

    @property
    def names(self) -> tuple[str, ...]:
        """The class names."""
        return read_names(self.file("names"))

    def images(self) -> Dataset:
        """The images of ``valid`` with their boxes; an image without a label file has none, as in Darknet.

        Boxes of the label files that the list ``difficult`` names are added as difficult.

        Raises:
            DataError: a list cannot be used.
        """
        dataset = self._unfiltered()
        if not len(dataset):
            raise DataError(f"{self.file('valid')}: no listed image exists")
        issues = [issue for issue in dataset.report.issues if issue.code != "missing-label"]
        for issue in issues[:NOTES]:
            click.echo(f"note: {issue}", err=True)
        if len(issues) > NOTES:
            click.echo(f"note: ... and {len(issues) - NOTES} more", err=True)
        bare = [sample for sample in dataset if sample.status is Status.UNLABELLED]
        if bare:
            click.echo(
                f"note: {len(bare)} images have no label file and count as empty, the first: {bare[0].image}",
                err=True,
            )
        return dataset

    def _unfiltered(self) -> Dataset:
        """All lines of the label files, duplicates included, as in Darknet."""
        names, report = self.names, Report()
        source = open_source(self.file("valid"), "darknet", ReadOptions(names=names), report)
        difficult, samples = self._difficult(), []
        for unit in source.units():
            whole = unit._replace(difficult=difficult.get(unit.image, ""))
            try:
                samples += list(to_samples(source.parse(whole, report), names))
            except RecordError as error:
                report.add(error.code, error.reason, error.file, error.line)
        return Dataset(samples, names, report)

    def _difficult(self) -> dict[str, str]:
        """Image -> what the list ``difficult`` has in its line."""
        if "difficult" not in read_data(self.path):
            return {}
        listed = []
        for key in ("valid", "difficult"):
            file = self.file(key)
            listed.append([str(resolve(line, file.parent)) for line in lines_of(file) if line])
        images, difficult = listed
        if len(images) != len(difficult):
            raise DataError(
                f"{self.file('difficult')}: names {len(difficult)} images, but {self.file('valid')} names "
                f"{len(images)}; both must list the same images line by line"
            )
        return dict(zip(images, difficult, strict=True))


def open_network(data: DataFile, cfg: str, weights: str, device: str) -> Network:
    """The network of an evaluation, with the names of the ``.data`` file.

    Raises:
        DataError: the number of names differs from the number of classes.
    """
    options: dict[str, Any] = {"precision": "fp32", "batch": BATCH, "strict": False, "device": device}
    return Network(cfg, weights, names=data.file("names"), **options)


def darknet_progress(_: str, done: int, total: int | None) -> None:
    """Print the number of images to stderr as Darknet does, every four."""
    if done % BATCH == 1:
        click.echo(f"\r{done - 1 + BATCH}", err=True, nl=False)
    if done == total:
        click.echo(err=True)
