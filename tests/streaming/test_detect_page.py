# SPDX-License-Identifier: Apache-2.0
"""The page on detection: its code runs, its commands parse."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from pydarknet.cli.detect import command
from pydarknet.engine import selftest

PAGE = (Path(__file__).parents[2] / "docs" / "detect.md").read_text()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_the_code_on_streams_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_files: tuple[Path, Path], video: Callable[..., Path]
) -> None:
    for library in ("trackers", "pandas"):
        pytest.importorskip(library)
    monkeypatch.chdir(tmp_path)
    Path("yolov4.cfg").write_text(selftest.CFG)
    shutil.copy(tiny_files[1], "yolov4.weights")
    Path("coco.names").write_text("thing\n")
    video("video.mp4", frames=6)
    cv2.imwrite("street.jpg", np.full((700, 900, 3), 200, np.uint8))
    part = PAGE[PAGE.index("## Videos, cameras, streams") : PAGE.index("## From the command line")]
    blocks = re.findall(r"^```python\n(.*?)^```", part, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 6
    space: dict[str, object] = {}
    exec("import pydarknet", space)
    for block in blocks:
        exec(compile(block, "docs/detect.md", "exec"), space)
    assert space["results"].stats.frames == 3  # type: ignore[attr-defined]
    assert space["annotated"].shape == (120, 160, 3)  # type: ignore[attr-defined]


@pytest.mark.parametrize("line", re.findall(r"^\$ (.*)$", PAGE, re.MULTILINE))
def test_the_commands_parse(line: str) -> None:
    words = shlex.split(line.rpartition("| ")[2])
    assert words[:2] == ["pydarknet", "detect"]
    with command.make_context("detect", words[2:]) as context:
        assert context.params["sources"]


def test_every_option_is_explained() -> None:
    for parameter in command.params:
        if parameter.param_type_name == "option" and not parameter.hidden:  # type: ignore[attr-defined]
            assert parameter.help, parameter.name  # type: ignore[attr-defined]
    for option in ("--classes", "--every", "--tile", "--track", "--compare", "--sheet", "--http", "--crops"):
        assert option in PAGE
