# SPDX-License-Identifier: Apache-2.0
"""Kinds of option that several commands share."""

from __future__ import annotations

import re
from typing import Any

import click


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
