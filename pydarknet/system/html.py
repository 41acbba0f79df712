# SPDX-License-Identifier: Apache-2.0
"""Representations of objects in notebooks: small pieces of HTML, all text escaped."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from itertools import islice

#: Rows of a table that a notebook shows.
MOST_ROWS = 50


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], total: int | None = None) -> str:
    """A table; numbers are aligned to the right.

    Args:
        columns: their titles.
        rows: cells, of which numbers and text are shown as they are; at most :data:`MOST_ROWS` are shown.
        total: number of rows, to state how many are left out.
    """
    shown = list(islice(rows, MOST_ROWS))
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in shown)
    more = f"<p>and {total - len(shown)} more</p>" if total is not None and total > len(shown) else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def _cell(value: object) -> str:
    align = "right" if isinstance(value, (int, float)) else "left"
    return f'<td style="text-align:{align}">{escape(str(value))}</td>'


def titled(title: str, *parts: str) -> str:
    """Parts below a line of text in bold."""
    return f"<div><strong>{escape(title)}</strong>{''.join(parts)}</div>"


def lines(text: str) -> str:
    """Text whose line breaks and spaces stay."""
    return f"<pre>{escape(text)}</pre>"


def folded(title: str, content: str) -> str:
    """Content behind a title that opens it."""
    return f"<details><summary>{escape(title)}</summary>{content}</details>"


def png(data: bytes, text: str) -> str:
    """An image inside the page; ``text`` describes it."""
    return f'<img alt="{escape(text)}" src="data:image/png;base64,{base64.b64encode(data).decode()}">'
