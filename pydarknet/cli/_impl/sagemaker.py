# SPDX-License-Identifier: Apache-2.0
"""Implementation of ``pydarknet sagemaker``: from the files of the contract to a training or a server."""

from __future__ import annotations

import json
import os
import shutil
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from pydarknet.cli import train as train_command
from pydarknet.cli._impl import failures
from pydarknet.cli._impl import serve as serving
from pydarknet.cli._impl.hints import explained, nearest
from pydarknet.cli.sagemaker import EndpointOptions
from pydarknet.engine.model_files import ARCHIVES, is_model, of_run
from pydarknet.errors import DarknetError
from pydarknet.runs.config import TrainConfig
from pydarknet.runs.outcome import EXIT_CODES, Outcome, reason_of
from pydarknet.system.atomic import write_text
from pydarknet.weights.pack import pack

#: Stop reasons of a training that has done what it should.
PLANNED = ("finished", "nothing-to-do", "time-limit", "early-stop", "overfit-stop")
_PREFIX = "PYDARKNET_"  # of variables that are options of an endpoint
_FAILURE_BYTES = 1024  # that SageMaker shows
#: Set by the contract, or without a meaning.
_OURS = ("out", "resume", "rerun", "restart", "http", "json", "estimate")
#: Hyperparameters that name files -> patterns of those that are taken without one.
_INPUTS: Mapping[str, tuple[str, ...]] = {
    "cfg": ("*.cfg",),
    "data": ("*.data", "data.yaml", "data.yml"),
    "weights": ("*.weights", "*.conv.*"),
    "weights-names": (),
}


class Unusable(click.ClickException):
    """Files of the contract that cannot be used."""

    exit_code = 2


def train(root: Path) -> int:
    """Train; returns the exit code."""
    try:
        outcome = _train(root)
    except click.ClickException as error:
        _write_failure(root, error.format_message())
        raise
    except (DarknetError, KeyboardInterrupt) as error:
        _write_failure(root, str(error) or "interrupted")
        click.echo(f"error: {error}", err=True)
        return EXIT_CODES[reason_of(error)]
    except BaseException as error:
        _write_failure(root, failures.expected(error) or traceback.format_exc())
        raise
    click.echo(outcome.to_text())
    return 0 if outcome.reason in PLANNED else EXIT_CODES[outcome.reason]


def _train(root: Path) -> Outcome:
    from pydarknet import training

    (root / "output" / "failure").unlink(missing_ok=True)
    _check_hosts(root)
    words = list(_words(root))
    config = replace(_config(words), out=root / "checkpoints" / "run")
    click.echo(f"pydarknet train {' '.join(words)}", err=True)
    outcome = training.train(config, echo=True)
    _write_results(outcome.folder, root)
    return outcome


def serve(root: Path, options: EndpointOptions) -> int:
    """Serve the model; returns the exit code."""
    _report_unused_variables()
    port = os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080")
    sys.path.insert(0, str(root / "model" / "code"))
    model = _model(root / "model")
    return serving.run(model, replace(options, http=options.http or f"0.0.0.0:{port}"), token="")


def _report_unused_variables() -> None:
    """Variables of the environment that are nearly those of an option; others are for other programs."""
    own = [f"--{one.name}".replace("_", "-") for one in click.get_current_context().command.params]
    for variable in sorted(os.environ):
        option = f"--{variable.removeprefix(_PREFIX)}".replace("_", "-").lower()
        if variable.startswith(_PREFIX) and option not in own and (meant := nearest(option[2:], own)):
            name = _PREFIX + meant[2:].replace("-", "_").upper()
            click.echo(f"warning: {variable} has no effect; did you mean {name}?", err=True)


def _model(folder: Path) -> Sequence[str]:
    """Words for ``pydarknet serve``."""
    archives = [path for path in sorted(folder.glob("*")) if path.name.lower().endswith(ARCHIVES)]
    if len(archives) == 1 and not is_model(folder):
        return [str(archives[0])]
    parts = of_run(folder)
    return [str(parts.cfg), str(parts.weights)]


# -- hyperparameters, channels, hosts


def _words(root: Path) -> Iterator[str]:
    """The command line of ``pydarknet train`` that hyperparameters and channels mean."""
    given = _hyperparameters(root)
    channels = _channels(root)
    for name in _INPUTS:
        path = _input(name, given.pop(name, None), channels)
        if path is not None:
            yield from (f"--{name}", str(path))
        elif name == "data" or (name == "cfg" and "model" not in given):
            raise Unusable(f"{root / 'input' / 'data'}: there is no {name} file in any channel")
    flags = {flag: option for option in _options() for flag in option.opts}
    for name, value in given.items():
        option = flags.get(f"--{name}")
        if name in _OURS:
            raise Unusable(f"hyperparameters.json: {name!r} has no effect in a container; leave it out")
        if option is None or not option.is_flag:
            parts = value.split() if option is not None and option.multiple else [value]
            yield from (word for part in parts for word in (f"--{name}", part))
        elif value.lower() in ("true", "1", "yes", ""):
            yield f"--{name}"
        elif value.lower() not in ("false", "0", "no"):
            raise Unusable(f"hyperparameters.json: found {name}={value!r}, expected true or false")


