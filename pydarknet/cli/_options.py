# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share: which network, and how it is run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

PRECISIONS = ("auto", "fp32", "bf16")


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
                help="auto, cpu, ref, or check:A,B to compare two layer by layer.",
            ),
            click.option("--threads", type=click.IntRange(1), help="Cores to use. Default: all."),
            click.option("--lenient", is_flag=True, help="Unknown keys in the cfg are warnings, not errors."),
        ],
        function,
    )


precision_option = click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="auto",
    show_default=True,
    help="auto: bf16 where the CPU multiplies it natively.",
)
