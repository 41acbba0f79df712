# SPDX-License-Identifier: Apache-2.0
"""Command ``pydarknet serve``: its options; the work is in ``_impl/serve.py``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click

from pydarknet.cli._impl.options import PrecisionOptions, options_from, setting


@dataclass(frozen=True)
class ServeOptions(PrecisionOptions):
    """Options of ``pydarknet serve``."""

    http: str = setting(
        "8080",
        "Address to listen on; without HOST only this machine can connect, else those that know the token.",
        metavar="[HOST:]PORT",
    )
    names: str | None = setting(
        None,
        "Class names: .names, .data or data.yaml. Default: a .names file or run.json beside the weights.",
        flag=("--names", "--data"),
        metavar="FILE",
    )
    thresh: float = setting(
        0.25,
        "Confidence above which an object is reported, unless the request has its own.",
        low=0.01,
        high=1,
    )
    nms: float = setting(
        0.45, "Overlap above which the weaker of two boxes is suppressed; 0 keeps all.", low=0, high=1
    )
    size: tuple[int, int] | None = setting(None, "Input size in place of the cfg's, e.g. 608 or 608x320.")
    letterbox: bool | None = setting(
        None, "Fit images by padding or stretching. Default: cfg.", flag="--letterbox/--stretch"
    )
    classes: str | None = setting(None, "Report only these classes (names or numbers).", metavar="A,B")
    batch: int = setting(8, "Most images per inference; those that wait are taken together.", low=1, high=256)
    handler: str | None = setting(
        None,
        "Function that makes the answers: FUNCTION(detections, image, query).",
        metavar="MODULE:FUNCTION",
    )
    queue: int = setting(64, "Images that may wait; requests beyond are answered 503.", low=1, metavar="N")
    timeout: float = setting(30, "Seconds after which a request is answered 503.", low=0.1, metavar="S")
    max_body: float = setting(16, "Largest request body in MiB.", low=0.01, high=1024, metavar="MIB")
    max_pixels: float = setting(50, "Largest image in megapixels.", low=0.01, high=1000, metavar="MP")
    as_json: bool = setting(False, "Print address, token and network as a line of JSON.", flag="--json")


@click.command("serve")
@click.argument("model", nargs=-1, required=True, metavar="CFG WEIGHTS | MODEL")
@options_from(ServeOptions)
def command(model: tuple[str, ...], **options: Any) -> int:
    """Serve a network over HTTP: a client sends an image, the answer lists its objects.

    MODEL is a pack (`pydarknet weights pack`) or the folder of a run, of which the best weights are taken.

    \b
    Addresses:
      POST /invocations   image (raw, form field body or file, JSON {"image": BASE64}) -> objects;
                          also /v1/detect and /models/model/invoke; ?thresh=0.5
                          Accept: application/json, application/x-darknet+json, application/x-coco+json,
                          image/jpeg (the image with boxes)
      GET /ping           200 once the network is loaded, 503 before
      GET /               page for trying an image, a video or a camera
      GET /v1/model, /metrics (Prometheus), /openapi.json

    With HOST, clients need a token: Authorization: Bearer TOKEN, or ?token=TOKEN in a browser.
    It is printed; the environment variable PYDARKNET_HTTP_TOKEN sets it.

    \b
    Exit codes:
      0    SIGTERM: requests that ran were answered
      1    the network cannot be loaded, or the port is taken
      2    wrong usage
      130  Ctrl-C

    \b
    Examples:
      pydarknet serve yolov4.cfg yolov4.weights --names coco.names
      pydarknet serve runs/pets --http 0.0.0.0:8080 --batch 16
      pydarknet serve pets.tar.gz --handler mine:answer --json
      curl --data-binary @dog.jpg http://127.0.0.1:8080/invocations
    """
    from pydarknet.cli._impl import serve

    return serve.run(model, ServeOptions(**options))
