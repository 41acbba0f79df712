# SPDX-License-Identifier: Apache-2.0
"""``pydarknet anchors``: compute anchors for a data set and compare them with those of a cfg."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pydarknet.cli._impl.options import SIZE

if TYPE_CHECKING:
    from pydarknet.cfg import CfgFile


@click.command(name="anchors", epilog="Exit codes: 0 done, 1 no boxes or unreadable files, 2 wrong usage.")
@click.option(
    "--data", required=True, type=click.Path(exists=True, path_type=Path), help="Data set, any format."
)
@click.option(
    "--cfg", "cfg_path", type=click.Path(exists=True, path_type=Path), help="Compare with this network."
)
@click.option(
    "--size",
    type=SIZE,
    help="Input size, 416 or 608x320: a multiple of the stride (32). Default: that of --cfg, else 416.",
)
@click.option("--num", type=click.IntRange(1), help="Number of anchors; that of --cfg, else 9.")
@click.option(
    "--metric",
    "--distance",
    type=click.Choice(["iou", "l2"]),
    default="iou",
    show_default=True,
    help="Distance of k-means.",
)
@click.option(
    "--restarts", type=click.IntRange(1), default=100, show_default=True, help="Number of random starts."
)
@click.option(
    "--refine", type=click.IntRange(0), default=0, help="Rounds of genetic refinement; 1000 is enough."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the random starts.")
@click.option("--split", default="train", show_default=True, help="Split of the data set, if it has splits.")
@click.option(
    "--letter-box/--stretch",
    default=None,
    help="Fit images by padding or stretching. Default: --cfg, else stretch.",
)
@click.option(
    "--plot", "plot_path", type=click.Path(path_type=Path), help="Save a scatter plot, for example a.png."
)
@click.option("--out", type=click.Path(path_type=Path), help="Save the numbers, for example anchors.txt.")
@click.option("--write", is_flag=True, help="Write anchors, masks and filters into the file of --cfg.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    *,
    data: Path,
    cfg_path: Path | None,
    size: tuple[int, int] | None,
    num: int | None,
    metric: str,
    restarts: int,
    refine: int,
    seed: int,
    split: str,
    letter_box: bool | None,
    plot_path: Path | None,
    out: Path | None,
    write: bool,
    as_json: bool,
) -> None:
    """Compute anchors by k-means over the boxes of a data set.

    \b
    Examples:
      pydarknet anchors --data ds/ds.data --size 416 --num 6 --plot anchors.png
      pydarknet anchors --data ds/ds.data --cfg yolov4-tiny.cfg --write
    """
    import numpy as np

    from pydarknet.cfg import CfgFile, anchors
    from pydarknet.cfg.generate import USUAL_STRIDE, check_size
    from pydarknet.cfg.trainable import stride_of
    from pydarknet.data import read
    from pydarknet.system.atomic import write_text

    if write and cfg_path is None:
        raise click.UsageError("--write needs --cfg: the network whose anchors are replaced")
    cfg = CfgFile.load(cfg_path) if cfg_path else None
    width, height = size or ((cfg.net.integer("width"), cfg.net.integer("height")) if cfg else (416, 416))
    check_size(str(cfg_path or "the network"), (width, height), stride_of(cfg) if cfg else USUAL_STRIDE)
    old = np.array(anchors.of_cfg(cfg)) if cfg else None
    boxed = bool(cfg and cfg.net.integer("letter_box")) if letter_box is None else letter_box

    dataset = read(data)
    dataset = dataset.only(split) if split in dataset.splits else dataset
    sizes = anchors.sizes_of(dataset, width, height, boxed)
    count = num or (len(old) if old is not None else 9)
    found = anchors.kmeans(sizes, count, metric=metric, restarts=restarts, seed=seed, generations=refine)
    new = anchors.judge(sizes, found.anchors)
    before = anchors.judge(sizes, old) if old is not None else None
    if plot_path:
        from pydarknet.cfg.plots import plot_anchors

        plot_anchors(sizes, found.anchors, plot_path, f"{len(sizes)} boxes, mean IoU {new.mean_iou:.1%}")
    if out:
        write_text(out, anchors.text(found.anchors, width))
    if as_json:
        report: dict[str, object] = {
            "images": len(dataset),
            "boxes": len(sizes),
            "width": width,
            "height": height,
            "anchors": [[round(float(w), 2), round(float(h), 2)] for w, h in found.anchors],
            "mean_iou": new.mean_iou,
            "recall": new.recall,
        }
        if before:
            report["cfg"] = {"mean_iou": before.mean_iou, "recall": before.recall}
            report["recommendation"] = anchors.recommend(new, before)
        click.echo(json.dumps(report))
    else:
        click.echo(f"{len(sizes)} boxes in {len(dataset)} images, network {width}×{height}")
        click.echo(f"mean IoU {new.mean_iou:.2%}, best possible recall {new.recall:.2%}")
        click.echo("\nLines for the [yolo] sections:")
        click.echo(f"anchors = {anchors.text(found.anchors, width)}\nnum={count}")
        for line in _mask_lines(count, cfg):
            click.echo(line)
        if before:
            click.echo(f"\n{anchors.recommend(new, before)}")
    if write and cfg:
        anchors.put(cfg, found.anchors)
        cfg.save()
        click.echo(f"written to {cfg_path}", err=True)


def _mask_lines(count: int, cfg: CfgFile | None) -> list[str]:
    """``mask=`` for each head: the cfg's heads, else three (or two, or one) at the usual strides."""
    from pydarknet.cfg import walk
    from pydarknet.cfg.generate import split_masks

    if cfg:
        nodes = walk(cfg)
        strides = [
            round(nodes[0].src[0] / node.dst[0]) for node in nodes if node.type in ("yolo", "Gaussian_yolo")
        ]
    else:
        heads = next(number for number in (3, 2, 1) if count % number == 0)
        strides = [8, 16, 32][3 - heads :]
    if not strides or count % len(strides):
        return [f"({count} anchors cannot be divided among {len(strides)} heads)"]
    pairs = zip(strides, split_masks(count, strides), strict=True)
    return [f"mask = {','.join(map(str, mask))}   at stride {stride}" for stride, mask in pairs]
