# SPDX-License-Identifier: Apache-2.0
"""``pydarknet detector train DATA CFG [WEIGHTS]``, like ``darknet detector train``."""

from __future__ import annotations

from pathlib import Path

import click

from pydarknet.cli._impl.darknet_flags import DarknetCommand, note_alone, training_devices, unsupported


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
@training_devices
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
    gpus: tuple[int, ...],
) -> int:
    """Train a detector; `pydarknet train` has more options.

    The run's folder is `backup` of the .data file; its weights are in the folder `weights` there, saved as
    often as `saveweights` and `savelast` specify. Run the same command again to resume; a command that
    names the weights of that folder resumes, too. With `-gpus 0,1` a worker on each GPU computes its part of
    every batch; batch and rate keep their meaning.

    \b
    Examples:
      pydarknet detector train obj.data yolov4-tiny.cfg yolov4-tiny.conv.29 -map -dont_show -mjpeg_port 8090
    """
    from pydarknet.cli._impl.ending import is_follower
    from pydarknet.cli.train import launch_workers, train_and_report
    from pydarknet.engine.darknet_files import read_data, resolve
    from pydarknet.runs.folder import RunFolder
    from pydarknet.system.launcher import launched_by_us
    from pydarknet.training import TrainConfig

    if is_follower():  # worker 0 sends it everything
        return train_and_report(TrainConfig())
    if gpus and not launched_by_us() and (reason := _why_alone(cfg, len(gpus))):
        note_alone(f"-gpus {','.join(map(str, gpus))}", gpus[0], reason)
        device, gpus = f"cuda:{gpus[0]}", ()
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
    if gpus and not launched_by_us():
        return launch_workers(config, len(gpus), gpus)
    return train_and_report(config)


def _why_alone(cfg: str, workers: int) -> str:
    """Reason why several GPUs cannot share the training of a cfg, or ""."""
    from pydarknet.cfg import CfgFile
    from pydarknet.training.launch import why_not_launched

    if reason := why_not_launched():
        return reason
    subdivisions = CfgFile.load(cfg).net.integer("subdivisions")
    return f"{subdivisions} subdivisions cannot be divided by {workers}" if subdivisions % workers else ""


def _interval(options: dict[str, str], key: str) -> int | None:
    value = options.get(key, "")
    return int(value) if value.isdigit() and int(value) else None
