# SPDX-License-Identifier: Apache-2.0
"""Options that every command has: ``-v`` and ``-q``."""

from __future__ import annotations

import logging

import click

from pydarknet.cli._impl.darknet_flags import DarknetCommand
from pydarknet.cli._impl.failures import be_verbose

_QUIET = "pydarknet.quiet"


def with_common(command: click.Command) -> click.Command:
    """The command, and those below it, with these options; those in Darknet's form stay as they are."""
    if isinstance(command, click.Group):
        for below in command.commands.values():
            with_common(below)
    elif not isinstance(command, DarknetCommand):
        taken = {name for parameter in command.params for name in parameter.opts}
        command.params += [option for option in _options() if not taken & set(option.opts)]
    return command


def is_quiet() -> bool:
    """Whether the command that runs was given ``-q``, for what draws progress bars."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_QUIET))


def _options() -> list[click.Option]:
    common = {"is_flag": True, "expose_value": False}
    return [
        click.Option(
            ["-q", "--quiet"],
            callback=_be_quiet,
            help="Print results and errors only, no progress and warnings.",
            **common,
        ),
        click.Option(
            ["-v", "--verbose"],
            callback=_be_verbose,
            help="Print messages of the library and tracebacks.",
            **common,
        ),
    ]


def _be_verbose(_context: click.Context, _option: click.Parameter, given: bool) -> None:
    if given:
        be_verbose()


def _be_quiet(context: click.Context, _option: click.Parameter, given: bool) -> None:
    if given:
        context.meta[_QUIET] = True
        log = logging.getLogger("pydarknet")
        before = log.level
        log.setLevel(logging.ERROR)
        context.call_on_close(lambda: log.setLevel(before))
