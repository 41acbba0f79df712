# SPDX-License-Identifier: Apache-2.0
"""``pydarknet cfg``: create, show, explain, compare and change cfg files."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import click

from pydarknet.cli._impl.options import BYTES, SIZE, CfgOfModel, device_option
from pydarknet.engine.precisions import PRECISIONS
from pydarknet.errors import CfgError, FileError

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
CFG_OF_MODEL = CfgOfModel(exists=True, dir_okay=False, path_type=Path)
OUTPUT = click.Path(dir_okay=False, path_type=Path)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class _Group(click.Group):
    """The subcommands of ``cfg``."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the subcommand; a former name is an error that gives the current one."""
        if args[0] == "modernise":
            ctx.fail("No such command 'modernise'; it is now called 'fix'.")
        return super().resolve_command(ctx, args)


@click.group(name="cfg", cls=_Group)
def command() -> None:
    """Create, show, explain, compare and change cfg files.

    \b
    Examples:
      pydarknet cfg new --model yolov4-tiny --classes 3 --size 416
      pydarknet cfg show yolov4-tiny.cfg
      pydarknet cfg diff mine.cfg theirs.cfg
      pydarknet cfg retune mine.cfg --batch 64 --max-batches 6000 --write
    """


def _save(text: str, output: Path, force: bool) -> None:
    """Write to a file, or to stdout if it is ``-``; overwrite an existing file only if forced."""
    from pydarknet.system.atomic import write_text

    if str(output) == "-":
        click.echo(text, nl=False)
        return
    if output.exists() and not force:
        raise FileError(f"{output}: already exists; choose another name with -o, or add --force")
    write_text(output, text)
    click.echo(f"written: {output}", err=True)


@command.command()
@click.option(
    "--model", required=True, help="Family, for example yolov4-tiny; `pydarknet cfg models` lists them."
)
@click.option("--classes", type=click.IntRange(1), help="Number of classes. Default: that of --data.")
@click.option("--size", type=SIZE, help="Input size, 416 or 608x320. Default: the published one.")
@click.option(
    "--data", type=click.Path(exists=True, path_type=Path), help="Data set: gives classes, images, anchors."
)
@click.option(
    "--images", type=click.IntRange(1), help="Number of training images; many lengthen the training."
)
@click.option(
    "--batch", type=click.IntRange(1), default=64, show_default=True, help="Images per weight update."
)
@click.option(
    "--subdivisions",
    default="published",
    show_default=True,
    help="A number, published, or auto: as many as memory allows.",
)
@click.option("--memory", type=BYTES, help="Memory for --subdivisions auto, e.g. 6G. Default: free memory.")
@click.option(
    "--anchors",
    default="published",
    show_default=True,
    help="published, a file, or auto: by --data, else scaled to --size.",
)
@click.option(
    "--augment", type=click.Choice(["none", "low", "med", "high"]), help="Strength of the augmentation."
)
@click.option(
    "--max-batches",
    type=click.IntRange(1),
    help="Length of the training in iterations. Default: by rule.",
)
@click.option(
    "--fit-hours",
    type=click.FloatRange(0, min_open=True),
    help="Shorten the training to N hours.",
)
@click.option(
    "--sec-per-iter",
    type=click.FloatRange(0, min_open=True),
    help="Seconds per iteration. Default: measured by running the network.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Any other value: momentum=0.9, yolo.max=300.",
)
@click.option("-o", "--out", "output", type=OUTPUT, help="File to write, - for stdout. Default: MODEL.cfg.")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def new(
    *,
    model: str,
    classes: int | None,
    size: tuple[int, int] | None,
    data: Path | None,
    images: int | None,
    batch: int,
    subdivisions: str,
    memory: int | None,
    anchors: str,
    augment: str | None,
    max_batches: int | None,
    fit_hours: float | None,
    sec_per_iter: float | None,
    settings: tuple[str, ...],
    output: Path | None,
    force: bool,
) -> None:
    """Create a cfg; dependent values are computed from yours.

    \b
    Examples:
      pydarknet cfg new --model yolov4-tiny --classes 3 --size 416
      pydarknet cfg new --model yolov4 --data ds/ds.data --anchors auto --subdivisions auto
    """
    from pydarknet.cfg import new_cfg

    request = new_cfg.Request(
        model=model,
        classes=classes,
        size=size,
        data=data,
        images=images,
        batch=batch,
        subdivisions=subdivisions,
        memory=memory,
        anchors=anchors,
        augment=augment,
        max_batches=max_batches,
        fit_hours=fit_hours,
        sec_per_iter=sec_per_iter,
        settings=dict(_setting(text) for text in settings),
    )
    made, notes = new_cfg.make(request)
    _save(str(made), output or Path(f"{model}.cfg"), force)
    for note in notes:
        click.echo(note, err=True)


