# SPDX-License-Identifier: Apache-2.0
"""``pydarknet log``: parse, plot and analyse training logs."""

from __future__ import annotations

import json
from pathlib import Path

import click

LOG = click.argument("log", metavar="LOG", type=click.Path(path_type=Path))
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(name="log")
def command() -> None:
    """Parse, plot and analyse training logs.

    LOG is the training output of any Darknet, a CSV or JSON-lines table, or the folder of a run.

    \b
    Examples:
      pydarknet log parse train.log > train.csv
      pydarknet log plot train.log --out chart.png
      pydarknet log advise runs/exp1
    """


@command.command("parse")
@LOG
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write into a file instead.")
@click.option("--current", is_flag=True, help="Omit iterations that were repeated after a resume.")
@AS_JSON
def parse_command(log: Path, out: Path | None, current: bool, as_json: bool) -> None:
    """Turn a log into CSV, one line for each iteration, or JSON with all its content.

    \b
    Examples:
      pydarknet log parse train.log --out train.csv
      pydarknet log parse train.log --json | jq .evaluations
    """
    from pydarknet.logs import load
    from pydarknet.system.atomic import write_text

    parsed = load(log)
    if current:
        parsed = parsed.current()
    as_json = as_json or (out is not None and out.suffix == ".json")
    text = parsed.to_json() + "\n" if as_json else parsed.to_csv()
    if out is None:
        click.echo(text, nl=False)
    else:
        write_text(out, text)
    if parsed.damaged:
        click.echo(f"{parsed.damaged} incomplete lines were skipped", err=True)


@command.command("plot")
@LOG
@click.option("--out", type=click.Path(path_type=Path), help="Image file to write.")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(["chart", "results", "loss"]),
    help="Plots to draw.  [default: chart; all three for the folder of a run; results for a table]",
)
@click.option("--title", default="", help="Title of the plot. Default: name of the log.")
@click.option(
    "--with", "others", multiple=True, type=click.Path(path_type=Path), help="Another log to compare."
)
def plot_command(
    log: Path, out: Path | None, kinds: tuple[str, ...], title: str, others: tuple[Path, ...]
) -> None:
    """Plot a training.

    \b
    chart    loss, average loss, mAP and learning rate, and those of other logs
    results  ten panels: losses, IoU, rate, validation loss, precision, recall, mAP
    loss     loss in training and on the validation images

    A log of Darknet becomes LOG.png; a table (CSV, YOLOv5's too, or JSON lines) results.png beside it; in the
    folder of a run all three are redrawn.

    \b
    Examples:
      pydarknet log plot train.log
      pydarknet log plot runs/exp1
      pydarknet log plot results.csv --kind loss --out loss.png
      pydarknet log plot runs/exp1 --with runs/exp2 --out both.png
    """
    from pydarknet.logs import load
    from pydarknet.logs.plots import chart
    from pydarknet.runs.plots import draw_loss, draw_results
    from pydarknet.runs.rows import read_rows

    if not kinds:
        usual = ("chart", "results", "loss") if log.is_dir() and not out else ("chart",)
        kinds = ("results",) if log.suffix in (".csv", ".jsonl") and not others else usual
    if out is not None and len(kinds) > 1:
        raise click.UsageError("--out is one file; give one --kind")
    for kind in kinds:
        folder, own = (log, f"{kind}.png") if log.is_dir() else (log.parent, f"{log.stem}.png")
        target = out or folder / (own if kind == "chart" else f"{kind}.png")
        if kind == "chart":
            chart(load(log), target, title=title, compare=[load(other) for other in others])
        else:
            draw = draw_results if kind == "results" else draw_loss
            draw(read_rows(log), target, title or log.name)
        click.echo(target)


@command.command("advise")
@LOG
@click.option(
    "--cfg", "cfg_path", type=click.Path(path_type=Path), help="The network, to check the first loss."
)
@AS_JSON
def advise_command(log: Path, cfg_path: Path | None, as_json: bool) -> None:
    """Report whether the loss still falls, is on a plateau, overfits or diverged, and why.

    \b
    Examples:
      pydarknet log advise train.log
      pydarknet log advise train.log --cfg yolov4.cfg --json
    """
    from pydarknet.cfg.model import CfgFile
    from pydarknet.logs import advise, load

    advice = advise(load(log), CfgFile.load(cfg_path) if cfg_path else None)
    click.echo(json.dumps(advice.to_dict(), indent=1, ensure_ascii=False) if as_json else advice.to_text())
