# SPDX-License-Identifier: Apache-2.0
"""TFRecord of TensorFlow's Object Detection API: images and their boxes in one file, corners as fractions.

Images are unpacked into the cache of archives. Format:
https://github.com/tensorflow/models/blob/master/research/object_detection/g3doc/using_your_own_dataset.md
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterable
from contextlib import suppress
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

from pydarknet.data.archives import cache_folder
from pydarknet.data.dataset import Flag, Status
from pydarknet.data.formats._common import number
from pydarknet.data.formats._protobuf import example, is_tfrecord, records
from pydarknet.data.formats._records import boxes_of
from pydarknet.data.formats._sniff import given_files
from pydarknet.data.issues import Report
from pydarknet.data.joined import joined
from pydarknet.data.output import safe_name
from pydarknet.data.paths import split_of
from pydarknet.data.records import Box, LabelSource, ReadOptions, Record
from pydarknet.engine.image_header import image_size, is_image
from pydarknet.errors import DataError, RecordError
from pydarknet.system.atomic import replacing
from pydarknet.system.files import open_file
from pydarknet.system.text import encode, read_text

_NAME = re.compile(r"\.tf_?records?\b|\.record\b", re.IGNORECASE)
_NAMES_TESTED = 10_000  # files in the folders below that are tested by name
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_ITEM = re.compile(r"item\s*\{([^}]*)\}")
_FLAGS = {"difficult": Flag.DIFFICULT, "is_crowd": Flag.CROWD, "truncated": Flag.TRUNCATED}
_Unit = tuple[int, int, int]


def sniff(path: Path) -> bool:
    """A file of records with ``record`` in its name, or a folder with some."""
    return bool(_files(path))


def _files(path: Path) -> list[Path]:
    places = [path] if path.is_file() else []
    if path.is_dir():
        places = [*sorted(path.iterdir()), *sorted(islice(path.glob("*/*"), _NAMES_TESTED))]
    found = []
    for file in places:
        with suppress(OSError):
            if _NAME.search(file.name) and file.is_file() and is_tfrecord(file):
                found.append(file)
    return found


def read(path: Path, options: ReadOptions, report: Report) -> LabelSource:
    """One file, or a folder with the parts of each split; a ``.pbtxt`` beside them fixes the class order."""
    files = given_files(path, _files(path), "TFRecord")
    return joined([_read_file(file, options) for file in files], path, report)


def _read_file(path: Path, options: ReadOptions) -> LabelSource:
    maps = [*sorted(path.parent.glob("*.pbtxt")), *sorted(path.parent.parent.glob("*.pbtxt"))]
    names = options.names or (_label_map(maps[0]) if maps else None)
    info = path.stat()
    digest = hashlib.sha256(encode(f"{path.absolute()}|{info.st_size}|{info.st_mtime_ns}")).hexdigest()[:12]
    words = (*re.split(r"[_.-]", path.name), path.parent.name)
    split = next((s for s in map(split_of, words) if s), "")
    folder = cache_folder() / f"{path.name.split('.')[0]}-{digest}"
    parse = functools.partial(_parse, path=path, folder=folder, split=split, names=names)
    return LabelSource(functools.partial(records, path), parse, names)


def _label_map(path: Path) -> tuple[str, ...]:
    """Names of a label map in the order of their ids."""
    found = {}
    for item in _ITEM.findall(read_text(path)):
        class_id = re.search(r"\bid\s*:\s*(\d+)", item)
        name = re.search(r"\b(?:display_name|name)\s*:\s*(['\"])(.*?)\1", item)
        if not class_id or not name:
            raise RecordError("parse", f"expected an item with id and name, found {item.strip()!r}", path)
        found[int(class_id[1])] = name[2]
    return tuple(dict.fromkeys(found[key] for key in sorted(found)))


def _parse(
    unit: _Unit, report: Report, *, path: Path, folder: Path, split: str, names: tuple[str, ...] | None
) -> Iterable[Record]:
    place, offset, length = unit
    where = (str(path), place)
    with open_file(path) as file:
        file.seek(offset)
        data = file.read(length)
    try:
        features = example(data)
    except (ValueError, OverflowError) as error:
        raise RecordError("parse", f"not an Example: {error}", *where) from None
    encoded = features.get("image/encoded") or [b""]
    if not isinstance(encoded[0], bytes) or not encoded[0]:
        raise RecordError("parse", "no image/encoded", *where)
    name = _text(features, "image/filename") or _text(features, "image/source_id") or f"{place:08d}"
    name = safe_name(name)
    if not is_image(name):
        name += f".{_text(features, 'image/format') or 'jpg'}"
    image = folder / f"{place:08d}" / name
    if not image.is_file():
        with replacing(image) as temporary:
            temporary.write_bytes(encoded[0])
    try:
        width, height = image_size(image)
    except DataError as error:
        raise RecordError("unreadable-image", str(error), *where) from None
    boxes = _boxes(features, names, (width, height), where, report)
    annotated = bool(features.get("image/object/bbox/xmin"))
    status = Status.ANNOTATED if annotated else Status.BACKGROUND
    return [Record(str(image), name, width, height, boxes, status.value, split, str(path))]


def _text(features: dict[str, list[Any]], key: str) -> str:
    value = (features.get(key) or [b""])[0]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""


def _boxes(
    features: dict[str, list[Any]],
    names: tuple[str, ...] | None,
    size: tuple[int, int],
    where: tuple[str, int],
    report: Report,
) -> list[Box]:
    def values(key: str) -> list[Any]:
        return features.get(f"image/object/{key}") or []

    corners = list(zip_longest(*(values(f"bbox/{key}") for key in _CORNERS)))
    texts, ids = values("class/text"), values("class/label")
    if len(texts) != len(corners) and len(ids) != len(corners):
        text = f"{len(corners)} boxes, {len(texts)} names and {len(ids)} numbers of classes"
        raise RecordError("parse", text, *where)

    def box(item: tuple[int, tuple[Any, ...]]) -> Box:
        place, row = item
        x1, y1, x2, y2 = (number(value, key, where) for value, key in zip(row, _CORNERS, strict=True))
        flags = 0
        for key, flag in _FLAGS.items():
            found = values(key)
            flags |= flag if place < len(found) and found[place] == 1 else 0
        label = _label(texts, ids, place, len(corners), names)
        return Box(label, x1 * size[0], y1 * size[1], x2 * size[0], y2 * size[1], flags, None, where[1])

    return boxes_of(enumerate(corners), box, report)


def _label(texts: list[Any], ids: list[Any], place: int, count: int, names: tuple[str, ...] | None) -> str:
    """The class of a box: its text if all have one, else its number in the label map, from 1."""
    if len(texts) == count:
        return texts[place].decode("utf-8", "replace").strip() if isinstance(texts[place], bytes) else ""
    class_id = ids[place]
    return names[class_id - 1] if names and 0 < class_id <= len(names) else f"id {class_id}"
