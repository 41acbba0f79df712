# SPDX-License-Identifier: Apache-2.0
"""Command ``pydarknet sagemaker``: training and serving by SageMaker's contract for containers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from pydarknet.cli._impl.options import options_from, setting
from pydarknet.cli.serve import ServeOptions

ML_ROOT = click.option(
    "--ml-root",
    type=click.Path(path_type=Path, file_okay=False),
    default="/opt/ml",
    show_default=True,
    metavar="DIR",
    help="Folder of the contract.",
)


@dataclass(frozen=True)
class EndpointOptions(ServeOptions):
    """Options of ``pydarknet sagemaker serve``."""

    http: str | None = setting(  # type: ignore[assignment]
        None,
        "Address to listen on.  [default: 0.0.0.0 and the port of SAGEMAKER_BIND_TO_PORT, or 8080]",
        metavar="[HOST:]PORT",
    )


@click.group(name="sagemaker")
def command() -> None:
    """Train and serve in a container by SageMaker's contract, or the same on any machine.

    \b
    Examples:
      pydarknet sagemaker train
      pydarknet sagemaker train --ml-root test/ml
      pydarknet sagemaker serve --ml-root test/ml --http 8080
    """


@command.command("train")
@ML_ROOT
def train(ml_root: Path) -> int:
    """Train with what is below DIR; a training that was lost resumes from its checkpoints.

    \b
    Reads:
      input/config/hyperparameters.json   options of `pydarknet train`, all as strings:
                                          {"epochs": "30", "batch": "64", "set": "hue=0.1 mosaic=1"}
      input/config/inputdataconfig.json   the channels
      input/config/resourceconfig.json    the hosts, of which there must be one
      input/data/CHANNEL/                 cfg, data, weights: the only .cfg, .data or data.yaml, .weights or
                                          .conv.N file, or the one that the hyperparameter names
    Writes:
      checkpoints/run/                    the run; `train` resumes it
      model/                              cfg, best weights, names, model.json
      output/data/                        log, tables, plots, report
      output/failure                      why it failed

    \b
    Exit codes:
      0    finished, time-limit, early-stop or overfit-stop: the model is in model/
      2    hyperparameters, channels or hosts cannot be used
      130  signal: the same command resumes; the best weights so far are in model/
      others are those of `pydarknet train`
    """
    from pydarknet.cli._impl import sagemaker

    return sagemaker.train(ml_root)


@command.command("serve", context_settings={"auto_envvar_prefix": "PYDARKNET"})
@ML_ROOT
@options_from(EndpointOptions)
def serve(ml_root: Path, **options: Any) -> int:
    """Serve the model in DIR/model as an endpoint, without a token: access is checked outside.

    The model is cfg, weights and names, a pack as folder or .tar.gz, or the folder of a run.
    Modules for --handler lie in DIR/model/code.
    Options may be environment variables: PYDARKNET_THRESH=0.4, PYDARKNET_HANDLER=mine:answer.
    """
    from pydarknet.cli._impl import sagemaker

    return sagemaker.serve(ml_root, EndpointOptions(**options))
