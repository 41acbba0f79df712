# SPDX-License-Identifier: Apache-2.0
"""Shared parts of the ``pydarknet data`` commands: read a set, write the result, print the changes."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from pydarknet.cli._impl.bars import Bars
from pydarknet.data import Dataset, Report, read
from pydarknet.data.classes import parse_classes
from pydarknet.data.formats import check_settings
from pydarknet.data.image_lists import has_darknet_labels, write_lists
from pydarknet.data.io import refuse_occupied, write_samples
from pydarknet.data.ops import class_counts
from pydarknet.data.output import LAYOUTS, LINKS, Output
from pydarknet.errors import DataError
from pydarknet.system.notify import counted

Function = Callable[..., Any]

_SHOWN_CLASSES = 20
LISTS = "lists"  #: pseudo-format: lists, .names and .data only


def _with(options: Sequence[Callable[[Function], Function]], function: Function) -> Function:
    for option in reversed(options):
        function = option(function)
    return function


_PATH = click.Path(exists=True, path_type=Path)
_READING = (
    click.option("--from", "from_", default="auto", show_default=True, help="Format; auto detects it."),
    click.option("--names", help="Class names in order (a,b,c or a file), if the source has none."),
    click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Option of the format."),
)


def _folder(*flags: str) -> Callable[[Function], Function]:
    kind = click.Path(exists=True, file_okay=False, path_type=Path)
    return click.option(*flags, "folder", type=kind, help="Folder of the images, if the source has none.")


def reads(function: Function, folder: Sequence[str] = ("--images", "--image-folder")) -> Function:
    """Give a command the argument SOURCE and the options of reading; it gets ``dataset``.

    ``folder`` names the option for the folder of images. The source's path is the context's ``obj``.
    """

    @functools.wraps(function)
    def wrapper(source: Path, **given: Any) -> Any:
        click.get_current_context().obj = source
        return function(dataset=open_dataset(source, given), **given)

    return _with((click.argument("source", type=_PATH), _folder(*folder), *_READING), wrapper)


MIN_VISIBLE = click.option(
    "--min-visible",
    default=0.0,
    metavar="SHARE",
    help="Drop boxes with a smaller fraction of their area in the image.",
)


def reads_many(function: Function) -> Function:
    """The same for several sources, with ``--min-visible``; the command gets ``datasets``."""

    @functools.wraps(function)
    def wrapper(sources: tuple[Path, ...], **given: Any) -> Any:
        options = {name: given.pop(name) for name in ("folder", "from_", "names", "settings", "min_visible")}
        return function(datasets=[open_dataset(source, dict(options)) for source in sources], **given)

    argument = click.argument("sources", type=_PATH, nargs=-1, required=True)
    return _with((argument, _folder("--images", "--image-folder"), *_READING, MIN_VISIBLE), wrapper)


def open_dataset(source: Path, given: dict[str, Any]) -> Dataset:
    """Read a set; removes the reading options from ``given``.

    Raises:
        DataError: it cannot be read, or has no image.
    """
    names = given.pop("names")
    with Bars() as bars:
        dataset = read(
            source,
            given.pop("from_"),
            images=given.pop("folder"),
            names=parse_classes(names) if names else None,
            min_visible=given.pop("min_visible", 0.0),
            progress=bars,
            **_pairs(given.pop("settings")),
        )
    if not len(dataset):
        raise DataError(f"{source}: no image was read: {dataset.report.why_nothing()}")
    return dataset


def _pairs(texts: Sequence[str]) -> dict[str, str]:
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise click.UsageError(
                f"--set {text}: expected KEY=VALUE; pydarknet convert --formats lists them"
            )
        found[key.strip()] = value.strip()
    return found


@dataclass(frozen=True)
class Target:
    """Place and form of a written result; see :func:`writes` for the options."""

    out: Path | None
    to: str | None
    link: str
    layout: str | None
    rename: str | None
    overwrite: bool
    as_json: bool

    def save(self, dataset: Dataset, *, relabelled: bool, folder: str = "") -> str:
        """Write a set, if the user gave a place.

        Args:
            dataset: the set.
            relabelled: whether boxes or classes differ from the label files of the source.
            folder: below ``out``.

        Returns:
            A line to print.
        """
        if self.out is None:
            return "nothing is written without --out"
        root = self.out / folder
        to = self.to or (LISTS if not relabelled and has_darknet_labels(dataset) else "darknet")
        if to == LISTS:
            return f"written: {self._lists(dataset, root, relabelled)} (images and labels are not moved)"
        if len({sample.image for sample in dataset}) < len(dataset):
            raise DataError("images listed several times can only be written as lists; use --to lists")
        check_settings(to, {})
        out = Output(root, link=self.link, layout=self.layout, rename=self.rename, report=dataset.report)
        refuse_occupied(out.root, self.overwrite)
        with Bars() as bars:
            write_samples(counted(dataset.samples, bars, "write"), dataset.names, out, to)
        if not out.images:
            raise DataError(f"nothing was written: {dataset.report.why_nothing()}")
        return f"written: {root} ({to})"

    def _lists(self, dataset: Dataset, root: Path, relabelled: bool) -> Path:
        if relabelled:
            raise DataError(
                "boxes or classes changed, so lists alone would refer to the old labels; use --to"
            )
        if not has_darknet_labels(dataset):
            raise DataError(
                "the labels are not in Darknet's format, so lists alone are not enough; use --to darknet"
            )
        write_lists(dataset, root, overwrite=self.overwrite)
        return root / "obj.data"

    def finish(self, before: Dataset, after: Dataset, *, relabelled: bool) -> int:
        """Save, print the changes, and return the exit code."""
        line = self.save(after, relabelled=relabelled)
        if self.as_json:
            counts = {"before": summary(before), "after": summary(after), "report": dict(after.report.counts)}
            click.echo(json.dumps(counts, indent=2))
        else:
            click.echo(comparison(before, after))
            show_report(after.report)
            click.echo(line)
        return 1 if after.report.errors else 0


def writes(function: Function) -> Function:
    """Give a command the options of writing; it gets ``target``."""

    @functools.wraps(function)
    def wrapper(**given: Any) -> Any:
        own = {name: given.pop(name) for name in Target.__dataclass_fields__}
        return function(target=Target(**own), **given)

    options = (
        click.option("--out", type=click.Path(path_type=Path), help="Folder to write. Default: only show."),
        click.option(
            "--to",
            help="Format to write. Default: lists (only lists, .names and .data) if the label files "
            "are still valid, else darknet.",
        ),
        click.option(
            "--link",
            type=click.Choice(LINKS),
            default="hard",
            show_default=True,
            help="How to place images.",
        ),
        click.option("--layout", type=click.Choice(LAYOUTS), help="Labels beside images or in a tree."),
        click.option(
            "--rename", type=click.Choice(["prefix", "hash"]), help="Rename images of the same name."
        ),
        click.option("--overwrite", is_flag=True, help="Overwrite existing files."),
        click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON."),
    )
    return _with(options, wrapper)


def summary(dataset: Dataset) -> dict[str, Any]:
    """Images and boxes per split, and ordinary boxes per class."""
    counts = class_counts(dataset)
    return {
        "images": {split or "unsplit": len(dataset.only(split)) for split in dataset.splits},
        "classes": {name: counts[number] for number, name in enumerate(dataset.names)},
        "boxes": dataset.box_count,
    }


def comparison(before: Dataset, after: Dataset) -> str:
    """Images per split and boxes per class, before and after."""
    old, new = summary(before), summary(after)
    splits = ", ".join(f"{name} {count}" for name, count in new["images"].items())
    lines = [f"images: {len(before)} -> {len(after)} ({splits})", f"boxes: {old['boxes']} -> {new['boxes']}"]
    per_split = {split: class_counts(after.only(split)) for split in after.splits}
    width = max((len(name) for name in new["classes"]), default=0)
    ranked = sorted(enumerate(after.names), key=lambda item: -new["classes"][item[1]])
    for number, name in ranked[:_SHOWN_CLASSES]:
        parts = ", ".join(f"{split or 'unsplit'} {counts[number]}" for split, counts in per_split.items())
        was = f"{old['classes'][name]:7} ->" if name in old["classes"] else " " * 10
        lines.append(f"  {name:{width}} {was} {new['classes'][name]:7}  ({parts})")
    if len(ranked) > _SHOWN_CLASSES:
        lines.append(f"  and {len(ranked) - _SHOWN_CLASSES} more classes")
    return "\n".join(lines)


def show_report(report: Report) -> None:
    """Print what was dropped or changed to standard error."""
    if len(report):
        click.echo(str(report), err=True)
