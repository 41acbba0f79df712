# SPDX-License-Identifier: Apache-2.0
"""Standard output of a command holds its results, whatever other threads print."""

from __future__ import annotations

import sys
import threading

import click
import pytest

from pydarknet.cli._impl.own_output import own_output


def test_prints_of_other_threads_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout
    with own_output():
        click.echo("a result")
        thread = threading.Thread(target=print, args=("a notice",))
        thread.start()
        thread.join()
        print("another", file=sys.stdout, flush=True)
    assert sys.stdout is before
    assert capsys.readouterr() == ("a result\nanother\n", "a notice\n")
