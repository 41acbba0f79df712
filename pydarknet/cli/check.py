# SPDX-License-Identifier: Apache-2.0
"""``pydarknet check``: check cfg, data and weights before a training starts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pydarknet.cli._impl.bars import Bars
from pydarknet.cli._impl.options import BYTES, CfgOfModel, device_option
from pydarknet.engine.devices import backend_on
from pydarknet.errors import ArgumentError, DarknetError

if TYPE_CHECKING:
    from pydarknet.cfg.model import CfgFile
    from pydarknet.check import Inputs

_EXIT = (
    "Exit codes: 0 clean (notes at most), 1 warnings, 2 errors, files that cannot be read, or wrong usage."
)


@click.command(name="check", epilog=_EXIT)
@click.argument("cfg_path", metavar="CFG", type=CfgOfModel(dir_okay=False, path_type=Path), required=False)
@click.option(
    "--data", type=click.Path(path_type=Path), help=".data file, list, or a data set of any format."
)
@click.option("--weights", type=click.Path(path_type=Path), help="Initial weights of the training.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the run.")
@click.option("--clear", is_flag=True, help="The run will count iterations from 0.")
@click.option("--sec-per-iter", type=click.FloatRange(0), help="Measured seconds for one iteration.")
@click.option("--max-hours", type=click.FloatRange(0), help="The run must end within this time.")
@click.option("--memory", type=BYTES, help="Memory that the run may use, e.g. 6G. Default: free memory.")
@device_option
@click.option("--deep", is_flag=True, help="Decode every image and search for look-alikes.")
@click.option("--ignore", multiple=True, metavar="RULE", help="Skip a rule, e.g. L-11; may be repeated.")
@click.option("--errors-only", is_flag=True, help="Do not show or count warnings and notes.")
@click.option(
    "--fix", "fix_", is_flag=True, help="Write a fixed copy of the cfg (NAME.fixed.cfg) and check it."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--rules", is_flag=True, help="List all rules and exit.")
def command(
    *,
    cfg_path: Path | None,
    data: Path | None,
    weights: Path | None,
    out: Path | None,
    clear: bool,
    sec_per_iter: float | None,
    max_hours: float | None,
    memory: int | None,
    device: str,
    deep: bool,
    ignore: tuple[str, ...],
    errors_only: bool,
    fix_: bool,
    as_json: bool,
    rules: bool,
) -> int:
    """Check cfg, data, weights and plan of a training before it starts.

    The folder of a run or a pack stands for the cfg in it.

    \b
    Examples:
      pydarknet check yolov4-tiny.cfg
      pydarknet check my.cfg --data ds/obj.data --weights yolov4-tiny.conv.29
      pydarknet check my.cfg --data ds/obj.data --fix
      pydarknet check my.cfg --json --ignore L-11
    """
    from pydarknet.check import CATALOGUE, Inputs, PlannedRun, Severity, inspect, load_inputs, require_rules

    if rules:
        for rule in CATALOGUE.values():
            click.echo(f"{rule.id}  {rule.severity.value:7}  {rule.title}")
        return 0
    if cfg_path is None:
        raise click.UsageError("Missing argument 'CFG'.")
    try:
        require_rules(ignore)
    except ArgumentError as error:
        raise click.UsageError(str(error)) from None
    run = PlannedRun(out, clear, False, sec_per_iter, max_hours, memory, backend=backend_on("auto", device))
    try:
        with Bars(leave=False) as bars:
            inputs = load_inputs(cfg_path, data, weights, run, deep=deep, progress=bars)
        if fix_:
            inputs = Inputs(_write_fixed(inputs, cfg_path), inputs.data, inputs.weights, inputs.run)
        report = inspect(inputs, ignore)
    except DarknetError as error:
        click.echo(f"error: {error}", err=True)
        return 2
    if errors_only:
        report = report.at_least(Severity.ERROR)
    click.echo(report.to_json() if as_json else report.to_text())
    return report.exit_code


def _write_fixed(inputs: Inputs, path: Path) -> CfgFile:
    """Write the fixed copy, report its changes, and return it."""
    from pydarknet.cfg.diff import diff
    from pydarknet.cfg.model import CfgFile
    from pydarknet.check.fix import fix

    fixed, rules = fix(inputs)
    if not rules:
        click.echo("Nothing can be fixed automatically.", err=True)
        return inputs.cfg
    target = path.with_name(f"{path.stem}.fixed{path.suffix}")
    fixed.save(target)
    click.echo(f"written: {target} ({', '.join(rules)})", err=True)
    for change in diff(inputs.cfg, fixed):
        click.echo(f"  {change}", err=True)
    return CfgFile.load(target)  # so that messages name the copy
