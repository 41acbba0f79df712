# SPDX-License-Identifier: Apache-2.0
"""A description of files that no format recognises: their content, and the formats they may have."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from itertools import islice
from pathlib import Path

from pydarknet.data.formats._sniff import json_head, root_tag
from pydarknet.data.formats._tables import csv_rows
from pydarknet.data.formats._yolo_lines import read_boxes
from pydarknet.data.issues import Report
from pydarknet.data.paths import walk
from pydarknet.engine.image_header import is_image
from pydarknet.errors import RecordError
from pydarknet.system.text import lines_of

_FILES = 1000  # of a folder that are counted
_CANDIDATES = {
    ".xml": ("voc", "cvat"),
    ".json": ("coco", "labelme", "labelstudio", "createml", "vott", "bdd100k", "datumaro", "via"),
    ".csv": ("csv", "openimages", "kaggle", "via"),
    ".txt": ("darknet", "kitti", "dota", "visdrone", "widerface"),
}


def seen(path: Path) -> str:
    """The content of a file or folder, with the values of ``--from`` to try, as the end of a message."""
    files = [path] if path.is_file() else list(islice(walk(path, ("",)), _FILES))
    counts = Counter(file.suffix.lower() for file in files)
    listed = ", ".join(f"{count} {suffix or 'without ending'}" for suffix, count in counts.most_common(6))
    lines = [f"found {listed or 'no files'}"]
    suffixes = [suffix for suffix in _CANDIDATES if suffix in counts]
    for suffix in suffixes:
        file = next(file for file in files if file.suffix.lower() == suffix)
        lines.append(f"{file}: {_content(file)}")
    tried = [name for suffix in suffixes for name in _CANDIDATES[suffix]]
    if tried:
        lines.append(f"if it is one of these, try --from {'|'.join(dict.fromkeys(tried))}")
    elif counts and all(is_image(f"a{suffix}") for suffix in counts):
        lines.append("these are images without labels; pydarknet detect finds objects in them")
    return "\n  ".join(lines)


def _content(file: Path) -> str:
    with suppress(RecordError, OSError):
        if tag := root_tag(file):
            return f"XML with the root <{tag}>"
        head = json_head(file)
        if head.kind == "object":
            return f"a JSON object with the keys {', '.join(list(head.members)[:8])}"
        if head.kind == "list":
            return f"a JSON list, its first element with the keys {', '.join(list(head.first(''))[:8])}"
        if file.suffix.lower() == ".csv":
            row = next(csv_rows(file), (0, []))[1]
            return f"its first row is {','.join(row)[:100]!r}"
        report = Report()
        read_boxes(file, 1, 1, None, report)
        first = next((line for line in lines_of(file) if line), "")
        problem = f"; as a Darknet label: {report.issues[0]}" if report.issues else ""
        return f"its first line is {first[:60]!r}{problem}"
    return "cannot be read"
