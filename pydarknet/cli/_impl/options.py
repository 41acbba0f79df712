# SPDX-License-Identifier: Apache-2.0
"""Options of the commands: their types, and how they are made from the fields of a dataclass."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from pydarknet.engine.devices import device_name
from pydarknet.engine.model_files import is_archived, is_model, of_run
from pydarknet.engine.precisions import PRECISIONS
from pydarknet.errors import ArgumentError, WeightsError
from pydarknet.runs.config import BACKEND_HELP, DEVICE_HELP, PRECISION_HELP

#: Why weights are needed, in errors.
RANDOM = "a network with random weights detects nothing."

F = TypeVar("F", bound=Callable[..., Any])


class SizeType(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.2 on
    """An input size: ``416`` or ``608x320`` (width × height), in pixels."""

    name = "SIZE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Parse the text; click reports failures as wrong usage."""
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"(\d+)(?:[x×*,](\d+))?", str(value))
        if not match:
            self.fail(f"{value!r} is not a valid size; write 416 or 608x320", param, ctx)
        width = int(match[1])
        return width, int(match[2] or width)


SIZE = SizeType()


class BytesType(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.2 on
    """An amount of memory: ``6G``, ``512M`` or a number of bytes."""

    name = "BYTES"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Parse the text; click reports failures as wrong usage."""
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?", str(value), re.IGNORECASE)
        if not match:
            self.fail(f"{value!r} is not a valid amount of memory; write 6G or 512M", param, ctx)
        return (
            int(float(match[1]) * 1024 ** "KMGT".find(match[2].upper()) * 1024) if match[2] else int(match[1])
        )


BYTES = BytesType()


class DeviceType(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.2 on
    """A device to compute on: ``auto``, ``cpu``, ``cuda``, or ``cuda:N``; ``N`` alone means the same."""

    name = "DEVICE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Parse the text; click reports failures as wrong usage."""
        try:
            return device_name(value)
        except ArgumentError as error:
            self.fail(str(error), param, ctx)


DEVICE = DeviceType()


class CfgOfModel(click.Path):
    """A cfg file; the folder of a run or a pack stands for the cfg in it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Find the cfg; click reports failures as wrong usage."""
        if not is_model(Path(value)):
            return super().convert(value, param, ctx)
        if is_archived(Path(value)):
            self.fail(f"{value!r} is a packed archive; unpack it and give its folder", param, ctx)
        try:
            return of_run(Path(value)).cfg
        except WeightsError as error:
            self.fail(str(error), param, ctx)


class GpusType(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.2 on
    """Numbers of different GPUs: ``0,1``."""

    name = "GPUS"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Parse the text; click reports failures as wrong usage."""
        if isinstance(value, tuple):
            return value
        numbers = tuple(int(word) for word in str(value).split(",") if re.fullmatch(r"\s*\d{1,4}\s*", word))
        if len(numbers) != str(value).count(",") + 1 or len(set(numbers)) != len(numbers):
            self.fail(f"found {value!r}, expected numbers of different GPUs, e.g. 0,1", param, ctx)
        return numbers


GPUS = GpusType()


def device_option(function: F) -> F:
    """``--device`` of a command that computes but has none of the other :class:`ComputeOptions`."""
    how: dict[str, Any] = {"type": DEVICE, "default": "auto", "show_default": True}
    return click.option("--device", **how, help=DEVICE_HELP)(function)


# -- options from the fields of a dataclass

_FILES = {"cfg": "FILE", "weights": "FILE"}  # their metavar

_TYPES: dict[str, Any] = {
    "int": click.INT,
    "float": click.FLOAT,
    "str": click.STRING,
    "int | str": click.STRING,
    "Device": DEVICE,
    "Pathlike": click.Path(path_type=Path),
    "tuple[int, int]": SIZE,
    "tuple[str, str]": click.STRING,
    "tuple[str, ...]": click.STRING,
    "bool": click.BOOL,
}


def setting(default: Any, text: str, **more: Any) -> Any:
    """A dataclass field that is also an option of a command.

    Args:
        default: of the field and of the option.
        text: help text.
        more: ``flag`` (its spelling, or a tuple of spellings; by default from the field's name), ``metavar``,
            ``choices``, ``type`` (click's, if not that of the annotation), the range ``low`` and ``high``
            (inclusive unless ``exclusive``).
    """
    return field(default=default, metadata={"help": text, **more})


def options_from(settings: type[Any], *, given_only: bool = False) -> Callable[[F], F]:
    """Decorator that gives a command one option for each field of a dataclass; inherited fields come last.

    Args:
        settings: the dataclass.
        given_only: options that the user does not give are None or empty instead of their default.
    """
    inherited = {one.name for base in settings.__bases__ if is_dataclass(base) for one in fields(base)}
    ordered = sorted(fields(settings), key=lambda one: one.name in inherited)

    def decorate(function: F) -> F:
        for one in reversed(ordered):
            function = _option(one, given_only)(function)
        return function

    return decorate


def _option(one: Field[Any], given_only: bool) -> Callable[[F], F]:
    meta, kind = one.metadata, str(one.type).removesuffix(" | None")
    flags = meta.get("flag", "--" + one.name.replace("_", "-"))
    shown = not isinstance(one.default, bool) and one.default not in (None, MISSING, "", ())
    more: dict[str, Any] = {"help": meta["help"], "default": None if given_only else one.default}
    if given_only and shown:
        more["help"] += f"  [default: {one.default}]"
    more["show_default"] = shown and not given_only
    if kind == "bool" and "/" not in flags:
        # --no-plots sets a field that is True to False
        more |= {"is_flag": True, "flag_value": not one.default if given_only else True}
    elif kind != "bool":
        more |= {"type": _type(kind, meta), "metavar": meta.get("metavar", _FILES.get(one.name))}
        more["multiple"] = kind == "tuple[str, ...]"
        if kind == "tuple[str, str]":
            more["nargs"] = 2
    return click.option(*([flags] if isinstance(flags, str) else flags), one.name, **more)


def _type(kind: str, meta: Mapping[str, Any]) -> Any:
    if "type" in meta:
        return meta["type"]
    if "choices" in meta:
        return click.Choice(meta["choices"])
    if "low" not in meta:
        return _TYPES[kind]
    closed = not meta.get("exclusive", False)
    limits = {"min": meta["low"], "max": meta.get("high"), "min_open": not closed, "max_open": not closed}
    if limits["max"] is None:
        limits["max_open"] = False
    return click.IntRange(**limits) if kind == "int" else click.FloatRange(**limits)


@dataclass(frozen=True)
class ComputeOptions:
    """Options of every command that computes a network: on which device, how strictly the cfg is read."""

    device: str = setting("auto", DEVICE_HELP, type=DEVICE)
    backend: str = setting("auto", f"{BACKEND_HELP[:-1]}, or check:A,B to compare two layer by layer.")
    threads: int | None = setting(None, "Cores to use. Default: all.", low=1)
    lenient: bool = setting(
        False, "Read the cfg as Darknet does: unknown keys and doubtful values are warnings, not errors."
    )


@dataclass(frozen=True)
class PrecisionOptions(ComputeOptions):
    """Options of a command that computes a network in one precision."""

    precision: str = setting(
        "auto",
        PRECISION_HELP,
        choices=("auto", *PRECISIONS),
    )
