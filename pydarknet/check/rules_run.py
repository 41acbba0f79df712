# SPDX-License-Identifier: Apache-2.0
"""Rules about the run itself: where it writes, and whether it will be evaluated."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from pydarknet.check.catalogue import ERROR, WARNING, Found, rule
from pydarknet.check.inputs import Inputs
from pydarknet.engine.darknet_files import resolve

STATES = 8  # files of one set of weights that are always kept: last, best, final, average, optimizer state …


@rule("L-18", ERROR, "run folder cannot be used", "Create the folder, or choose another with --out.")
def folder_usable(inputs: Inputs) -> Iterator[Found]:
    """Darknet trains for a thousand iterations before it fails to save.  The folder of a run is created if
    its parent is writable; ``backup`` of a ``.data`` file must exist."""
    folder, file, line = _target(inputs)
    if folder is None:
        return
    if folder.exists() and not folder.is_dir():
        yield Found(f"{folder} is a file", file, line, str(folder), "a folder")
        return
    present = next(place for place in (folder, *folder.parents) if place.exists())
    if file and not folder.exists():
        yield Found(
            f"backup folder {folder} does not exist", file, line, str(folder), hint=f"mkdir -p {folder}"
        )
    elif not os.access(present, os.W_OK | os.X_OK):
        yield Found(f"{present} is not writable", file, line, str(folder), "a writable folder")
    else:
        needed, free = _space(inputs), shutil.disk_usage(present).free
        if needed > free:
            text = f"saved weights will take {_mib(needed)}, {_mib(free)} are free in {present}"
            yield Found(
                text, file, line, _mib(free), _mib(needed), hint="Free some space, or keep fewer files."
            )


def _target(inputs: Inputs) -> tuple[Path | None, str, int]:
    """Folder of the run, and the line of the .data file that sets it."""
    if inputs.run.folder is not None:
        return inputs.run.folder.absolute(), "", 0
    if inputs.data and "backup" in inputs.data.options:
        value, line = inputs.data.options["backup"]
        return resolve(value, Path(inputs.data.path).parent), inputs.data.path, line
    return None, "", 0


def _space(inputs: Inputs) -> int:
    """Bytes that the saved files of a whole training take at Darknet's intervals."""
    end = inputs.net.integer("max_batches")
    files = end // (1000 if end < 10_000 else 10_000) + STATES
    return files * inputs.nodes.floats * 4


def _mib(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB"


@rule("L-19", WARNING, "no validation images", "Split off some images: pydarknet data split.", "data")
def validation_present(inputs: Inputs) -> Iterator[Found]:
    """Without them there is no mAP, and overfitting cannot be detected."""
    assert inputs.data is not None
    if inputs.data.val is None or not inputs.data.val.images:
        yield Found("there are no validation images, so mAP cannot be measured", inputs.data.path)
