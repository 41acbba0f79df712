# SPDX-License-Identifier: Apache-2.0
"""``pydarknet data stats`` and ``pydarknet data view``: statistics and drawings of a data set."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path

import click
import msgspec

from pydarknet.cli._impl.bars import Bars
from pydarknet.cli._impl.data import reads, show_report
from pydarknet.data import Dataset, Sample, ops
from pydarknet.data.stats import SMALL, Stats, statistics
from pydarknet.engine import opencv
from pydarknet.errors import DataError
from pydarknet.system.atomic import write_text
from pydarknet.system.notify import counted

_SHOWN_CLASSES = 50
_DEFAULT_SIZES = ("416", "512", "608")


@click.command("stats")
@functools.partial(reads, folder=("--image-folder",))
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Write labels.png, stats.json.")
@click.option(
    "--size", "sizes", multiple=True, default=_DEFAULT_SIZES, metavar="S|WxH", help="Network sizes."
)
@click.option(
    "--images", "image_sizes", is_flag=True, help="Also images.png and the most common image sizes."
)
@click.option(
    "--duplicates",
    type=click.Choice(["none", "exact", "near"]),
    default="none",
    show_default=True,
    help="Find equal files, or also look-alikes (decodes every image).",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def stats(
    dataset: Dataset,
    out: Path | None,
    sizes: tuple[str, ...],
    image_sizes: bool,
    duplicates: str,
    as_json: bool,
) -> int:
    """Count classes, box sizes, image sizes and duplicates, and print advice.

    \b
    Examples:
      pydarknet data stats ds --out ds-stats --images
      pydarknet data stats ds --size 416 --size 640x352 --duplicates near
      pydarknet data stats ds --json
    """
    from pydarknet.data.advice import advise

    with Bars() as bars:
        found = statistics(dataset, [_size(size) for size in sizes], duplicates=duplicates, progress=bars)
    advice = advise(found)
    everything = {
        **msgspec.to_builtins(found, str_keys=True),
        "counters_per_class": found.counters_per_class,
        "advice": msgspec.to_builtins(advice),
        "report": dict(dataset.report.counts),
    }
    if as_json:
        click.echo(json.dumps(everything, indent=2))
    else:
        click.echo("\n".join(_tables(found, image_sizes)))
        for remark in advice:
            click.echo(f"* {remark.text}")
        show_report(dataset.report)
    if out:
        from pydarknet.data.plots import save_images, save_labels

        write_text(out / "stats.json", json.dumps(everything, indent=2) + "\n")
        save_labels(dataset, found, out / "labels.png")
        if image_sizes:
            save_images(dataset, out / "images.png")
        if not as_json:
            click.echo(f"written: {out}")
    return 1 if dataset.report.errors else 0


@click.command("view")
@reads
@click.option("--save", type=click.Path(file_okay=False, path_type=Path), help="Write one PNG per image.")
@click.option("--sheet", type=click.Path(dir_okay=False, path_type=Path), help="Write a contact sheet (PNG).")
@click.option("--show", is_flag=True, help="Open a window: space or n next, p previous, q or Esc quit.")
@click.option("--number", type=click.IntRange(1), default=16, show_default=True, help="Number of images.")
@click.option("--seed", type=int, help="Choose images at random. Default: the first ones.")
@click.option("--only", metavar="CLASS", help="Only boxes of this class, and images that have one.")
@click.option("--split", help="Only images of this split.")
@click.option("--columns", type=click.IntRange(1), default=4, show_default=True, help="Columns of the sheet.")
@click.option(
    "--tile",
    type=click.IntRange(32),
    default=320,
    show_default=True,
    help="Side of an image in the sheet, in pixels.",
)
@click.option("--captions/--no-captions", default=True, show_default=True, help="Class names on boxes.")
def view(
    *,
    dataset: Dataset,
    save: Path | None,
    sheet: Path | None,
    show: bool,
    number: int,
    seed: int | None,
    only: str | None,
    split: str | None,
    columns: int,
    tile: int,
    captions: bool,
) -> int:
    """Draw images with their boxes.

    \b
    Examples:
      pydarknet data view ds --sheet boxes.png
      pydarknet data view ds --save drawn --number 5 --seed 1 --only dog
    """
    from pydarknet.data.view import contact_sheet, draw
    from pydarknet.engine.images import save_image

    if not (save or sheet or show):
        raise click.UsageError("expected --save FOLDER, --sheet FILE or --show")
    samples = _chosen(dataset, number, seed, only, split)
    if sheet:
        with Bars() as bars:
            shown = counted(samples, bars, "draw")
            image = contact_sheet(shown, dataset.names, columns=columns, tile=tile, captions=captions)
        save_image(sheet, image)
        click.echo(f"written: {sheet} ({len(samples)} images)")
    if save:
        with Bars() as bars:
            for place, sample in enumerate(counted(samples, bars, "draw"), 1):
                stem = re.sub(r"[^\w.-]+", "_", sample.name)
                save_image(save / f"{place:04d}_{stem}.png", draw(sample, dataset.names, captions=captions))
        click.echo(f"written: {save} ({len(samples)} images)")
    if show:
        _browse(samples, dataset.names, captions)
    show_report(dataset.report)
    return 1 if dataset.report.errors else 0


def _chosen(
    dataset: Dataset, number: int, seed: int | None, only: str | None, split: str | None
) -> list[Sample]:
    if split is not None:
        if split not in dataset.splits:
            raise DataError(f"no split {split!r}; there are: {', '.join(dataset.splits) or 'none'}")
        dataset = dataset.only(split)
    if only is not None:
        dataset = ops.only_class(dataset, only)
    samples = list(dataset)
    if seed is not None:
        samples = ops.shuffled(samples, seed)
    if not samples:
        raise DataError("no image to draw")
    return samples[:number]


def _browse(samples: list[Sample], names: tuple[str, ...], captions: bool) -> None:
    import cv2

    from pydarknet.data.view import draw

    place = 0
    try:
        while 0 <= place < len(samples):
            key = opencv.show("pydarknet data view", draw(samples[place], names, captions=captions), 0)
            if key in (27, ord("q")):
                break
            place = max(0, place - 1) if key == ord("p") else place + 1
        cv2.destroyAllWindows()
    except cv2.error as error:
        raise DataError(
            "this OpenCV cannot open windows (opencv-python-headless, or no display); use --save or --sheet"
        ) from error


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", text)
    if not match:
        raise click.UsageError(f"--size {text}: expected 416 or 640x352")
    return int(match[1]), int(match[2] or match[1])


def _tables(found: Stats, image_sizes: bool) -> list[str]:
    statuses = ", ".join(f"{count} {status}" for status, count in found.statuses.items())
    splits = ", ".join(f"{split or 'unsplit'} {count}" for split, count in found.splits.items())
    width = max((len(c.name) for c in found.classes[:_SHOWN_CLASSES]), default=5)
    more = len(found.classes) - _SHOWN_CLASSES
    per_image = found.boxes_per_image
    lines = [
        f"{found.images} images ({statuses}; {splits})",
        f"{found.boxes} boxes and {found.set_aside} set aside; "
        f"{per_image.min:.0f} to {per_image.max:.0f} in an image, {per_image.mean:.1f} on average",
        f"{'class':{width}}   boxes  images",
        *(f"{c.name:{width}} {c.boxes:7} {c.images:7}" for c in found.classes[:_SHOWN_CLASSES]),
        *([f"and {more} more classes (all with --json)"] if more > 0 else []),
        "network    " + "".join(f"  < {limit:2} px" for limit in SMALL) + "  median box",
    ]
    for network in found.networks:
        shares = "".join(f"{network.below[limit]:8.1%} " for limit in SMALL)
        median = f"{network.box_width.median:.0f}x{network.box_height.median:.0f}"
        lines.append(f"{f'{network.width}x{network.height}':10} {shares} {median:>10}")
    sizes = found.image_sizes
    lines.append(
        f"mean of the longer image side: {sizes.longer_side_mean:.1f}; network size for these boxes: "
        f"{sizes.recommended}"
    )
    lines.append(f"counters_per_class={found.counters_per_class}")
    if image_sizes:
        for name, spread in (("width", sizes.width), ("height", sizes.height), ("aspect", sizes.aspect)):
            text = f"{spread.min:.4g} to {spread.max:.4g}, median {spread.median:.4g}"
            lines.append(f"image {name}: {text}")
        lines += [f"  {w}x{h}: {count} images" for w, h, count in sizes.common]
    if found.duplicates is not None:
        d = found.duplicates
        near = "" if d.near is None else f", {len(d.near)} groups of look-alikes"
        text = f"duplicates: {len(d.exact)} groups of equal files{near}; {d.share:.1%} of the images repeat"
        lines.append(f"{text} others; {len(d.across)} groups are in several splits")
    return lines
