# SPDX-License-Identifier: Apache-2.0
"""Weights that projects publish for the networks of the families: where they are, their size and checksum."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePath

from pydarknet.cfg.families import FAMILIES
from pydarknet.weights.fit import profile

_HEADER = 20  # bytes
_RELEASES = "https://github.com/AlexeyAB/darknet/releases/download"
_FIRST = f"{_RELEASES}/darknet_yolo_v3_optimal"
_PRE = f"{_RELEASES}/darknet_yolo_v4_pre"
_V4 = f"{_RELEASES}/yolov4"
_AUTHOR = "https://pjreddie.com/media/files"

#: File -> folder that it is offered in. Files for which no direct address is known are left out.
_FOLDERS = {
    "yolov4.weights": _V4,
    "yolov4.conv.137": _FIRST,
    "yolov4-tiny.weights": _V4,
    "yolov4-tiny.conv.29": _PRE,
    "yolov4-csp.weights": _PRE,
    "yolov4-csp.conv.142": _PRE,
    "yolov4x-mish.weights": _PRE,
    "yolov4x-mish.conv.166": _PRE,
    "yolov4-p5.conv.232": _PRE,
    "yolov4-p6.weights": _V4,
    "yolov4-p6.conv.289": _PRE,
    "yolov7.weights": _V4,
    "yolov7-tiny.weights": _V4,
    "yolov3.weights": _AUTHOR,
    "yolov3-spp.weights": _AUTHOR,
    "yolov3-tiny.weights": _AUTHOR,
    "darknet53.conv.74": _AUTHOR,
}

#: SHA-1 by which the tests of OpenCV's module dnn recognise the files at these addresses
#: (testdata/dnn/download_models.py in its repository opencv_extra). The projects state no checksums.
_SHA1 = {
    "yolov4.weights": "0143deb6c46fcc7f74dd35bf3c14edc3784e99ee",
    "yolov4-tiny.weights": "451caaab22fb9831aa1a5ee9b5ba74a35ffa5dcb",
    "yolov4x-mish.weights": "a6f2879af2241de2e9730d317a55db6afd0af00b",
    "yolov3.weights": "520878f12e97cf820529daea502acca380f1cb8e",
}


@dataclass(frozen=True, slots=True)
class Published:
    """A published weights file.

    Attributes:
        name: of the file.
        content: network and classes, or the layers that it holds.
        size: bytes, with the header of 20 bytes.
        url: address to download it from; "" if none is known.
        sha1: checksum, 40 hexadecimal digits; "" if none is known.
    """

    name: str
    content: str
    size: int
    url: str = ""
    sha1: str = ""


@cache
def known() -> dict[str, Published]:
    """Complete weights for 80 classes and cut ones, by name."""
    found: dict[str, Published] = {}

    def add(name: str, floats: int, content: str) -> None:
        url = f"{_FOLDERS[name]}/{name}" if name in _FOLDERS else ""
        file = Published(name, content, _HEADER + 4 * floats, url, _SHA1.get(name, ""))
        found.setdefault(name, file)

    for name, family in FAMILIES.items():
        ends = profile(name)
        whole = ends[-1].floats + 79 * ends[-1].slope  # profiles have one class
        add(f"{name}.weights", whole, f"{name}, 80 classes")
        if family.pretrained:
            file, layers = family.pretrained
            cut = next((end.floats for end in ends if end.layer == layers - 1 and not end.slope), None)
            if cut is not None:
                add(file, cut, f"the first {layers} layers of {name}")
    return found


def hint(path: str) -> str:
    """Advice on a missing file: of a run, published, or nearly named like a published one; else ""."""
    name, files = PurePath(path).name, known()
    below = Path(path).parent / "weights" / name
    if below.is_file():
        return f"; did you mean {below}?"
    file = files.get(name)
    if file is None:
        close = _files_of(name) or difflib.get_close_matches(name, files, n=1, cutoff=0.95)
        return f"; did you mean {' or '.join(close)}, see `pydarknet weights known`?" if close else ""
    text = f"; {file.name} ({file.content}, {file.size} bytes) is not part of pydarknet: "
    if file.url:
        return f"{text}`pydarknet weights get {file.name}` downloads it from {file.url}"
    return f"{text}get it from the project that publishes it, check it with `pydarknet weights verify`"


def _files_of(family: str) -> list[str]:
    """Files of a network: the cut one to train from, and the complete one."""
    if family not in FAMILIES:
        return []
    cut = FAMILIES[family].pretrained
    return [*([cut[0]] if cut else []), f"{family}.weights"]