def _setting(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key or not value:
        raise click.BadParameter(f"{text!r}; write KEY=VALUE", param_hint="--set")
    return key.strip(), value.strip()


@command.command()
@AS_JSON
def models(as_json: bool) -> None:
    """List the families with size, parameters, operations and pre-trained weights."""
    from pydarknet.cfg import FAMILIES, new, walk

    records = []
    for name, family in FAMILIES.items():
        nodes = walk(new(name))
        file, layers = family.pretrained or ("", 0)
        records.append(
            {
                "model": name,
                "size": family.size,
                "layers": len(nodes),
                "floats": nodes.floats,
                "bflops": round(nodes.bflops, 3),
                "pretrained": file,
                "pretrained_layers": layers,
            }
        )
    if as_json:
        click.echo(json.dumps(records))
        return
    click.echo(f"{'model':16} {'size':>5} {'layers':>6} {'floats':>12} {'BFLOPs':>8}  pre-trained backbone")
    for row in records:
        click.echo(
            f"{row['model']:16} {row['size']:5} {row['layers']:6} {row['floats']:12,} {row['bflops']:8.3f}"
            f"  {row['pretrained']}"
        )


@command.command()
@click.argument("file", type=CFG_OF_MODEL)
@click.option("--size", type=SIZE, help="Another input size, 416 or 608x320.")
@AS_JSON
def show(file: Path, size: tuple[int, int] | None, as_json: bool) -> None:
    """Print the layer table: shapes, parameters, operations."""
    from pydarknet.cfg import CfgFile, walk
    from pydarknet.cfg import show as layers

    cfg = CfgFile.load(file)
    width, height = size or (None, None)
    if as_json:
        nodes = walk(cfg, width, height)
        click.echo(json.dumps({"floats": nodes.floats, "bflops": nodes.bflops, "layers": layers.rows(nodes)}))
    else:
        click.echo(layers.table(cfg, width, height), nl=False)


@command.command()
@click.argument("file", type=CFG_OF_MODEL)
@click.option("--all", "absent", is_flag=True, help="Also the keys that are not set.")
@click.option("--section", help="Only sections of this type, for example net or yolo.")
@AS_JSON
def explain(file: Path, absent: bool, section: str | None, as_json: bool) -> None:
    """Print every key with its value, default and meaning."""
    from pydarknet.cfg import CfgFile, keys
    from pydarknet.cfg.explain import explain as explanations

    rows = [
        row
        for row in explanations(CfgFile.load(file), absent=absent)
        if section is None or keys.canonical(row.section) == keys.canonical(section)
    ]
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(row) for row in rows]))
        return
    place = (-2, "")
    for row in rows:
        if (row.layer, row.section) != place:
            place = (row.layer, row.section)
            number = "" if row.layer < 0 else f"{row.layer} "
            click.echo(f"\n{number}[{row.section}]  {_section_meaning(row.section)}")
        set_ = f"{row.key} = {row.value}" if row.line else f"({row.key} = {row.value})"
        default = f"default {row.default}; " if row.default else ""
        click.echo(f"  {set_:32} {default}{row.meaning}")


def _section_meaning(name: str) -> str:
    from pydarknet.cfg import keys

    return keys.describe_section(name) if keys.known(name) else "unknown section"


@command.command()
@click.argument("old", type=CFG_OF_MODEL)
@click.argument("new", type=CFG_OF_MODEL)
@AS_JSON
def diff(old: Path, new: Path, as_json: bool) -> int:
    """Print differences in meaning; spelling, order and comments are ignored.

    Exit codes: 0 the same, 1 different.
    """
    from pydarknet.cfg import CfgFile
    from pydarknet.cfg.diff import diff as changes_of

    changes = changes_of(CfgFile.load(old), CfgFile.load(new))
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(change) for change in changes]))
    else:
        for change in changes:
            click.echo(str(change))
    return 1 if changes else 0


