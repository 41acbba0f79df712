# SPDX-License-Identifier: Apache-2.0
"""``pydarknet convert``: convert a data set of any label format to any other, and report every loss."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from pydarknet.cli._impl.bars import Bars
from pydarknet.cli._impl.data import MIN_VISIBLE
from pydarknet.cli._impl.own_output import own_output
from pydarknet.data import convert as conversion
from pydarknet.data.classes import ClassPlan, parse_classes, parse_renames
from pydarknet.data.coords import CONVENTIONS
from pydarknet.data.executors import Engine, by_name
from pydarknet.data.formats import FORMATS, check_settings, load
from pydarknet.data.output import IGNORE_POLICIES, LAYOUTS, LINKS, Output
from pydarknet.data.records import ReadOptions, Rules, parse_min_size, parse_splits
from pydarknet.errors import DataError

EPILOG = """\b
Examples:
  pydarknet convert VOCdevkit/VOC2012 --out ds
  pydarknet convert export.zip --out ds --link copy
  pydarknet convert output.manifest --images photos --out ds --set labels_json=labels.json
  pydarknet convert annotation_train.odgt --out ds --classes head:hbox,person:fbox --min-size 5@416x416
  pydarknet convert annotation_train.odgt annotation_val.odgt --images Images --out ds
  pydarknet convert ILSVRC --out ds --top-classes 10 --jobs 8
  pydarknet convert ds/obj.data --to coco --out ds-coco
  pydarknet convert --formats

