# SPDX-License-Identifier: Apache-2.0
"""The ``pydarknet`` command: one file per subcommand, imported only when it is called.

Exit codes of every command unless its ``--help`` says otherwise:
0 success, 1 the work failed (message on stderr), 2 wrong usage, 70 a defect of pydarknet, 130 interrupted.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from pydarknet import __version__
from pydarknet.cli._impl import failures
from pydarknet.cli._impl.common_options import with_common
from pydarknet.cli._impl.hints import HintedGroup, command_hint

# name -> (module in pydarknet.cli, one-line help); the module holds a click command named `command`.
COMMANDS: dict[str, tuple[str, str]] = {
    "anchors": ("anchors", "Compute anchors for a data set and evaluate them."),
    "bench": ("bench", "Measure latency, throughput and memory of a network."),
    "cfg": ("cfg", "Create, show, explain, compare and change cfg files."),
    "check": ("check", "Check cfg, data and weights before a training starts."),
    "convert": ("convert", "Convert a data set from any label format to any other."),
    "data": ("data", "Split, balance, filter, count and view data sets."),
    "demo": ("demo", "Train a small detector on handwritten digits in two minutes."),
    "detect": ("detect", "Detect objects in images, videos, cameras and streams."),
    "detector": ("detector", "Darknet's command lines: detector test, demo, ..."),
    "eval": ("eval", "Evaluate a network: mAP, results by class and size, errors."),
    "export": ("export", "Write a network for other runtimes (ONNX)."),
    "info": ("info", "Show this machine and installation, or the layers of a cfg."),
    "log": ("log", "Parse, plot and analyse training logs."),
    "report": ("report", "Write everything about a run into one HTML file."),
    "runs": ("runs", "Compare trainings: results, and the settings that differ."),
    "sagemaker": ("sagemaker", "Train and serve by SageMaker's contract for containers."),
    "serve": ("serve", "Serve a network over HTTP: images in, objects out."),
    "train": ("train", "Train a detector, or resume a training."),
    "watch": ("watch", "Serve the live page of a run to a browser."),
    "weights": ("weights", "Inspect weights files; cut, average, compare, convert, pack."),
}


class LazyGroup(HintedGroup):
    """A click group that imports a subcommand's module only when it is used.

    Args:
        table: name -> (module in pydarknet.cli, one-line help).
    """

    def __init__(self, *args: Any, table: dict[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """Names of all commands."""
        return sorted(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command's module and return its command."""
        if cmd_name not in self.table:
            return None
        module = importlib.import_module(f"pydarknet.cli.{self.table[cmd_name][0]}")
        command = module.command
        assert isinstance(command, click.Command)
        return with_common(command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands from the table, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.table[name][1]) for name in sorted(self.table)])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or suggest a similar one."""
        name = args[0]
        if name not in self.table and not name.startswith("-"):
            ctx.fail(f"No such command {name!r}.{command_hint(name, self.table)}")
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version")
@click.option("-v", "--verbose", is_flag=True, help="Print messages of the library and tracebacks.")
def cli(verbose: bool) -> None:
    """Train and run Darknet models."""
    if verbose:
        failures.be_verbose()


def main() -> None:
    """Entry point: run the command, turn failures into a message and an exit code."""
    sys.exit(failures.exit_code(lambda: cli(prog_name="pydarknet", standalone_mode=False)))
