# SPDX-License-Identifier: Apache-2.0
"""``pydarknet info``: show the machine and the installation, or the layer table of a cfg."""

from __future__ import annotations

import dataclasses
import json
import time
from typing import Any

import click

from pydarknet.cli._impl.options import SIZE
from pydarknet.engine import info
from pydarknet.system.memory import gib


@click.command("info")
@click.argument("cfg", required=False, metavar="[MODEL.cfg]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--selftest", is_flag=True, help="Compute a built-in network and compare with known numbers.")
@click.option("--size", type=SIZE, help="With MODEL.cfg: at this input size, e.g. 416 or 640x352.")
@click.option(
    "--lenient",
    is_flag=True,
    help="With MODEL.cfg: unknown keys and doubtful values are warnings, not errors.",
)
def command(
    cfg: str | None, as_json: bool, selftest: bool, size: tuple[int, int] | None, lenient: bool
) -> int:
    """Show this machine and installation, or the layers of MODEL.cfg.

    The layer table has the shapes, billions of operations (BFLOPs) and parameters that Darknet counts.

    \b
    Examples:
      pydarknet info
      pydarknet info --selftest
      pydarknet info yolov4.cfg --size 416
      pydarknet info --json > machine.json
    """
    if selftest:
        return _selftest(as_json)
    if cfg is None:
        data = info.info()
        click.echo(json.dumps(data, indent=2) if as_json else _machine_text(data))
        return 0
    click.echo(_model(cfg, size, lenient, as_json))
    return 0


def _machine_text(data: dict[str, Any], indent: str = "") -> str:
    lines = []
    for key, value in data.items():
        if isinstance(value, dict) and value:
            lines += [f"{indent}{key}", _machine_text(value, indent + "  ")]
        else:
            shown = ", ".join(map(_shown, value)) if isinstance(value, list) else value
            unit = " GB" if key in ("total", "free") else ""
            lines.append(f"{indent}{key:12} {'none' if shown in (None, '', {}) else shown}{unit}")
    return "\n".join(lines)


def _shown(item: Any) -> str:
    """A name, a GPU, or a backend with its precisions or the reason why it is not available."""
    if not isinstance(item, dict):
        return str(item)
    if "capability" in item:
        text = f"{item['index']} {item['name']} (sm_{item['capability'].replace('.', '')}"
        text += f", {gib(item['memory'])})"
        return f"{text}: not usable: {item['why_not']}" if item["why_not"] else text
    if not item["available"]:
        return f"{item['name']} (not available: {item['reason']})"
    precisions = ", ".join(precision["name"] for precision in item["precisions"])
    return f"{item['name']} ({'; '.join(filter(None, (precisions, item['device'])))})"


def _model(cfg: str, size: tuple[int, int] | None, lenient: bool, as_json: bool) -> str:
    from pydarknet.engine.network import Network

    with Network(cfg, strict=not lenient) as network:
        if size:
            network.resize(*size)
        if not as_json:
            return network.summary()
        layers = [dataclasses.asdict(layer) for layer in network.layers]
        return json.dumps({**dataclasses.asdict(network.info), "table": layers}, indent=2)


def _selftest(as_json: bool) -> int:
    from pydarknet.engine.selftest import not_run, run

    start = time.perf_counter()
    results = run()
    seconds = time.perf_counter() - start
    passed = all(result.passed for result in results)
    if as_json:
        rows = [dataclasses.asdict(result) for result in results]
        report = {"passed": passed, "seconds": round(seconds, 3), "results": rows, "not_run": not_run()}
        click.echo(json.dumps(report, indent=2))
    else:
        for result in results:
            click.echo(f"{'pass' if result.passed else 'FAIL'}  {result.name}: {result.detail}")
        for name, reason in not_run().items():
            click.echo(f"----  {name}: not run: {reason}")
        click.echo(f"{'passed' if passed else 'FAILED'} in {seconds:.2f} s")
    return 0 if passed else 1
