# SPDX-License-Identifier: Apache-2.0
"""``read`` a data set of any format into memory, ``write`` one in any format.

For sets that should not be held in memory see :mod:`pydarknet.data.convert`, which streams.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pydarknet.data import formats
from pydarknet.data.archives import is_archive, unpacked
from pydarknet.data.dataset import Dataset, Sample
from pydarknet.data.issues import Report
from pydarknet.data.output import Output
from pydarknet.data.paths import JOURNAL_NAME
from pydarknet.data.records import ReadOptions, Rules, Source, Unit, parse_clean, parse_min_size, to_sample
from pydarknet.errors import DataError


def read(
    path: str | Path,
    format: str = "auto",  # noqa: A002 - the word users know
    *,
    images: str | Path | None = None,
    names: Sequence[str] | None = None,
    coords: str | None = None,
    missing: str = "skip",
    on_error: str = "clip",
    min_size: str = "0",
    progress: Callable[[Iterable[Unit]], Iterable[Unit]] = iter,
    **settings: str,
) -> Dataset:
    """Read a data set.

    Args:
        path: file or folder; ``pydarknet convert --help`` lists what each format expects.
        format: name of the format, or ``"auto"`` to tell it by content.
        images: folder of the images where the format does not say.
        names: class names in order, for formats that do not fix them.
        coords: corner convention instead of the format's own: ``"voc"``, ``"ilsvrc"`` or ``"edge"``.
        missing: ``"skip"`` annotations without an image file, or ``"keep"`` those whose size is known.
        on_error: ``"clip"`` repairs boxes where possible and drops the rest, ``"skip"`` drops every faulty
            box, ``"raise"`` stops at the first.
        min_size: drop smaller boxes; ``"5"`` image pixels or ``"5@416x416"`` network pixels.
        progress: passes on the units of the source, mostly images, and shows how far they are.
        settings: options of one format, see ``SETTINGS`` in its module.

    Returns:
        The data set; its ``report`` lists everything that was dropped or changed.

    Raises:
        DataError: if the format is unknown, or a file that everything depends on is unusable.
    """
    size, network = parse_min_size(min_size)
    rules = Rules(on_error, min_size=size, network=network)
    report = Report(strict=on_error == "raise")
    options = ReadOptions(
        None if images is None else Path(images),
        None if names is None else tuple(names),
        coords,
        missing,
        settings,
    )
    source = open_source(Path(path), format, options, report)
    records = [
        record for unit in progress(source.units()) for record in parse_clean(source, unit, rules, report)
    ]
    labels = {box.label for record in records for box in record.boxes if box.label}
    class_names = source.names if source.names is not None else source.order(labels)
    index = {name: i for i, name in enumerate(class_names)}
    return Dataset((to_sample(record, index) for record in records), class_names, report)


def open_source(path: Path, format: str, options: ReadOptions, report: Report) -> Source:  # noqa: A002
    """The stream of a data set; finds the format if it is ``"auto"``.

    Raises:
        DataError: if the path does not exist, the format is unknown or has no such setting.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    if is_archive(path):
        path = unpacked(path)
    name = formats.sniff(path) if format == "auto" else format
    formats.check_settings(name, dict(options.settings))
    source: Source = formats.load(name).read(path, options, report)
    return source


def write(
    dataset: Dataset,
    path: str | Path,
    format: str = "darknet",  # noqa: A002
    *,
    overwrite: bool = False,
    **options: str | None,
) -> Report:
    """Write a data set.

    Args:
        dataset: what to write.
        path: folder (or file, for formats of a single file) to make.
        format: one of ``pydarknet.data.formats.writers()``.
        overwrite: write into a folder that already holds something, or over a file.
        options: ``link``, ``layout``, ``unlabelled``, ``ignore``, ``rename`` and ``coords`` of
            :class:`~pydarknet.data.output.Output`; everything else is an option of the format.

    Returns:
        What was dropped or changed on the way out.

    Raises:
        DataError: if the format cannot be written, or something is in the way.
    """
    common = {name: value for name, value in options.items() if name in Output.__dataclass_fields__}
    settings = {name: value for name, value in options.items() if name not in common and value is not None}
    out = Output(Path(path), **common, settings=settings)  # type: ignore[arg-type]
    refuse_occupied(out.root, overwrite)
    write_samples(dataset, dataset.names, out, format)
    return out.report


def refuse_occupied(path: Path, overwrite: bool) -> None:
    """Refuse to write where something already is; what a stopped conversion parsed (``.convert``) is nothing.

    Raises:
        DataError: if the path is a file, or a folder with something in it, and ``overwrite`` is not set.
    """
    occupied = any(e.name != JOURNAL_NAME for e in path.iterdir()) if path.is_dir() else path.exists()
    if occupied and not overwrite:
        raise DataError(f"{path} is not empty; choose another place, or allow overwriting")


def write_samples(samples: Iterable[Sample], names: tuple[str, ...], out: Output, format_name: str) -> None:
    """Write a stream of samples.

    Raises:
        DataError: if the format cannot be written.
    """
    module = formats.load(format_name)
    if not hasattr(module, "write"):
        writable = ", ".join(formats.writers())
        raise DataError(f"format {format_name!r} can only be read; writable: {writable}")
    formats.check_settings(format_name, dict(out.settings))
    module.write(samples, names, out)
