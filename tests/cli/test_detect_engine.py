# SPDX-License-Identifier: Apache-2.0
"""``detect --engine`` with an executor of this process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from helpers import run

from pydarknet.data import executors


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Options of the workers' networks."""
    found: list[dict[str, Any]] = []

    def here(job: Any, tasks: Sequence[Any], workers: int) -> Iterator[Any]:
        found.append(dict(job.loading))
        return map(job, tasks)

    monkeypatch.setattr(executors, "by_name", lambda _: here)
    return found


def test_addresses_are_fetched_by_workers_and_for_the_outputs(
    tiny_files: tuple[Path, Path],
    levels: np.ndarray,
    loaded: list[dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With the channels of the network; a missing one does not end the others."""
    cv2.imwrite(str(tmp_path / "a.png"), levels)
    quiet: Callable[..., None] = lambda *_: None  # noqa: E731
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", quiet)
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    cfg, weights = tiny_files
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        words = ["--cfg", cfg, "--weights", weights, "--engine", "ray", "--no-pictures", "--device", "cpu"]
        words += ["--out", tmp_path / "out"]
        code = run(monkeypatch, "detect", *words, f"{url}/gone.png", f"{url}/a.png", tmp_path / "a.png")
        server.shutdown()
    printed = capsys.readouterr()
    assert code == 1
    assert "gone.png: cannot be fetched" in printed.err
    assert printed.out.count("a.png: ") == 2
    assert loaded[0]["device"] == "cpu"
    assert loaded[0]["precision"] != "auto"