@command.command()
@click.argument("file", type=FILE)
@click.option("--batch", type=click.IntRange(1), help="Images per update; the learning rate follows.")
@click.option(
    "--subdivisions",
    type=click.IntRange(1),
    help="Parts of a batch. Default: enough to keep mini-batches small.",
)
@click.option("--max-batches", type=click.IntRange(1), help="Length of the training; the steps follow.")
@click.option("--classes", type=click.IntRange(1), help="Number of classes; heads and filters follow.")
@click.option("--size", type=SIZE, help="Input size, 416 or 608x320.")
@click.option("--write", is_flag=True, help="Change the file itself.")
@click.option("-o", "--out", "output", type=OUTPUT, help="Write another file, - for stdout.")
@click.option("--force", is_flag=True, help="Overwrite an existing output file.")
def retune(
    *,
    file: Path,
    batch: int | None,
    subdivisions: int | None,
    max_batches: int | None,
    classes: int | None,
    size: tuple[int, int] | None,
    write: bool,
    output: Path | None,
    force: bool,
) -> None:
    """Change the training and all dependent values, and print the changes.

    \b
    Example:
      pydarknet cfg retune mine.cfg --batch 64 --max-batches 6000 -o longer.cfg
    """
    from pydarknet.cfg import CfgFile, edit
    from pydarknet.cfg.diff import diff as changes_of

    old = CfgFile.load(file)
    changed = edit.retune(
        old, batch=batch, subdivisions=subdivisions, max_batches=max_batches, classes=classes, size=size
    )
    for change in changes_of(old, changed):
        click.echo(str(change), err=str(output) == "-")
    _write_or_save(changed, file, write, output, force)


@command.command()
@click.argument("file", type=FILE)
@click.option("--write", is_flag=True, help="Change the file itself.")
@click.option("-o", "--out", "output", type=OUTPUT, help="Write another file, - for stdout.")
@click.option("--force", is_flag=True, help="Overwrite an existing output file.")
def fix(file: Path, write: bool, output: Path | None, force: bool) -> None:
    """Fix what can have one meaning only.

    Old spellings, activations of other frameworks, comments after values, repeated and unused keys, whole
    numbers such as 4800.0, `num` below the anchors in use, and `resize_step` that does not fit the stride.
    """
    from pydarknet.cfg import CfgFile, repair

    changed, repairs = repair.fix(CfgFile.load(file))
    for made in repairs:
        text = f"{file}:{made.line}: {made.old.strip()} → {made.new.strip()} ({made.reason})"
        click.echo(text, err=str(output) == "-")
    if not repairs:
        click.echo("nothing to fix", err=True)
    _write_or_save(changed, file, write, output, force)


def _write_or_save(changed: object, file: Path, write: bool, output: Path | None, force: bool) -> None:
    if write:
        _save(str(changed), file, force=True)
    if output:
        _save(str(changed), output, force)
    if not write and not output:
        click.echo("nothing written; add --write, or -o FILE", err=True)


@command.command()
@click.argument("file", type=CFG_OF_MODEL)
@click.option("--batch", type=click.IntRange(1), help="Images per update. Default: that of the file.")
@click.option("--subdivisions", type=click.IntRange(1), help="Only this number of subdivisions.")
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="fp32",
    show_default=True,
    help="Precision of the computation.",
)
@device_option
@click.option("--limit", type=BYTES, help="Mark what fits, e.g. 6G. Default: free memory.")
@AS_JSON
def memory(
    file: Path,
    batch: int | None,
    subdivisions: int | None,
    precision: str,
    device: str,
    limit: int | None,
    as_json: bool,
) -> None:
    """Print how much memory detection and training need, by subdivisions."""
    from pydarknet.cfg import CfgFile
    from pydarknet.cfg import memory as model
    from pydarknet.engine.devices import backend_on
    from pydarknet.engine.memory import free_memory

    cfg = CfgFile.load(file)
    size = batch or cfg.net.integer("batch")
    counts = [subdivisions] if subdivisions else [n for n in range(1, size + 1) if size % n == 0]
    kind: dict[str, Any] = {"precision": precision, "backend": backend_on("auto", device)}
    free = limit or free_memory(kind["backend"])
    detection = model.inference_memory(cfg, **kind)
    try:
        rows, why = list(model.training_by_subdivisions(cfg, size, counts, **kind)), ""
    except CfgError as error:  # of a layer that cannot be trained
        rows, why = [], str(error)
    if as_json:
        training = [{"subdivisions": n, **dataclasses.asdict(m), "total": m.total} for n, m in rows]
        record = {"detection": {**dataclasses.asdict(detection), "total": detection.total}}
        click.echo(json.dumps({**record, "batch": size, "training": training}))
        return
    click.echo(f"detection, 1 image: {detection.total / 2**20:,.0f} MiB")
    if why:
        click.echo(f"training: {why}")
        return
    click.echo(f"training, batch {size}:\n{'subdivisions':>14} {'mini-batch':>11} {'MiB':>9}")
    for count, need in rows:
        fits = "" if free is None else "  fits" if need.total <= free else "  too much"
        click.echo(f"{count:14} {size // count:11} {need.total / 2**20:9,.0f}{fits}")