\b
Exit codes: 0 done; 1 failed, or done with records lost to errors (see the report); 2 usage; 130 interrupted
(run the same command to resume).
"""


def _show_formats(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    for name, title in FORMATS.items():
        module = load(name)
        click.echo(f"{name:12} {'read, write' if hasattr(module, 'write') else 'read':12} {title}")
        for key, text in getattr(module, "SETTINGS", {}).items():
            click.echo(f"{'':14}--set {key}=…  {text}")
    ctx.exit()


@click.command(epilog=EPILOG, context_settings={"max_content_width": 110})
@click.argument("sources", type=click.Path(exists=True, path_type=Path), nargs=-1, required=True)
@click.option(
    "--out", "target", required=True, type=click.Path(path_type=Path), help="Folder (or file) to write."
)
@click.option(
    "--from", "from_", default="auto", show_default=True, help="Format of SOURCE; auto detects it by content."
)
@click.option("--to", default="darknet", show_default=True, help="Format to write; see --formats.")
@click.option(
    "--images", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Folder of the images."
)
@click.option("--names", help="Class names in order (a,b,c or a file), if the source does not define them.")
@click.option("--classes", help="Keep only these classes, in this order (a,b,c or a file).")
@click.option(
    "--map", "maps", multiple=True, metavar="OLD=NEW", help="Rename a class; OLD= drops it. Repeatable."
)
@click.option("--merge", "merges", multiple=True, metavar="NEW=A,B", help="Merge classes. Repeatable.")
@click.option(
    "--class-map",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File of OLD = NEW lines.",
)
@click.option("--top-classes", type=click.IntRange(1), metavar="N", help="Keep the N most frequent classes.")
@click.option(
    "--by",
    type=click.Choice(["images", "boxes"]),
    default="images",
    show_default=True,
    help="Unit of frequency for --top-classes.",
)
@click.option(
    "--limit-per-class", type=click.IntRange(1), metavar="N", help="At most N images per class and split."
)
@click.option("--seed", default=0, show_default=True, help="Seed of the choice of --limit-per-class.")
@click.option(
    "--min-size", default="0", metavar="N[@WxH]", help="Drop boxes under N pixels (of a WxH network)."
)
@click.option("--min-size-splits", metavar="A,B", help="Splits --min-size applies to. [default: all]")
@MIN_VISIBLE
@click.option(
    "--coords",
    type=click.Choice(list(CONVENTIONS)),
    help="Meaning of pixel corners, in place of the format's convention.",
)
@click.option("--layout", type=click.Choice(LAYOUTS), help="Labels beside the images, or in a separate tree.")
@click.option(
    "--unlabelled",
    type=click.Choice(["exclude", "negatives"]),
    default="exclude",
    show_default=True,
    help="Images without annotation.",
)
@click.option(
    "--ignore",
    type=click.Choice(IGNORE_POLICIES),
    default="keep",
    show_default=True,
    help="Difficult, crowd and ignore boxes.",
)
@click.option("--keep-emptied", is_flag=True, help="Write images that lost all their boxes as empty ones.")
@click.option(
    "--missing-images",
    type=click.Choice(["skip", "keep"]),
    default="skip",
    show_default=True,
    help="Annotations without an image.",
)
@click.option(
    "--on-error",
    type=click.Choice(["raise", "skip", "clip"]),
    default="clip",
    show_default=True,
    help="Faulty boxes: stop, drop, or repair if possible.",
)
@click.option("--max-errors", type=click.IntRange(0), metavar="N", help="Stop after N errors.")
@click.option(
    "--link",
    type=click.Choice(LINKS),
    default="hard",
    show_default=True,
    help="How to place images in the folder.",
)
@click.option(
    "--trust-archive", "trusted", is_flag=True, help="Unpack archives that grow to over 100 times their size."
)
@click.option("--rename", type=click.Choice(["prefix", "hash"]), help="Rename images of the same name.")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Option of the source's format. Repeatable."
)
@click.option(
    "--set-out", "out_settings", multiple=True, metavar="KEY=VALUE", help="Option of the target's format."
)
@click.option(
    "--jobs",
    type=click.IntRange(1),
    default=os.cpu_count() or 1,
    show_default="all cores",
    help="Worker processes.",
)
@click.option(
    "--engine", default="local", show_default=True, help="Where to parse chunks; ray uses a Ray cluster."
)
@click.option("--overwrite", is_flag=True, help="Overwrite existing files.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option(
    "--formats",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_formats,
    help="List formats and their options.",
)
def command(**given: Any) -> int:
    """Convert a data set (files, folders or archives) into another format.

    Several SOURCES become one set; classes of the same name are one class.
    Nothing is dropped silently: OUT/convert_report.json lists every box and image that was changed or
    left out. Images are never changed; they are linked or copied.
    """
    job, out = _job(given), _output(given)
    engine: Engine = by_name(given["engine"])
    with Bars(quiet=given["as_json"]) as bars, own_output():
        result = conversion.convert(
            job,
            out,
            jobs=given["jobs"],
            overwrite=given["overwrite"],
            max_errors=given["max_errors"],
            engine=engine,
            progress=bars,
        )
    if given["as_json"]:
        click.echo(conversion.result_json(result, job))
    else:
        _print(result)
    if not result.images["written"]:
        raise DataError(f"nothing was written: {result.report.why_nothing()}")
    return 1 if result.report.errors else 0


def _job(given: dict[str, Any]) -> conversion.ConvertJob:
    settings = _pairs(given["settings"], "--set")
    classes = given["classes"]
    if classes and ":" in classes and not Path(classes).is_file():  # CrowdHuman: which box is which class
        settings["boxes"], classes = classes, None
    size, network = parse_min_size(given["min_size"])
    splits = given["min_size_splits"]
    return conversion.ConvertJob(
        source=given["sources"][0].absolute(),
        more=tuple(source.absolute() for source in given["sources"][1:]),
        to=given["to"],
        format=given["from_"],
        options=ReadOptions(
            images=given["images"],
            names=parse_classes(given["names"]) if given["names"] else None,
            coords=given["coords"],
            missing=given["missing_images"],
            settings=settings,
            trusted=given["trusted"],
        ),
        rules=Rules(
            given["on_error"], given["min_visible"], size, network, parse_splits(splits) if splits else None
        ),
        classes=ClassPlan(
            renames=parse_renames(given["maps"], given["merges"], given["class_map"]),
            keep=parse_classes(classes) if classes else None,
            top=given["top_classes"],
            by=given["by"],
        ),
        limit=given["limit_per_class"],
        seed=given["seed"],
        keep_emptied=given["keep_emptied"],
    )


def _output(given: dict[str, Any]) -> Output:
    settings = _pairs(given["out_settings"], "--set-out")
    check_settings(given["to"], settings)
    return Output(
        root=given["target"],
        link=given["link"],
        layout=given["layout"],
        unlabelled=given["unlabelled"],
        ignore=given["ignore"],
        rename=given["rename"],
        settings=settings,
    )


def _pairs(texts: tuple[str, ...], option: str) -> dict[str, str]:
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise DataError(
                f"{option} {text}: expected KEY=VALUE; pydarknet convert --formats lists the keys"
            )
        found[key.strip()] = value.strip()
    return found


def _print(result: conversion.ConvertResult) -> None:
    images, boxes = result.images, result.boxes
    known = ", ".join(f"{count} {status}" for status, count in images.items() if status != "written")
    click.echo(f"format {result.format}: {known or 'no images'}")
    aside = f", {boxes['ignored']} ignored boxes" if boxes["ignored"] else ""
    counts = f"{images['written']} images, {boxes['written']} boxes{aside}, {len(result.names)} classes"
    click.echo(f"written: {counts}")
    if result.deselected:
        listed = sorted(result.deselected.items(), key=lambda item: -item[1])
        more = f" and {len(listed) - 5} more classes" if len(listed) > 5 else ""
        click.echo(f"not selected: {', '.join(f'{count} {name}' for name, count in listed[:5])}{more}")
    if len(result.report):
        click.echo(str(result.report))
    click.echo(f"report: {result.report_file}")
