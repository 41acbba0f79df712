# SPDX-License-Identifier: Apache-2.0
"""Implementation of ``pydarknet serve``: settings from options, start and end."""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pydarknet.cli._impl.detect import load_network
from pydarknet.cli._impl.failures import drop
from pydarknet.cli._impl.options import PrecisionOptions
from pydarknet.cli.detect import DetectOptions
from pydarknet.cli.serve import ServeOptions
from pydarknet.engine.devices import backend_on, require_available
from pydarknet.engine.network import Network
from pydarknet.system.extras import require
from pydarknet.system.web_access import parse_address

if TYPE_CHECKING:
    from pydarknet.serving.server import InferenceServer

_LIBRARIES = {
    "fastapi": "fastapi",
    "uvicorn": "uvicorn",
    "httptools": "httptools",
    "python_multipart": "python-multipart",
    "prometheus_client": "prometheus-client",
}
_NETWORK = ("names", "size", "batch", *(one.name for one in fields(PrecisionOptions)))
_DETECTION = ("thresh", "nms", "letterbox", "classes")


def run(model: Sequence[str], options: ServeOptions, *, token: str | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C; returns the exit code.

    Args:
        model: words of the command line: cfg and weights, a pack, or a run.
        options: of the command.
        token: in place of the one that other machines need by default; "" for none.
    """
    for module, package in _LIBRARIES.items():
        require(module, "serve", package)
    require_available(backend_on(options.backend, options.device))
    from pydarknet.serving.limits import Limits
    from pydarknet.serving.server import InferenceServer
    from pydarknet.serving.service import Settings

    host, port = parse_address(options.http)
    limits = Limits(
        body=int(options.max_body * (1 << 20)),
        pixels=int(options.max_pixels * 1e6),
        waiting=options.queue,
        seconds=options.timeout,
    )
    detecting = DetectOptions(**{name: getattr(options, name) for name in _NETWORK + _DETECTION})
    settings = Settings(
        load=lambda: _load(model, detecting),
        detecting=detecting.detecting,
        limits=limits,
        batch=options.batch,
        handler=_handler(options.handler) if options.handler else None,
    )
    server = InferenceServer(
        settings, host, port, token=token, ready=lambda one: _announce(one, as_json=options.as_json)
    )
    if server.warning:
        click.echo(f"warning: {server.warning}", err=True)
    click.echo(f"loading; will serve at {server.url} (Ctrl-C stops)", err=True)
    server.run()
    return 0


def _load(model: Sequence[str], options: DetectOptions) -> Network:
    return load_network(model, options)


def _announce(server: InferenceServer, *, as_json: bool) -> None:
    try:
        click.echo(json.dumps(server.to_json()) if as_json else f"ready: {server.url}")
        sys.stdout.flush()
    except OSError as error:  # its reader has gone, or the disk is full: the server serves
        drop(sys.stdout)
        with contextlib.suppress(OSError):
            click.echo(f"warning: the line of readiness cannot be written: {error.strerror}", err=True)


def _handler(text: str) -> Any:
    """The function that ``module:function`` names; the module may lie in the working folder."""
    from pydarknet.serving.service import is_handler

    module, colon, name = text.partition(":")
    if not (module and colon and name):
        raise click.BadParameter(f"found {text!r}, expected MODULE:FUNCTION", param_hint="'--handler'")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise click.BadParameter(
            f"there is no module {module!r} in this folder or the Python path", param_hint="'--handler'"
        ) from None
    function = getattr(found, name, None)
    if not is_handler(function):
        raise click.BadParameter(
            f"{text} is not a function of three arguments: detections, image, query", param_hint="'--handler'"
        )
    return function
