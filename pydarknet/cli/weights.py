# SPDX-License-Identifier: Apache-2.0
"""``pydarknet weights``: get and inspect weights files; cut, average, compare, convert, prune, pack."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pydarknet.cfg.shapes import Walk
    from pydarknet.weights import WeightsFile

PATH = click.Path(path_type=Path)
CFG = click.argument("cfg_path", metavar="CFG", type=PATH)
WEIGHTS = click.argument("weights", metavar="WEIGHTS", type=PATH)
OUT = click.argument("out", metavar="OUT", type=PATH)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(name="weights")
def command() -> None:
    """Get and inspect weights files; cut, average, compare, convert, prune, pack.

    \b
    Examples:
      pydarknet weights get yolov4-tiny.conv.29
      pydarknet weights info yolov4-tiny.weights
      pydarknet weights info my_last.weights --cfg my.cfg --layers
      pydarknet weights partial yolov4-tiny.cfg yolov4-tiny.weights yolov4-tiny.conv.29 29
      pydarknet weights pack runs/exp1 model.tar.gz
    """


def _walk(path: Path) -> Walk:
    from pydarknet.cfg import CfgFile, walk

    return walk(CfgFile.load(path))


def _print_json(value: Any) -> None:
    """Print JSON; nan and infinity become null."""

    def finite(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: finite(part) for key, part in item.items()}
        if isinstance(item, list):
            return [finite(part) for part in item]
        return None if isinstance(item, float) and not math.isfinite(item) else item

    click.echo(json.dumps(finite(value), indent=1, ensure_ascii=False))


@command.command("info")
@WEIGHTS
@click.option("--cfg", "cfg_path", type=PATH, help="Check whether the weights fit this network.")
@click.option("--batch", type=click.IntRange(1), help="Images of one iteration; that of --cfg, else 64.")
@click.option("--layers", is_flag=True, help="Statistics of every array; needs --cfg.")
@AS_JSON
def info_command(weights: Path, cfg_path: Path | None, batch: int | None, layers: bool, as_json: bool) -> int:
    """Show how long weights were trained, for how many classes, and which networks they fit.

    A pack or the folder of a run stands for its best weights and its cfg. Exit code 1 if they do not fit the
    cfg.

    \b
    Examples:
      pydarknet weights info yolov4-tiny.weights
      pydarknet weights info my_last.weights --cfg my.cfg --layers
    """
    from pydarknet.engine.model_files import found_files, is_archived, is_model

    model = weights
    with contextlib.ExitStack() as unpacked:
        if is_model(model):
            cfg, found = unpacked.enter_context(found_files(model, None))
            cfg_path, weights = cfg_path or Path(cfg), Path(found or "")
        archive = model if is_archived(model) else None
        return _info(weights, cfg_path, archive, batch, layers, as_json)


def _info(
    weights: Path, cfg_path: Path | None, archive: Path | None, batch: int | None, layers: bool, as_json: bool
) -> int:
    """Print the facts; files that were unpacked are shown as in their archive."""
    from pydarknet.cfg import CfgFile
    from pydarknet.weights import load
    from pydarknet.weights.tools import statistics

    if layers and cfg_path is None:
        raise click.UsageError("--layers needs --cfg")
    file = load(weights)
    cfg = CfgFile.load(cfg_path) if cfg_path else None
    if archive:
        file = replace(file, path=archive / file.path.name)
    table = _describe(file, batch or (cfg.net.integer("batch") if cfg else 64))
    good = True
    if cfg and cfg_path:
        nodes = _walk(cfg_path)
        table["cfg"], good = _describe_fit(file, nodes, archive / cfg_path.name if archive else cfg_path)
        if layers:
            table["layers"] = [asdict(row) for row in statistics(file, nodes)]
    if as_json:
        _print_json(table)
    else:
        _print_info(table)
    return 0 if good else 1


def _describe(file: WeightsFile, batch: int) -> dict[str, Any]:
    from pydarknet.weights import guess
    from pydarknet.weights.fit import SAME_SIZE

    header = file.header
    matches = guess(len(file.values))
    return {
        "path": str(file.path),
        "version": f"{header.major}.{header.minor}.{header.revision}",
        "header_bytes": header.size,
        "seen": header.seen,
        "batch": batch,
        "iterations": header.iterations(max(batch, 1)),
        "values": len(file.values),
        "bytes_left_over": file.rest,
        "matches": [asdict(match) for match in matches],
        "same_size": sorted({name for match in matches for name in SAME_SIZE.get(match.model, ())}),
    }


def _describe_fit(file: WeightsFile, nodes: Walk, path: Path) -> tuple[dict[str, Any], bool]:
    from pydarknet.weights import fit, twins

    held = fit(len(file.values), nodes)
    good = held.good and not file.rest
    content = {"path": str(path), "fits": good, "complete": held.complete, "text": str(held)}
    return {**content, "layers": held.layers, "twins": twins(nodes)}, good


def _print_info(table: dict[str, Any]) -> None:
    from pydarknet.weights import Match

    click.echo(f"{table['path']}: version {table['version']}, {table['values']:,} values")
    click.echo(
        f"images seen: {table['seen']:,} = {table['iterations']:,} iterations of batch {table['batch']}"
    )
    if table["bytes_left_over"]:
        click.echo(f"{table['bytes_left_over']} bytes are left over: the file was cut, or is something else")
    for match in table["matches"]:
        click.echo(f"size of: {Match(**match)}")
    if not table["matches"]:
        click.echo("size of: no network known here")
    if table["same_size"]:
        click.echo(f"which is also the size of: {', '.join(table['same_size'])}")
    if "cfg" in table:
        click.echo(f"{table['cfg']['path']}: {table['cfg']['text']}")
        if table["cfg"]["twins"]:
            names = ", ".join(table["cfg"]["twins"])
            click.echo(f"weights of {names} have the same size; only their activations differ")
    for row in table.get("layers", ()):
        odd = f"  {row['bad']} not finite" if row["bad"] else ""
        click.echo(
            f"{row['layer']:4} {row['type']:14} {row['name']:17} {row['count']:9}  mean {row['mean']:9.4f}  "
            f"std {row['std']:8.4f}  {row['low']:9.4f} … {row['high']:.4f}{odd}"
        )


@command.command("partial")
@CFG
@WEIGHTS
@OUT
@click.argument("layers", type=click.IntRange(1))
def partial_command(cfg_path: Path, weights: Path, out: Path, layers: int) -> None:
    """Keep the weights of the first LAYERS layers, as initial weights for other trainings.

    \b
    Example:
      pydarknet weights partial yolov4-tiny.cfg yolov4-tiny.weights yolov4-tiny.conv.29 29
    """
    from pydarknet.weights import load
    from pydarknet.weights.tools import partial

    partial(load(weights), _walk(cfg_path), out, layers)
    click.echo(out)


@command.command("convert")
@CFG
@WEIGHTS
@OUT
@click.option(
    "--seen", type=click.IntRange(0), help="Set the number of images seen; 0 restarts the schedule."
)
def convert_command(cfg_path: Path, weights: Path, out: Path, seen: int | None) -> None:
    """Convert between .weights, .safetensors and .npz; renew old headers.

    \b
    Examples:
      pydarknet weights convert my.cfg my.weights my.safetensors
      pydarknet weights convert my.cfg my.npz my.weights
      pydarknet weights convert my.cfg my.weights fresh.weights --seen 0
    """
    from pydarknet.weights.convert import convert

    convert(weights, out, _walk(cfg_path), seen)
    click.echo(out)


@command.command("average")
@click.argument("weights", metavar="WEIGHTS...", nargs=-1, required=True, type=PATH)
@click.option("--out", required=True, type=PATH, help="File to write.")
@click.option("--ema", type=float, metavar="ALPHA", help="Exponential moving average instead of the mean.")
@click.option("--cfg", "cfg_path", type=PATH, help="The network; needed for --ema.")
def average_command(weights: Sequence[Path], out: Path, ema: float | None, cfg_path: Path | None) -> None:
    """Average several weights files of one network.

    \b
    Examples:
      pydarknet weights average my_4000.weights my_5000.weights my_6000.weights --out my_mean.weights
      pydarknet weights average my_*.weights --ema 0.9 --cfg my.cfg --out my_ema.weights
    """
    from pydarknet.weights import load
    from pydarknet.weights.tools import average, moving_average

    files = [load(path) for path in weights]
    if ema is None:
        average(files, out)
    elif cfg_path is None:
        raise click.UsageError("--ema needs --cfg, because batch statistics are not averaged")
    else:
        moving_average(files, out, ema, _walk(cfg_path))
    click.echo(out)


@command.command("diff")
@CFG
@click.argument("first", type=PATH)
@click.argument("second", type=PATH)
@click.option("--all", "everything", is_flag=True, help="List equal arrays too.")
@AS_JSON
def diff_command(cfg_path: Path, first: Path, second: Path, everything: bool, as_json: bool) -> int:
    """Compare two weights files array by array.

    Exit codes: 0 equal, 1 different.

    \b
    Example:
      pydarknet weights diff my.cfg my_1000.weights my_2000.weights
    """
    from pydarknet.weights import load
    from pydarknet.weights.tools import differences

    files = load(first), load(second)
    rows = list(differences(*files, _walk(cfg_path)))
    changed = [row for row in rows if row.changed]
    longer = len(files[0].values) - len(files[1].values)
    if as_json:
        _print_json({"more_values_in_first": longer, "arrays": [asdict(row) for row in rows]})
    else:
        for row in rows if everything else changed:
            text = f"largest {row.largest:.4g}, relative {row.relative:.3%}" if row.changed else "equal"
            click.echo(f"{row.layer:4} {row.type:14} {row.name:17} {text}")
        first_changed = f"; the first in layer {changed[0].layer}" if changed else ""
        click.echo(f"{len(changed)} of {len(rows)} arrays differ{first_changed}")
        if longer:
            click.echo(f"{first if longer > 0 else second} has {abs(longer)} more values")
    return 1 if changed or longer else 0


@command.command("prune")
@click.argument("folder", type=PATH)
@click.option(
    "--keep",
    default="best,last,final,ema,1",
    show_default=True,
    help="Weights to keep; N keeps the newest N.",
)
@click.option("--yes", is_flag=True, help="Delete; without it the files are only listed.")
def prune_command(folder: Path, keep: str, yes: bool) -> None:
    """Delete the weights of a run that are not needed, and the files that belong to them.

    \b
    Examples:
      pydarknet weights prune runs/exp1
      pydarknet weights prune runs/exp1 --keep best,last,3 --yes
    """
    from pydarknet.weights.tools import superfluous

    files = superfluous(folder, [word.strip() for word in keep.split(",") if word.strip()])
    size = sum(path.stat().st_size for path in files)
    for path in files:
        click.echo(path)
        if yes:
            path.unlink()
    done = "deleted" if yes else "would be deleted; add --yes to do it"
    click.echo(f"{len(files)} files, {size / 2**20:.1f} MiB {done}", err=True)


@command.command("pack")
@click.argument("source", type=PATH)
@OUT
@click.option("--cfg", "cfg_path", type=PATH, help="Network; that in the folder if not given.")
@click.option("--names", type=PATH, help="Class names; those in the folder if not given.")
@click.option("--name", default="model", show_default=True, help="Stem of the files in the pack.")
def pack_command(source: Path, out: Path, cfg_path: Path | None, names: Path | None, name: str) -> None:
    """Pack a trained detector into a folder, or an archive if OUT ends in .tar.gz.

    SOURCE is the folder of a run, whose best weights are packed, or a weights file.

    \b
    Examples:
      pydarknet weights pack runs/exp1 model.tar.gz
      pydarknet weights pack my_best.weights my --cfg my.cfg --names my.names
    """
    from pydarknet.engine.model_files import Parts, of_run
    from pydarknet.weights.pack import pack

    if source.is_dir():
        found = of_run(source)
        parts = Parts(cfg_path or found.cfg, found.weights, names or found.names, found.story)
    elif cfg_path is None:
        raise click.UsageError("a weights file needs --cfg")
    else:
        parts = Parts(cfg_path, source, names)
    click.echo(pack(parts, out, name))


@command.command("known")
@AS_JSON
def known_command(as_json: bool) -> None:
    """List published weights: name, bytes, content, and where they are.

    \b
    Example:
      pydarknet weights known
    """
    from pydarknet.weights.published import known

    files = list(known().values())
    if as_json:
        _print_json([asdict(file) for file in files])
        return
    for file in files:
        place = file.url or "no direct address known"
        click.echo(f"{file.name:22} {file.size:11,}  {file.content:36} {place}")


@command.command("get")
@click.argument("names", metavar="NAME|URL...", nargs=-1, required=True)
@click.option("--out", default=Path(), type=PATH, help="Folder to write to.  [default: this one]")
@click.option("--sha256", metavar="HEX", help="Expected SHA-256, for one file.")
def get_command(names: Sequence[str], out: Path, sha256: str | None) -> None:
    """Download published weights, by name or from a URL.

    A download that was interrupted continues. Size and checksum are verified, as far as they are known.

    \b
    Examples:
      pydarknet weights get yolov4-tiny.conv.29
      pydarknet weights get yolov4.weights yolov3.weights --out weights
    """
    from pydarknet.cli._impl.weights_get import get

    if sha256 and len(names) > 1:
        raise click.UsageError("--sha256 is for one file")
    for name in names:
        get(name, out, sha256)


@command.command("verify")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=PATH)
def verify_command(files: Sequence[Path]) -> int:
    """Compare files with the published weights of the same name: size, and checksum where it is known.

    Exit code 1 if one differs or is not known.

    \b
    Example:
      pydarknet weights verify yolov4.weights yolov4-tiny.conv.29
    """
    from pydarknet.cli._impl.weights_get import verify

    results = [verify(file) for file in files]
    return 0 if all(results) else 1