def _options() -> list[click.Option]:
    return [option for option in train_command.command.params if isinstance(option, click.Option)]


def _hyperparameters(root: Path) -> dict[str, str]:
    """Values by name with dashes; SageMaker's own are left out."""
    found = {}
    for name, value in _read(root, "hyperparameters").items():
        text = value if isinstance(value, str) else json.dumps(value)
        if len(text) > 1 and text[0] == text[-1] == '"':  # encoded again by the Python SDK
            text = str(json.loads(text))
        if not name.startswith("sagemaker_"):
            found[name.replace("_", "-")] = text
    return found


def _config(words: Sequence[str]) -> TrainConfig:
    """Settings from a command line, with its hints for names that are wrong."""
    try:
        with train_command.command.make_context("train", list(words)) as context:
            values = dict(context.params)
    except click.UsageError as error:
        if isinstance(error, click.NoSuchOption):
            error = explained(error, words)
        raise Unusable(f"hyperparameters.json: {error.format_message()}") from None
    return TrainConfig(
        **{
            name: value
            for name, value in values.items()
            if name in TrainConfig.__dataclass_fields__ and value not in (None, ())
        }
    )


def _channels(root: Path) -> dict[str, Path]:
    """Folders of the channels by name."""
    folder = root / "input" / "data"
    found = {path.name: path for path in sorted(folder.glob("*")) if path.is_dir()}
    for name, channel in _read(root, "inputdataconfig").items():
        if name not in found:
            raise Unusable(f"inputdataconfig.json: {folder / name}: there is no such folder")
        if isinstance(channel, dict) and channel.get("TrainingInputMode", "File") == "Pipe":
            raise Unusable(f"inputdataconfig.json: channel {name!r} is a pipe; expected the mode File")
    return found


def _input(name: str, value: str | None, channels: Mapping[str, Path]) -> Path | None:
    """The file that a hyperparameter names, or the only one of its kind; None if there is none."""
    if value is not None:
        places = [Path(value), *(folder / value for folder in channels.values())]
        path = next((place for place in places if place.exists()), None)
        if path is None and value.lower() != "none":
            raise Unusable(f"hyperparameters.json: found {name}={value!r}, which is in no channel")
        return path
    ordered = sorted(channels.values(), key=lambda folder: folder.name != name)
    for folder in ordered:
        paths = [path for pattern in _INPUTS[name] for path in sorted(folder.rglob(pattern))]
        if len(paths) > 1:
            names = ", ".join(str(path.relative_to(folder)) for path in paths)
            raise Unusable(f"{folder}: has {names}; the hyperparameter {name!r} chooses one")
        if paths:
            return paths[0]
    if name == "data":
        return next((channels[one] for one in ("train", "training", "images") if one in channels), None)
    return None


def _check_hosts(root: Path) -> None:
    hosts = _read(root, "resourceconfig").get("hosts", [])
    if isinstance(hosts, list) and len(hosts) > 1:
        raise Unusable(f"resourceconfig.json: found {len(hosts)} hosts, expected 1")


def _read(root: Path, name: str) -> dict[str, Any]:
    """The content of a file of the configuration; empty if it is missing."""
    path = root / "input" / "config" / f"{name}.json"
    try:
        found = json.loads(path.read_bytes() or b"{}")
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        raise Unusable(f"{path}: is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise Unusable(f"{path}: is not a JSON object")
    return found


# -- results


def _write_results(run: Path, root: Path) -> None:
    """Copy the model, and the tables and plots of a run."""
    _replace(root / "output" / "data", [path for path in sorted(run.iterdir()) if path.is_file()])
    if not any((run / "weights").glob("*.weights")):
        return  # it was stopped before its first weights
    packed = pack(of_run(run), root / "output" / ".model", "model")
    _replace(root / "model", sorted(packed.iterdir()))
    shutil.rmtree(packed)


def _replace(folder: Path, files: Sequence[Path]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in files:
        shutil.copyfile(path, folder / path.name)


def _write_failure(root: Path, reason: str) -> None:
    """Write the reason; without a writable folder it is on stderr alone."""
    try:
        write_text(root / "output" / "failure", reason[-_FAILURE_BYTES:] + "\n")
    except OSError as error:
        click.echo(f"warning: output/failure cannot be written: {error}", err=True)
