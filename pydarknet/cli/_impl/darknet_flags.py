# SPDX-License-Identifier: Apache-2.0
"""Command lines in the form of ``darknet``: flags with one dash, anywhere among the arguments.

Darknet ignores unknown arguments, so a mistyped flag has no effect and no message. Here it is an error that
suggests the closest flag.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from pydarknet.engine.devices import backend_on, device_name, require_available
from pydarknet.errors import ArgumentError, BackendError, DarknetError
from pydarknet.system.launcher import launched_by_us

F = TypeVar("F", bound=Callable[..., Any])

ALIASES = {"-gpu": "-i", "-letterbox": "-letter_box", "-out_file": "-out_filename"}
"""Common misspellings of flags, and Darknet's names for them."""


class DarknetCommand(click.Command):
    """A click command whose options have one dash; unknown ones are errors with the closest match."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Check the flags, then let click parse."""
        return super().parse_args(ctx, [*self._checked(ctx, args)])

    def _checked(self, ctx: click.Context, args: list[str]) -> list[str]:
        options = {name: p for p in self.get_params(ctx) for name in p.opts if isinstance(p, click.Option)}
        checked: list[str] = []
        value_next = False
        for word in args:
            if value_next or not re.match(r"-{1,2}[A-Za-z]", word):
                checked.append(word)
                value_next = False
                continue
            flag = self._flag(ctx, word, options)
            checked.append(flag)
            value_next = not (options[flag].is_flag or options[flag].count)
        return checked

    def _flag(self, ctx: click.Context, word: str, options: dict[str, click.Option]) -> str:
        if word in options:
            return word
        if ALIASES.get(word) in options:
            click.echo(f"note: {word} is not a flag of Darknet; read as {ALIASES[word]}", err=True)
            return ALIASES[word]
        longer = [name for name in options if name.startswith(word)]
        close = longer or difflib.get_close_matches(word, options, n=1)
        hint = f" Did you mean {close[0]}?" if close else f" {ctx.command_path} -h lists the flags."
        raise click.UsageError(f"no such flag: {word}.{hint}", ctx)


def devices(function: Callable[..., Any]) -> Callable[..., Any]:
    """``-i`` and ``-gpus``, which the command gets as its parameter ``device``; -gpus wins, as in Darknet.

    Command lines that were written for a machine with GPUs run on one without: with a note, on the CPU.
    """

    @functools.wraps(function)
    def chosen(*args: Any, one: str | None, several: str | None, **values: Any) -> Any:
        flag, numbers = ("-gpus", several) if several is not None else ("-i", one)
        return function(*args, device="auto" if numbers is None else _device(flag, numbers), **values)

    return _with_flags(chosen, "GPUs, by number; the first is used.")


def _with_flags(function: Callable[..., Any], several: str) -> Callable[..., Any]:
    """Add both flags; ``several`` is the help of -gpus."""
    one = "GPU, by number; -1: CPU, as without this flag."
    for flag, name, text in (("-gpus", "several", several), ("-i", "one", one)):
        function = click.option(flag, name, metavar="N", help=text)(function)
    return function


def training_devices(function: Callable[..., Any]) -> Callable[..., Any]:
    """Like :func:`devices`, for a command that several GPUs can share: it gets the parameter ``gpus``, too.

    ``gpus`` has the numbers of several GPUs if all can be used, and is empty otherwise.
    """

    @functools.wraps(function)
    def chosen(*args: Any, one: str | None, several: str | None, **values: Any) -> Any:
        gpus, reason = _together(several) if several else ((), "")
        if gpus:
            return function(*args, device="cuda", gpus=gpus, **values)
        flag, numbers = ("-gpus", several) if several is not None else ("-i", one)
        device = "auto" if numbers is None else _device(flag, numbers, reason)
        return function(*args, device=device, gpus=(), **values)

    return _with_flags(chosen, "GPUs, by number; of several each computes a part of every batch.")


def _together(numbers: str) -> tuple[tuple[int, ...], str]:
    """Numbers of several different GPUs; none, with the reason if there is one, if they cannot be used."""
    words = numbers.split(",")
    if len(words) < 2 or not all(word.isdecimal() for word in words):
        return (), ""
    if len(set(words)) < len(words):
        return (), "a number is there twice"
    try:
        for word in () if launched_by_us() else words:  # a worker sees its own alone
            require_available(backend_on("auto", device_name(word)))
    except DarknetError as error:
        return (), str(error)
    return tuple(int(word) for word in words), ""


def _device(flag: str, numbers: str, reason: str = "") -> str:
    """The device that GPUs' numbers mean; that of the processor, with a note, if it cannot be used.

    Args:
        flag: as it was given.
        numbers: its value.
        reason: why the first of several computes alone.
    """
    first, _, others = numbers.partition(",")
    try:
        device = device_name("cpu" if first == "-1" else first)
    except ArgumentError as error:
        raise click.UsageError(f"{flag} {numbers}: {error}") from None
    if device in ("auto", "cpu"):
        return device
    try:
        require_available(backend_on("auto", device))
    except BackendError as error:
        click.echo(f"note: {flag} {numbers}: {error}; computing on the CPU", err=True)
        return "cpu"
    if others:
        note_alone(f"{flag} {numbers}", first, reason)
    return device


def note_alone(flag: str, gpu: str | int, reason: str) -> None:
    """Print that one of several GPUs computes alone."""
    click.echo(f"note: {flag}: computing on GPU {gpu} alone{': ' * bool(reason)}{reason}", err=True)


def unsupported(flag: str, instead: str, takes_value: bool = True) -> Callable[[F], F]:
    """A flag of Darknet that is not supported; its use is an error that names an alternative."""

    def refuse(ctx: click.Context, param: click.Parameter, value: Any) -> None:  # noqa: ARG001
        if value:
            raise click.UsageError(f"{flag} is not supported here; {instead}", ctx)

    return click.option(
        flag, is_flag=not takes_value, callback=refuse, expose_value=False, hidden=True, help=instead
    )
