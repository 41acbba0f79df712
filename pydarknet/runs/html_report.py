# SPDX-License-Identifier: Apache-2.0
"""``report.html``: the page of a run as one self-contained file."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import cv2

from pydarknet.engine.images import glance
from pydarknet.errors import DataError
from pydarknet.runs.page.server import asset
from pydarknet.runs.state import RunState
from pydarknet.system.atomic import write_text

WIDEST = 1600  # pixels; larger images are scaled down
_QUALITY = 85


def write_report(folder: Path, path: Path | None = None) -> Path:
    """Write the report of a run, finished or not.

    Args:
        folder: of the run.
        path: file to write; ``report.html`` in the folder if not given.

    Returns:
        The file.

    Raises:
        DataError: the folder holds no run.
        FileError: the report cannot be written.
    """
    if not (folder / "run.json").is_file() and not (folder / "results.jsonl").is_file():
        raise DataError(f"{folder}: is not a run folder: it contains neither run.json nor results.jsonl")
    state = RunState(folder).read()
    for image in state["images"]:
        image["data"] = _data_uri(folder / image["name"])
    state["images"] = [image for image in state["images"] if image["data"]]
    target = path or folder / "report.html"
    write_text(target, _html(state))
    return target


def _data_uri(path: Path) -> str:
    """Encode an image as a data URI; "" if it cannot be read."""
    pixels = glance(path)
    if pixels is None:
        return ""
    shrink = WIDEST / max(pixels.shape[:2])
    if shrink >= 1:
        data, kind = path.read_bytes(), "png" if path.suffix == ".png" else "jpeg"
    else:
        small = cv2.resize(pixels, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _html(state: dict[str, Any]) -> str:
    """Build the page with style, scripts and state inside; its policy forbids anything from elsewhere."""
    page = asset("page.html")
    # Only "<" could end the script element; ASCII, because file names may be invalid Unicode.
    content = json.dumps(state).replace("<", "\\u003c")
    hashes: list[str] = []

    def script(match: re.Match[str]) -> str:
        code = f"\n{asset(match[1])}"
        hashes.append(base64.b64encode(hashlib.sha256(code.encode()).digest()).decode())
        return f"<script>{code}</script>"

    page = page.replace('<link rel="stylesheet" href="page.css">', f"<style>\n{asset('page.css')}</style>")
    icon = base64.b64encode(asset("icon.svg").encode()).decode()
    page = page.replace('href="icon.svg"', f'href="data:image/svg+xml;base64,{icon}"')
    page = re.sub(r'<script src="([\w.]+)"></script>', script, page)
    allowed = " ".join(f"'sha256-{found}'" for found in hashes)
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {allowed}"
    page = page.replace(
        "<title>", f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n<title>', 1
    )
    start = page.index("<script>")
    return f'{page[:start]}<script type="application/json" id="state">{content}</script>\n{page[start:]}'
