# SPDX-License-Identifier: Apache-2.0
"""``pydarknet runs``: compare trainings."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click


@click.command(name="runs")
@click.argument("places", nargs=-1, metavar="[FOLDER]...", type=click.Path(path_type=Path))
@click.option(
    "--sort",
    "key",
    metavar="COLUMN",
    help="Sort by this column, best first: map50, val_loss, hours, name ...",
)
@click.option(
    "--against", metavar="RUN", help="Run to compare with; * marks differences.  [default: the first]"
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(places: tuple[Path, ...], key: str | None, against: str | None, as_json: bool) -> None:
    """Compare trainings: one line each, with results and the settings that differ.

    FOLDER is a run, a folder of runs, or a log of any Darknet. Default: runs/. A * marks
    a setting that differs from the first run. Two runs are shown side by side.

    \b
    Columns: state or stop reason, iterations, hours, best mAP@0.5 and the iteration where it was reached,
    other metrics of that evaluation, average loss, verdict of `pydarknet log advise`.

    \b
    Examples:
      pydarknet runs
      pydarknet runs experiments/ --sort map50
      pydarknet runs runs/pets-1 runs/pets-4
      pydarknet runs --json | jq '.runs[].results.map50'
    """
    from pydarknet.errors import ArgumentError
    from pydarknet.runs.compare import differing, find, pair, read, sort, table

    runs = [read(place) for place in find(places or (Path("runs"),))]
    named = {run.name: run for run in runs}
    if against is not None and Path(against).name not in named:
        raise ArgumentError(f"{against}: is not one of the runs: {', '.join(named)}")
    first = named[Path(against).name] if against else None
    if key:
        runs = sort(runs, key)
    if as_json:
        content = {"runs": [asdict(run) for run in runs], "differing": differing(runs)}
        click.echo(json.dumps(content, indent=1, ensure_ascii=False))
    elif len(places) == 2 and len(runs) == 2:
        click.echo(pair(runs[0], runs[1]))
    else:
        click.echo(table(runs, first or runs[0]))
