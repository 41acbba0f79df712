# SPDX-License-Identifier: Apache-2.0
"""``pydarknet detector train DATA CFG [WEIGHTS]``, like ``darknet detector train``."""

from __future__ import annotations

from pathlib import Path

import click

from pydarknet.cli._impl.darknet_flags import DarknetCommand, devices, unsupported


@click.command("train", cls=DarknetCommand)
@click.argument("data")
@click.argument("cfg")
@click.argument("weights", required=False)
@click.option("-map", "evaluate", is_flag=True, help="Measure mAP on the validation images while training.")
@click.option("-clear", is_flag=True, help="Count iterations from 0.")
@click.option("-force", is_flag=True, help="Train although the preflight found errors; not Darknet's.")
@click.option("-dont_show", is_flag=True, expose_value=False, help="No window; there never is one.")
@click.option(
    "-mjpeg_port", "port", type=click.IntRange(0, 65535), help="Serve a live page, to this machine."
)
@unsupported("-chart", "chart.png in the folder of the run is drawn from its whole history")
@unsupported("-show_imgs", "see --dump-batches of pydarknet train", takes_value=False)
@unsupported("-benchmark_layers", "see pydarknet bench", takes_value=False)
@devices
def command(
    data: str,
    cfg: str,
    weights: str | None,
    *,
    evaluate: bool,
    clear: bool,
    force: bool,
    port: int | None,
    device: str,
) -> int:
    """Train a detector; `pydarknet train` has more options.

    The run's folder is `backup` of the .data file; its weights are in the folder `weights` there, saved as
    often as `saveweights` and `savelast` specify. Run the same command again to resume; a command that
    names the weights of that folder resumes, too.

    \b
    Examples:
      pydarknet detector train obj.data yolov4-tiny.cfg yolov4-tiny.conv.29 -map -dont_show -mjpeg_port 8090
    """
    from pydarknet.cli.train import train_and_report
    from pydarknet.engine.darknet_files import read_data, resolve
    from pydarknet.runs.folder import RunFolder
    from pydarknet.training import TrainConfig

    options = {key: value for key, (value, _) in read_data(data).items()}
    out = resolve(options.get("backup", "backup"), Path(data).absolute().parent)
    run = RunFolder(out)
    start: object = weights
    if weights and run.exists and Path(weights).resolve().parent == run.weights.resolve():
        click.echo(f"{weights} belongs to the run in {out}, which resumes from its complete state")
        start = run.config().weights
    config = TrainConfig(
        cfg,
        Path(data),
        weights=None if start is None else str(start),
        out=out,
        map_every=None if evaluate else 0,
        save_every=_interval(options, "saveweights"),
        last_every=_interval(options, "savelast"),
        clear=clear,
        force=force,
        device=device,
        http=None if port is None else str(port),
    )
    return train_and_report(config)


def _interval(options: dict[str, str], key: str) -> int | None:
    value = options.get(key, "")
    return int(value) if value.isdigit() and int(value) else None
