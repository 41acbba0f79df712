# SPDX-License-Identifier: Apache-2.0
"""``pydarknet report``: report of a run in one HTML file."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(name="report")
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write.  [default: RUN/report.html]",
)
def command(run: Path, out: Path | None) -> None:
    """Write the report of RUN, the folder of a training: one file for any browser.

    It has summary, curves, results by class, findings, plots, settings and environment; the training writes
    the same file at its end.

    \b
    Examples:
      pydarknet report runs/pets-1
      pydarknet report runs/pets-1 --out pets.html
    """
    from pydarknet.runs.html_report import write_report

    click.echo(write_report(run, out))
