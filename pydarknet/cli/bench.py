# SPDX-License-Identifier: Apache-2.0
"""``pydarknet bench``: latency, throughput and memory of a network on this machine."""

from __future__ import annotations

import dataclasses
import itertools
import json

import click

from pydarknet.cli._impl.options import SIZE, ComputeOptions, options_from
from pydarknet.engine import benchmark, info
from pydarknet.engine.benchmark import LayerRow, Row, Setting
from pydarknet.engine.devices import backend_on
from pydarknet.engine.precisions import PRECISIONS


@click.command("bench")
@click.argument("cfg", metavar="CFG")
@click.argument("weights", required=False, metavar="[WEIGHTS]")
@click.option("--sizes", metavar="S,...", help="Input sizes: 320,416 or 640x352. Default: the cfg's.")
@click.option("--batches", default="1", show_default=True, metavar="N,...", help="Images per inference.")
@click.option(
    "--precisions", default="auto", show_default=True, metavar="P,...", help="auto, fp32, bf16, ..."
)
@click.option(
    "--seconds", type=click.FloatRange(0), default=2.0, show_default=True, help="Duration of a measurement."
)
@click.option("--per-layer", is_flag=True, help="Also measure every layer, for the first row.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@options_from(ComputeOptions)
def command(
    cfg: str,
    weights: str | None,
    sizes: str | None,
    batches: str,
    precisions: str,
    seconds: float,
    per_layer: bool,
    as_json: bool,
    device: str,
    backend: str,
    threads: int | None,
    lenient: bool,
) -> int:
    """Measure latency, throughput and memory of a network.

    Each combination of size, batch and precision is one row, measured in a separate process. Without WEIGHTS
    random ones are used, whose forward pass takes the same time; they find no boxes.

    \b
    Examples:
      pydarknet bench yolov4-tiny.cfg --sizes 320,416,512,608
      pydarknet bench yolov4.cfg --batches 1,8 --precisions fp32,bf16 --json
      pydarknet bench yolov4.cfg --per-layer --device cuda:1
      pydarknet bench yolov4.cfg --per-layer --backend check:cpu,ref   # and the error of each layer
    """
    engine = backend_on(backend, device)
    chosen = [SIZE.convert(size, None, None) for size in sizes.split(",")] if sizes else [None]
    settings = [
        Setting(cfg, weights, size, batch, precision, engine, threads, not lenient)
        for size, batch, precision in itertools.product(chosen, _numbers(batches), _precisions(precisions))
    ]
    rows = []
    for setting in settings:
        rows.append(benchmark.measure_apart(setting, seconds))
        if not as_json:
            if len(rows) == 1:
                click.echo(f"computing on {rows[0].place}\n{_HEADER}")
            click.echo(_line(rows[-1]))
    layers = []
    if per_layer:
        with settings[0].load() as network:
            layers = benchmark.per_layer(network)
    if as_json:
        data = {"machine": info.info(), "cfg": cfg, "rows": [dataclasses.asdict(row) for row in rows]}
        if per_layer:
            data["layers"] = [dataclasses.asdict(row) for row in layers]
        click.echo(json.dumps(data, indent=2))
    elif per_layer:
        click.echo(_layer_table(layers))
    return 0


_HEADER = (
    "     size  batch  precision   p50 ms   p95 ms  detect ms  images/s  memory MB\n"
    "  p50, p95, images/s: forward pass; detect: with resizing, decoding and NMS; memory: beyond Python's own"
)


def _line(row: Row) -> str:
    memory = "?" if row.memory_mb is None else f"{row.memory_mb:.0f}"
    return (
        f"{f'{row.width}x{row.height}':>9} {row.batch:6} {row.precision:>10} {row.p50:8.2f} {row.p95:8.2f} "
        f"{row.detect_p50:10.2f} {row.images_per_second:9.1f} {memory:>10}"
    )


def _layer_table(rows: list[LayerRow]) -> str:
    total = sum(row.milliseconds for row in rows)
    width = max(len(row.description) for row in rows)
    compared = any(row.error is not None for row in rows)
    error_title = "    error" if compared else ""
    lines = [
        "",
        f"layer type            {'description':{width}}       ms  share  GFLOP/s{error_title}  kernel",
    ]
    lines += [
        f"{row.layer:5} {row.type:15} {row.description:{width}} {row.milliseconds:8.3f} "
        f"{row.share(total):6.1%} {row.gflops:8.1f}{_error(row) if compared else ''}  {row.what}"
        for row in rows
    ]
    return "\n".join([*lines, f"{total:.2f} ms in all"])


def _error(row: LayerRow) -> str:
    return f" {'' if row.error is None else f'{row.error:.1e}':>8}"


def _numbers(text: str) -> list[int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = [0]
    if min(numbers) < 1:
        raise click.BadParameter(f"found {text!r}, expected whole numbers from 1, as 1,8")
    return numbers


def _precisions(text: str) -> list[str]:
    chosen = text.split(",")
    for precision in chosen:
        if precision not in ("auto", *PRECISIONS):
            raise click.BadParameter(f"found precision {precision!r}, expected auto, {', '.join(PRECISIONS)}")
    return chosen
