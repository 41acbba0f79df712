# SPDX-License-Identifier: Apache-2.0
"""Options, and kinds of option, that several commands share."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from pydarknet.engine.precisions import PRECISIONS


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
            self.fail(f"{value!r} is no size; write 416 or 608x320", param, ctx)
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
            self.fail(f"{value!r} is no amount of memory; write 6G or 512M", param, ctx)
        return (
            int(float(match[1]) * 1024 ** "KMGT".find(match[2].upper()) * 1024) if match[2] else int(match[1])
        )


BYTES = BytesType()

# -- which network, and how it is run

F = TypeVar("F", bound=Callable[..., Any])


def _apply(options: list[Callable[[F], F]], function: F) -> F:
    for option in reversed(options):
        function = option(function)
    return function


def network_files(function: F) -> F:
    """``--cfg`` and ``--weights``."""
    return _apply(
        [
            click.option("--cfg", required=True, metavar="FILE", help="Network configuration (.cfg)."),
            click.option("--weights", metavar="FILE", help="Trained weights (.weights)."),
        ],
        function,
    )


def computing(function: F) -> F:
    """``--backend``, ``--threads`` and ``--lenient``."""
    return _apply(
        [
            click.option(
                "--backend",
                default="auto",
                show_default=True,
                help="auto, a name that `pydarknet info` lists, or check:A,B to compare two layer by layer.",
            ),
            click.option("--threads", type=click.IntRange(1), help="Cores to use. Default: all."),
            click.option("--lenient", is_flag=True, help="Unknown keys in the cfg are warnings, not errors."),
        ],
        function,
    )


precision_option = click.option(
    "--precision",
    type=click.Choice(["auto", *PRECISIONS]),
    default="auto",
    show_default=True,
    help="auto: what the backend prefers here, bf16 if the CPU supports it natively.",
)
