# SPDX-License-Identifier: Apache-2.0
"""``pydarknet watch``: serve the live page of a run."""

from __future__ import annotations

import threading
from pathlib import Path

import click


@click.command(name="watch")
@click.argument(
    "runs", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, file_okay=False)
)
@click.option(
    "--http",
    default="8090",
    show_default=True,
    metavar="[HOST:]PORT",
    help="Address to listen on; without HOST only this machine can connect, else those that know the token.",
)
def command(runs: tuple[Path, ...], http: str) -> None:
    """Serve the page of a run, the folder of a training, until Ctrl-C.

    Of further RUNS, loss and mAP are drawn into the same charts.

    The page shows curves, mAP, plots, findings, the log and the use of the machine, and follows a running
    training. Nothing can be changed through it.

    \b
    Examples:
      pydarknet watch runs/pets-1
      pydarknet watch runs/pets-2 runs/pets-1
      pydarknet watch runs/pets-1 --http 0.0.0.0:8090
    """
    from pydarknet.runs.page.server import Page
    from pydarknet.system.web_access import parse_address

    with Page(runs[0], *parse_address(http), runs[1:]) as page:
        if page.warning:
            click.echo(f"warning: {page.warning}", err=True)
        click.echo(f"{page.url}  (Ctrl-C stops it)")
        threading.Event().wait()
