# SPDX-License-Identifier: Apache-2.0
"""``pydarknet export``: write a network for other runtimes."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import click

from pydarknet.cli._impl.options import SIZE, device_option
from pydarknet.engine.model_files import found_files, is_whole
from pydarknet.engine.network import Network
from pydarknet.errors import MissingExtra


@click.group("export")
def command() -> None:
    """Write a network for other runtimes."""


@command.command("onnx")
@click.argument("words", nargs=-1, metavar="[CFG WEIGHTS | MODEL] [OUT.onnx]")
@click.option("--names", metavar="FILE", help="Class names, stored in the model's metadata.")
@click.option("--size", type=SIZE, help="Input size, e.g. 416 or 640x352. Default: the cfg's.")
@click.option(
    "--verify/--no-verify", default=None, help="Compare with ONNX Runtime. Default: if it is installed."
)
@device_option
def onnx(
    words: tuple[str, ...],
    names: str | None,
    size: tuple[int, int] | None,
    verify: bool | None,
    device: str,
) -> int:
    """Write an ONNX model (opset 17) and compare it with the network; by default CFG's name with .onnx.

    MODEL is a pack (`pydarknet weights pack`) or the folder of a run, of which the best weights are taken.

    Input: "input", float32 (n, channels, height, width), red first, 0..1. Outputs: those of
    the heads, "layer_139" and so on, (n, outputs); boxes and NMS are left to the caller.

    \b
    Examples:
      pydarknet export onnx yolov4-tiny.cfg yolov4-tiny.weights
      pydarknet export onnx c.cfg c.weights c-640.onnx --size 640x352
      pydarknet export onnx runs/pets pets.onnx
    """
    from pydarknet.contrib import onnx_export

    model, given, target = _files(words)
    with contextlib.ExitStack() as stack:
        cfg, weights = stack.enter_context(found_files(model, given))
        network = stack.enter_context(Network(cfg, weights, names=names, precision="fp32", device=device))
        if size:
            network.resize(*size)
        onnx_export.export(network, target)
        click.echo(f"{target}: {target.stat().st_size / 1e6:.1f} MB, opset {onnx_export.OPSET}")
        if verify is False:
            return 0
        try:
            off = onnx_export.verify(network, target)
        except MissingExtra as error:
            if verify:
                raise
            click.echo(f"not verified: {error}")
            return 0
    for name, difference in off.items():
        click.echo(f"{name}: differs from the network by {difference:.1e} of its largest value")
    return 0


def _files(words: Sequence[str]) -> tuple[str, str | None, Path]:
    """Cfg and weights, or a model without weights beside it, and the file to write."""
    model, *others = words or [""]
    path = Path(model)
    alone = is_whole(path)
    if not alone and not others:
        raise click.UsageError(f"Missing argument '{'WEIGHTS' if model else 'CFG WEIGHTS'}'.")
    weights = None if alone else others.pop(0)
    if len(others) > 1:
        raise click.UsageError(f"found {others[1]!r} after {others[0]}, the file to write")
    stem = path.name if path.is_dir() else Path(path.name.removesuffix(".gz")).stem
    return model, weights, Path(others[0] if others else f"{stem}.onnx")
