# SPDX-License-Identifier: Apache-2.0
"""``pydarknet data``: split, balance, filter, rename, count and view data sets of any format."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import click

from pydarknet.cli._impl.data import Target, comparison, reads, reads_many, show_report, summary, writes
from pydarknet.cli._impl.data_show import stats, view
from pydarknet.data import Dataset, archives, ops, read
from pydarknet.data import write as write_dataset
from pydarknet.data.classes import ClassPlan, parse_classes, parse_renames
from pydarknet.data.image_lists import has_darknet_labels, write_lists
from pydarknet.errors import DataError

_SEED = click.option("--seed", default=0, show_default=True, help="Seed of the random choice.")
_RATIOS = click.option(
    "--ratios", metavar="A,B[,C]", help="Fractions for train, val (and test), summing to 1."
)
_KEEP_EMPTIED = click.option(
    "--keep-emptied", is_flag=True, help="Keep images that lost their last box, as images without objects."
)


@click.group("data", context_settings={"max_content_width": 110})
def command() -> None:
    """Work on data sets of any format that convert can read.

    Sources are never changed. Without --out a command only shows what it would do.

    \b
    Exit codes: 0 done; 1 failed, or records were lost to errors; 2 usage; 130 interrupted.
    """


@command.command("cache")
@click.option(
    "--clean", "empty", is_flag=True, help="Delete all unpacked archives, but none that is being unpacked."
)
def cache(empty: bool) -> None:
    """List the archives that were unpacked to be read, or delete them.

    They are deleted on their own when they were not used for 30 days. Written data sets do not need them.
    """
    click.echo(f"folder: {archives.cache_folder()}")
    for folder, size, used in archives.cached():
        click.echo(
            f"{size / 2**20:10.1f} MiB  last used {datetime.fromtimestamp(used):%Y-%m-%d}  {folder.name}"
        )
    if empty:
        archives.clean()
        click.echo("deleted")


command.add_command(stats)
command.add_command(view)


@command.command("new")
@reads
@click.pass_obj
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the files. Default: the set's own.")
@_RATIOS
@_SEED
@click.option("--yaml", "yaml_too", is_flag=True, help="Also write data.yaml for YOLOv5.")
@click.option("--overwrite", is_flag=True, help="Replace files with other content.")
def new(
    source: Path,
    dataset: Dataset,
    out: Path | None,
    ratios: str | None,
    seed: int,
    yaml_too: bool,
    overwrite: bool,
) -> int:
    """Write .data, .names and image lists with absolute paths for a folder of images.

    If the labels are not Darknet's, --out gets a converted set whose images are links.

    \b
    Examples:
      pydarknet data new photos --names cat,dog
      pydarknet data new export/data.yaml --out ds --yaml
      pydarknet data new photos --ratios 0.8,0.2 --seed 42
    """
    divided = ops.split(dataset, parse_ratios(ratios), seed=seed) if ratios else dataset
    show_report(divided.report)
    click.echo(comparison(dataset, divided))
    if has_darknet_labels(divided):
        folder = out or (source if source.is_dir() else source.parent)
    elif out is None:
        raise DataError(
            "the labels are not in Darknet's format; give a folder for a converted set with --out"
        )
    else:
        show_report(write_dataset(divided, out, overwrite=overwrite))
        divided, folder, overwrite = read(out), out, True  # the same images at their new paths
    files = write_lists(divided, folder, yaml_too=yaml_too, overwrite=overwrite)
    for name, path in files.items():
        click.echo(f"{name:6} {path}")
    return 1 if dataset.report.errors else 0


@command.command("split")
@reads
@writes
@_RATIOS
@_SEED
@click.option("--stratify", is_flag=True, help="Split each class by the ratios, rarest first.")
@click.option(
    "--group-by",
    metavar="REGEX",
    help="Keep groups together: a regular expression on image names, or folder, roboflow, duplicates.",
)
@click.option("--folds", type=click.IntRange(2), help="k folds for cross-validation instead of --ratios.")
def split(
    *,
    dataset: Dataset,
    target: Target,
    ratios: str | None,
    seed: int,
    stratify: bool,
    group_by: str | None,
    folds: int | None,
) -> int:
    """Split a data set into train, val and test, or into k folds.

    Every split but the last gets floor(images x ratio), the last gets the rest: 900 images at
    0.75,0.125,0.125 become 675, 112 and 113. The same seed gives the same lists on every machine.

    \b
    Examples:
      pydarknet data split ds --ratios 0.75,0.125,0.125 --seed 42 --out ds-split
      pydarknet data split ds --ratios 0.8,0.2 --stratify --group-by '^(video[0-9]+)_' --out ds-split
      pydarknet data split ds --folds 5 --stratify --out ds-folds
    """
    if (ratios is None) == (folds is None):
        raise click.UsageError("give either --ratios or --folds")
    if ratios is not None:
        after = ops.split(dataset, parse_ratios(ratios), seed=seed, stratify=stratify, group_by=group_by)
        return target.finish(dataset, after, relabelled=False)
    assert folds is not None
    parts = ops.folds(dataset, folds, seed=seed, stratify=stratify, group_by=group_by)
    lines = [target.save(part, relabelled=False, folder=f"fold{n}") for n, part in enumerate(parts, 1)]
    if target.as_json:
        click.echo(json.dumps([summary(part) for part in parts], indent=2))
    else:
        for number, (part, line) in enumerate(zip(parts, lines, strict=True), 1):
            click.echo(f"fold {number}: train {len(part.only('train'))}, val {len(part.only('val'))}; {line}")
        show_report(parts[0].report)
    return 1 if dataset.report.errors else 0


@command.command("balance")
@reads
@writes
@click.option(
    "--max-ratio",
    default=1.0,
    show_default=True,
    help="Largest ratio of the most frequent to the rarest class.",
)
@click.option(
    "--by",
    type=click.Choice(["boxes", "images"]),
    default="boxes",
    show_default=True,
    help="Unit of the ratio.",
)
@click.option(
    "--how",
    type=click.Choice(["drop", "repeat"]),
    default="drop",
    show_default=True,
    help="Drop images, or list those with rare classes several times.",
)
@click.option(
    "--max-repeats", default=10, show_default=True, help="Largest number of times to list an image."
)
@click.option(
    "--splits",
    default="train",
    show_default=True,
    metavar="A,B",
    help="Splits to balance (images without one count as train).",
)
@_SEED
def balance(
    *,
    dataset: Dataset,
    target: Target,
    max_ratio: float,
    by: str,
    how: str,
    max_repeats: int,
    splits: str,
    seed: int,
) -> int:
    """Balance the frequencies of classes.

    \b
    Examples:
      pydarknet data balance ds --max-ratio 1.2 --out ds-balanced
      pydarknet data balance ds --how repeat --max-ratio 3 --out ds-weighted
    """
    chosen = {*splits.split(","), *([""] if "train" in splits.split(",") else [])}
    if how == "drop":
        after = ops.balance(dataset, max_ratio, by=by, seed=seed, splits=chosen)
    else:
        after = ops.oversample(dataset, max_ratio, by=by, seed=seed, splits=chosen, max_repeats=max_repeats)
    return target.finish(dataset, after, relabelled=False)


@command.command("filter")
@reads
@writes
@click.option("--drop-images", multiple=True, metavar="EXPR", help="Drop images for which EXPR holds.")
@click.option("--drop-boxes", multiple=True, metavar="EXPR", help="Drop boxes for which EXPR holds.")
@click.option("--min-size", metavar="N[@WxH]", help="Drop boxes under N pixels (of a WxH network).")
@click.option("--min-size-splits", metavar="A,B", help="Apply --min-size only to these splits.")
@click.option(
    "--drop-duplicates", type=click.Choice(["exact", "near"]), help="Keep one of each group of duplicates."
)
@_KEEP_EMPTIED
def filter_(
    *,
    dataset: Dataset,
    target: Target,
    drop_images: tuple[str, ...],
    drop_boxes: tuple[str, ...],
    min_size: str | None,
    min_size_splits: str | None,
    drop_duplicates: str | None,
    keep_emptied: bool,
) -> int:
    """Drop images or boxes by expression or size, and duplicate images.

    \b
    Images: width height area aspect boxes classes status split name, count(class)
    Boxes:  width height area aspect share x y label score difficult crowd ignore occluded truncated
    Write:  < <= > >= == != and or not + - * / ( ), and quoted class names if they are not words

    \b
    Examples:
      pydarknet data filter ds --drop-images 'count(screwdriver) > 3' --out ds-thin
      pydarknet data filter ds --drop-boxes "label == 'person' and height < 12" --out ds-clean
      pydarknet data filter ds --min-size 5@416x416 --min-size-splits train --out ds-clean
    """
    after = dataset
    for expression in drop_images:
        after = ops.drop_images(after, expression)
    for expression in drop_boxes:
        after = ops.drop_boxes(after, expression, keep_emptied=keep_emptied)
    if min_size:
        splits = min_size_splits.split(",") if min_size_splits else None
        after = ops.drop_small(after, min_size, splits=splits, keep_emptied=keep_emptied)
    if drop_duplicates:
        after = ops.drop_duplicates(after, drop_duplicates)
    return target.finish(dataset, after, relabelled=bool(drop_boxes or min_size))


@command.command("remap")
@reads
@writes
@click.option("--map", "maps", multiple=True, metavar="OLD=NEW", help="Rename; OLD= drops. Repeatable.")
@click.option("--merge", "merges", multiple=True, metavar="NEW=A,B", help="Merge classes. Repeatable.")
@click.option(
    "--class-map",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File of OLD = NEW lines.",
)
@click.option("--classes", help="Keep only these, in this order (a,b,c or a file).")
@click.option("--top-classes", type=click.IntRange(1), metavar="N", help="Keep the N most frequent.")
@click.option(
    "--by",
    type=click.Choice(["images", "boxes"]),
    default="images",
    show_default=True,
    help="Unit of frequency for --top-classes.",
)
@_KEEP_EMPTIED
def remap(
    *,
    dataset: Dataset,
    target: Target,
    maps: tuple[str, ...],
    merges: tuple[str, ...],
    class_map: Path | None,
    classes: str | None,
    top_classes: int | None,
    by: str,
    keep_emptied: bool,
) -> int:
    """Rename, merge, reorder or drop classes.

    \b
    Examples:
      pydarknet data remap ds --merge snake=cobra,viper --map dog= --out ds-snakes
      pydarknet data remap ds --classes person,car --out ds-two
    Ids that start at 1 (name the id 0, then drop it):
      pydarknet data remap ds --names none,cat,dog --classes cat,dog --out ds-fixed
    """
    plan = ClassPlan(
        renames=parse_renames(maps, merges, class_map),
        keep=parse_classes(classes) if classes else None,
        top=top_classes,
        by=by,
    )
    after = ops.remap(dataset, plan, keep_emptied=keep_emptied)
    return target.finish(dataset, after, relabelled=True)


@command.command("merge")
@reads_many
@writes
@click.option("--classes", help="Keep only these, in this order (a,b,c or a file).")
@_KEEP_EMPTIED
def merge(datasets: list[Dataset], target: Target, classes: str | None, keep_emptied: bool) -> int:
    """Merge data sets; classes of the same name become one class.

    \b
    Examples:
      pydarknet data merge voc-set coco.json --out both --rename prefix
      pydarknet data merge voc-set coco.json --out both --classes person,car --min-visible 0.3
    """
    after = ops.merge(*datasets)
    if classes:
        after = ops.remap(after, ClassPlan(keep=parse_classes(classes)), keep_emptied=keep_emptied)
    same_classes = all(dataset.names == after.names[: len(dataset.names)] for dataset in datasets)
    return target.finish(datasets[0], after, relabelled=not same_classes)


def parse_ratios(text: str) -> list[float]:
    """Parse numbers separated by commas.

    Raises:
        UsageError: one of them is not a number.
    """
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise click.UsageError(f"--ratios {text}: expected numbers such as 0.8,0.2") from None
