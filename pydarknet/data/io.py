# SPDX-License-Identifier: Apache-2.0
"""Read a data set of any format into memory; write one in any format.

:mod:`pydarknet.data.convert` streams data sets that do not fit into memory.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pydarknet.data import formats
from pydarknet.data.archives import is_archive, unpacked
from pydarknet.data.dataset import Dataset, Sample
from pydarknet.data.issues import Report
from pydarknet.data.joined import joined
from pydarknet.data.output import Output
from pydarknet.data.paths import JOURNAL_NAME
from pydarknet.data.records import LabelSource, ReadOptions, Rules, Unit, cleaned, parse_min_size, to_samples
from pydarknet.data.superseded import BestRecords
from pydarknet.errors import DarknetError, DataError
from pydarknet.system.notify import Progress, counted, no_progress


def read(  # noqa: PLR0913  all but two by name
    path: str | Path,
    format: str = "auto",  # noqa: A002 - the word users know
    *,
    images: str | Path | None = None,
    names: Sequence[str] | None = None,
    coords: str | None = None,
    missing: str = "skip",
    on_error: str = "clip",
    min_size: str = "0",
    min_visible: float = 0.0,
    progress: Progress | None = None,
    **settings: str,
) -> Dataset:
    """Read a data set.

    Args:
        path: file or folder; ``pydarknet convert --help`` lists what each format expects.
        format: name of the format, or ``"auto"`` to detect it by content.
        images: folder of the images if the format does not record it.
        names: class names in order, for formats that do not fix them.
        coords: corner convention instead of the format's own: ``"voc"``, ``"ilsvrc"`` or ``"edge"``.
        missing: ``"skip"`` annotations without an image file, or ``"keep"`` those whose size is known.
        on_error: ``"clip"`` repairs boxes where possible and drops the rest, ``"skip"`` drops every faulty
            box, ``"raise"`` stops at the first.
        min_size: drop smaller boxes; ``"5"`` image pixels or ``"5@416x416"`` network pixels.
        min_visible: drop boxes with a smaller fraction of their area in the image, 0 to 1.
        progress: called with ("read", units done, None); a unit is an image in most formats.
        settings: options of one format, see ``SETTINGS`` in its module.

    Returns:
        The data set; its ``report`` lists everything that was dropped or changed.

    Raises:
        DataError: if the format is unknown, a value lies outside its range, or a file that everything depends
            on is unusable.
    """
    size, network = parse_min_size(min_size)
    rules = Rules(on_error, min_visible, size, network)
    report = Report(strict=on_error == "raise")
    options = ReadOptions(
        None if images is None else Path(images),
        None if names is None else tuple(names),
        coords,
        missing,
        settings,
    )
    source = open_source(Path(path), format, options, report)
    return read_units(source, counted(source.units(), progress or no_progress, "read"), rules, report)


def read_units(source: LabelSource, units: Iterable[Unit], rules: Rules, report: Report) -> Dataset:
    """Read some or all units of an opened source into memory; the data set takes the report."""
    records = list(cleaned(source, units, rules, report))
    best = BestRecords(records)
    records = [record for record in records if best.keeps(record, report)]
    names = source.class_names({box.label for record in records for box in record.boxes if box.label})
    return Dataset(to_samples(records, names), names, report)


def open_source(path: Path, format: str, options: ReadOptions, report: Report) -> LabelSource:  # noqa: A002
    """Open a data set for streaming; detects the format if it is ``"auto"``.

    Raises:
        DataError: if the path does not exist, the format is unknown or has no such setting.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    if is_archive(path):
        path = unpacked(path, trusted=options.trusted)
    name = formats.sniff(path) if format == "auto" else format
    formats.check_settings(name, dict(options.settings))
    with _unreadable(path, name):
        source: LabelSource = formats.load(name).read(path, options, report)
    return replace(source, format=name, units=functools.partial(_readable_units, source.units, path, name))


def _readable_units(units: Callable[[], Iterable[Unit]], path: Path, name: str) -> Iterator[Unit]:
    with _unreadable(path, name):
        yield from units()


@contextlib.contextmanager
def _unreadable(path: Path, name: str) -> Iterator[None]:
    """Report what the system says about a file, such as a folder where the format expects a file."""
    try:
        yield
    except DarknetError:
        raise
    except OSError as error:
        file = path if error.filename is None else os.fsdecode(error.filename)
        raise DataError(f"{file}: cannot be read as {name}: {error.strerror or error}") from None


def open_sources(paths: Sequence[Path], format: str, options: ReadOptions, report: Report) -> LabelSource:  # noqa: A002
    """Open one or several data sets as one, see :func:`open_source`; classes of the same name are one."""
    sources = [open_source(path, format, options, report) for path in paths]
    formats_found = dict.fromkeys(source.format for source in sources)
    return replace(joined(sources, paths[0], report), format=", ".join(formats_found))


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
        dataset: the data set.
        path: folder (or file, for formats of a single file) to create.
        format: one of ``pydarknet.data.formats.writers()``.
        overwrite: write into a folder that already holds something, or over a file.
        options: ``link``, ``layout``, ``unlabelled``, ``ignore``, ``rename`` and ``coords`` of
            :class:`~pydarknet.data.output.Output`; everything else is an option of the format.

    Returns:
        The report of everything that was dropped or changed while writing.

    Raises:
        DataError: if the format cannot be written, the target exists and ``overwrite`` is not set, or the
            data set has no image.
    """
    common = {name: value for name, value in options.items() if name in Output.__dataclass_fields__}
    settings = {name: value for name, value in options.items() if name not in common and value is not None}
    out = Output(Path(path), **common, settings=settings)  # type: ignore[arg-type]
    refuse_occupied(out.root, overwrite)
    write_samples(dataset, dataset.names, out, format)
    if not out.images:
        raise DataError(f"{path}: nothing was written: {out.report.why_nothing()}")
    return out.report


def refuse_occupied(path: Path, overwrite: bool) -> None:
    """Refuse to overwrite; the chunks of an interrupted conversion (``.convert``) do not count.

    Raises:
        DataError: if the path is a file or a folder that is not empty, and ``overwrite`` is not set.
    """
    occupied = any(e.name != JOURNAL_NAME for e in path.iterdir()) if path.is_dir() else path.exists()
    if occupied and not overwrite:
        raise DataError(f"{path} is not empty; choose another path, or allow overwriting")


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
