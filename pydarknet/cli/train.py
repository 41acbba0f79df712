# SPDX-License-Identifier: Apache-2.0
"""``pydarknet train``: train a detector, or resume a training.

The options are those of :class:`pydarknet.training.TrainConfig`, made from its fields.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from pydarknet.cli._impl.ending import Ending, is_follower
from pydarknet.cli._impl.options import GPUS, options_from
from pydarknet.cli._impl.train_words import with_words
from pydarknet.runs.config import TrainConfig

_EXIT = """\b
Exit codes and stop reasons:
  0    finished, or nothing-to-do: the schedule had already ended
  1    failed, for any other reason
  2    wrong usage
  3    data-error: data or preflight, or too many unreadable images
  4    disk-error: disk full or gone, or folder in use; the last saved state is intact
  5    non-finite: a loss or weight became nan or infinite; the saved state is from before
  6    time-limit: --max-hours is over; run the same command again to resume
  7    early-stop: the monitored value did not improve (--patience)
  8    overfit-stop: the validation loss rose while the training loss fell (--stop-on)
  9    worker-lost: one of several workers died or hangs (--worker-timeout); run the same command again
  130  signal: SIGTERM or Ctrl-C; run the same command again to resume
"""


_SOURCES = {
    "cfg": "the network; --model yolov4-tiny makes one, and so does `pydarknet cfg new`, with more choices",
    "data": "a .data file or data.yaml; `pydarknet convert` and `pydarknet data new` write them",
}


@click.command(name="train", epilog=_EXIT)
@options_from(TrainConfig, given_only=True)
@click.option("--model", metavar="NAME", help="Make the cfg of a family, as yolov4-tiny, for --data.")
@click.option("--name", metavar="NAME", help="Folder of the run as PROJECT/NAME, in place of --out.")
@click.option(
    "--project", type=click.Path(path_type=Path), metavar="DIR", help="See --name.  [default: runs]"
)
@click.option(
    "--save-period", type=int, metavar="N", help="Epochs between numbered weights: --save-every Ne."
)
@click.option(
    "--hyp",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Hyper-parameters of YOLOv5 (hyp.yaml): reports what each becomes in the cfg; --set overrides them.",
)
@click.option(
    "--resume",
    "resume_",
    type=click.Path(path_type=Path),
    is_flag=False,
    flag_value="runs",
    metavar="[RUN]",
    help="Resume a run, or the newest in a folder of runs.  [default: runs]",
)
@click.option(
    "--rerun",
    "rerun_",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Repeat a run from its beginning in another folder, with its settings and inputs.",
)
@click.option(
    "--processes",
    type=click.IntRange(1),
    default=1,
    metavar="N",
    help="Train with N workers on this machine, which divide its cores. (Not with mpiexec or srun.)",
)
@click.option(
    "--devices",
    type=GPUS,
    metavar="N,N",
    help="Train with a worker on each of these GPUs, e.g. 0,1: --processes and --device in one.",
)
@click.option(
    "-q", "--quiet", is_flag=True, help="Print evaluations only, not the log; it is in RUN/train.log."
)
@click.option("--estimate", "estimate_", is_flag=True, help="Estimate time and memory without training.")
@click.option("--json", "as_json", is_flag=True, help="With --estimate: print JSON.")
def command(
    resume_: Path | None,
    rerun_: Path | None,
    processes: int,
    devices: tuple[int, ...] | None,
    quiet: bool,
    estimate_: bool,
    as_json: bool,
    model: str | None,
    name: str | None,
    project: Path | None,
    save_period: int | None,
    hyp: Path | None,
    **values: Any,
) -> int:
    """Train a detector; run the same command again to resume.

    \b
    Examples:
      pydarknet train --cfg my.cfg --data ds/obj.data --weights yolov4-tiny.conv.29 --out runs/x
      pydarknet train --model yolov4-tiny --data ds/data.yaml --epochs 100 --cache ram
      pydarknet train --cfg my.cfg --data obj.data --set learning_rate=0.001 --freeze backbone
      pydarknet train --cfg my.cfg --data obj.data --http 8090
      pydarknet train --resume runs/x --max-batches 8000
      pydarknet train --rerun runs/x --out runs/x-again
      pydarknet train --cfg my.cfg --data obj.data --max-hours 7 --estimate
      pydarknet train --cfg my.cfg --data obj.data --out runs/x --processes 2
      pydarknet train --cfg my.cfg --data obj.data --out runs/x --devices 0,1

    \b
    In the folder of the run:
      weights/      NAME_last, _best, _final, _1000 ...; NAME_last.state, from which the run resumes
      report.html   plots and results in one file; `--http 8090` serves the same during training
      chart.png     loss, mAP and rate; results.png, labels.png, train_batch*.jpg, val_*.jpg ...
      results.csv   one line for each iteration; results.jsonl with each head
      train.log     in Darknet's format; run.json, preflight.json, crash.json
    """
    from pydarknet.training import rerun

    given = {key: value for key, value in values.items() if value not in (None, ())}
    if devices:
        processes = _one_each(devices, processes, given)
    if is_follower():  # worker 0 sends it everything else
        config = TrainConfig(worker_timeout=given.get("worker_timeout", TrainConfig.worker_timeout))
        return _estimate(config, as_json) if estimate_ else train_and_report(config)
    given = with_words(given, model=model, name=name, project=project, save_period=save_period, hyp=hyp)
    if rerun_ is not None:
        if resume_ is not None:
            raise click.UsageError("--rerun begins a run again and --resume continues it; give one")
        config = rerun(rerun_, **given)
    elif resume_ is not None:
        config = _resumed(resume_, given)
    else:
        for key in ("cfg", "data"):
            if key not in given:
                raise click.UsageError(f"Missing option '--{key}' (or --resume): {_SOURCES[key]}")
        config = TrainConfig(**given)
    if as_json and not estimate_:
        raise click.UsageError("--json is for --estimate; a training writes results.jsonl into its folder")
    if processes > 1 and not _is_launched(processes):
        return launch_workers(config, processes, devices or ())
    if estimate_:
        return _estimate(config, as_json)
    return train_and_report(config, echo=not quiet)


def _resumed(place: Path, given: dict[str, Any]) -> TrainConfig:
    """Settings of the run at a place; which run is printed if the place is not its folder."""
    from pydarknet.training import resume

    if fixed := given.keys() & {"out", "weights", "restart", "clear"}:
        raise click.UsageError(f"--resume takes this setting from the run; leave out --{min(fixed)}")
    config = resume(place, **given)
    if config.out != place:
        click.echo(f"resuming {config.out}", err=True)
    return config


def _is_launched(processes: int) -> bool:
    """Whether this is a worker already."""
    from pydarknet.system.launcher import launched

    if (count := launched()) not in (1, processes):
        raise click.UsageError(f"--processes {processes}: the launcher has started {count}; leave it out")
    return count > 1


def _one_each(devices: tuple[int, ...], processes: int, given: dict[str, Any]) -> int:
    """Put GPUs into the settings; returns the number of workers."""
    from pydarknet.system.launcher import launched, launched_by_us

    if processes not in (1, len(devices)) or given.get("device", "cuda") not in ("auto", "cuda"):
        raise click.UsageError(
            "--devices starts a worker on each of these GPUs; leave --processes and --device out"
        )
    if launched() > 1 and not launched_by_us():
        raise click.UsageError(
            f"--devices: the launcher has started {launched()} workers; leave it out: with --device cuda "
            "each takes a GPU of its own, among those that CUDA_VISIBLE_DEVICES lists"
        )
    given["device"] = "cuda" if len(devices) > 1 else f"cuda:{devices[0]}"
    return len(devices)


def launch_workers(config: TrainConfig, processes: int, devices: tuple[int, ...]) -> int:
    """Run this command in several workers, on these GPUs if any are named; returns the exit code."""
    from pydarknet.errors import BackendError, MissingExtra
    from pydarknet.training.launch import launch
    from pydarknet.training.placement import require_gpus

    try:
        require_gpus(config.engine_backend, processes, devices)
        code, error = launch(sys.argv[1:], processes, devices)
    except (BackendError, MissingExtra) as missing:
        code, error = 1, f"error: {missing}"
    if error:
        click.echo(error, err=True)
    return code


def _estimate(config: TrainConfig, as_json: bool) -> int:
    from pydarknet.errors import DarknetError
    from pydarknet.runs.outcome import reason_of
    from pydarknet.training import EXIT_CODES, estimate

    ending = Ending()
    with ending.reported():
        try:
            found = estimate(config)
        except DarknetError as error:
            ending.fail(EXIT_CODES[reason_of(error)], f"error: {error}")
        else:
            ending.end(0, json.dumps(found.to_json()) if as_json else found.text())
    return ending.code


def train_and_report(config: TrainConfig, *, echo: bool = True) -> int:
    """Train, print the outcome, and return the exit code."""
    from pydarknet.errors import DarknetError
    from pydarknet.runs.outcome import reason_of
    from pydarknet.training import EXIT_CODES, train

    ending = Ending()
    with ending.reported():
        try:
            outcome = train(config, echo=echo)
        except (DarknetError, KeyboardInterrupt) as error:
            ending.fail(EXIT_CODES[reason_of(error)], f"error: {error}" if str(error) else "interrupted")
        else:
            ending.end(EXIT_CODES[outcome.reason], outcome.to_text())
    return ending.code


def main() -> None:
    """Entry point of ``pydarknet-train``."""
    from pydarknet.cli import main as whole

    sys.argv.insert(1, "train")
    whole()
