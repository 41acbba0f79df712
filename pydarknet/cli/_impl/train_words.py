# SPDX-License-Identifier: Apache-2.0
"""Options of ``pydarknet train`` that stand for others: a model by name, and words of YOLOv5."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

#: Names of data files that say nothing about the data; their folder's name does.
_USUAL = ("data", "obj", "dataset", "train")


def with_words(
    given: Mapping[str, Any],
    *,
    model: str | None,
    name: str | None,
    project: Path | None,
    save_period: int | None,
    hyp: Path | None,
) -> dict[str, Any]:
    """The settings, with these options turned into the ones that they stand for.

    Raises:
        click.UsageError: two options contradict each other.
    """
    values = dict(given)
    if name is not None or project is not None:
        _exclude(values, "out", "--name" if name else "--project")
        values["out"] = Path(project or "runs", name or "exp")
    if save_period is not None and save_period > 0:
        _exclude(values, "save_every", "--save-period")
        values["save_every"] = f"{save_period}e"
    if hyp is not None:
        values["settings"] = (*_from_hyp(hyp), *values.get("settings", ()))
    if model is not None:
        _exclude(values, "cfg", "--model")
        values["cfg"] = made_cfg(model, values)
    return values


def _exclude(values: Mapping[str, Any], key: str, option: str) -> None:
    if key in values:
        raise click.UsageError(f"{option} and --{key.replace('_', '-')} set the same; give one")


def _from_hyp(path: Path) -> list[str]:
    """Settings of a hyper-parameter file of YOLOv5; what became of each key is printed."""
    from pydarknet.cfg.hyp import translate

    found = translate(path)
    click.echo(f"{path}:", err=True)
    for one in found:
        click.echo(f"  {one}", err=True)
    return [f"{key}={value}" for one in found for key, value in one.settings.items()]


def made_cfg(model: str, values: Mapping[str, Any]) -> Path:
    """Write the cfg of a family for the data: beside the folder of the run, under its name.

    The same command makes the same file, so that it resumes the run; another file is not overwritten.

    Raises:
        click.UsageError: no data, or the file exists with another content.
    """
    from pydarknet.cfg import new_cfg
    from pydarknet.system.atomic import write_text

    if "data" not in values:
        raise click.UsageError("--model needs --data, which decides the number of classes")
    made, notes = new_cfg.make(new_cfg.Request(model, size=values.get("size"), data=Path(values["data"])))
    out = values.get("out")
    path = Path(f"{out}.cfg") if out else Path("runs", f"{model}-{_label(Path(values['data']))}.cfg")
    if path.exists() and path.read_text("utf-8", "replace") != str(made):
        raise click.UsageError(
            f"{path} differs from the cfg that --model {model} makes; use it with --cfg {path}, or remove it"
        )
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, str(made))
        click.echo(f"written: {path}", err=True)
        for note in notes:
            click.echo(note, err=True)
    return path


def _label(data: Path) -> str:
    """A short name of a data set: of its file, or of its folder if every data set has such a file."""
    stem = data.name.partition(".")[0]
    return (data.absolute().parent.name if stem.lower() in _USUAL else stem) or "data"
