# SPDX-License-Identifier: Apache-2.0
"""Helpers of the formats: finding an image and its size, safe XML, JSON with positions."""

from __future__ import annotations

import codecs
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from pydarknet.data.dataset import Status
from pydarknet.data.issues import Report
from pydarknet.data.paths import find_image, images_below, inner_name, split_of, walk
from pydarknet.data.records import ReadOptions, Record
from pydarknet.engine.darknet_files import other_unicode
from pydarknet.engine.image_header import image_size, is_image
from pydarknet.errors import DataError, RecordError
from pydarknet.system.files import open_file, raw_lines
from pydarknet.system.text import read_text

T = TypeVar("T")

MAX_FILE = 1 << 28  # bytes of one XML or JSON file that is read whole


_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+")
_SPLIT_FOLDERS = {
    "train": ("train", "train2017", "train2014"),
    "val": ("val", "valid", "validation", "val2017", "val2014"),
    "test": ("test", "test2017"),
}


class FoundImage(NamedTuple):
    """An image and the scale from the annotation's pixels to its own."""

    image: str
    width: int
    height: int
    sx: float
    sy: float


class ImageFinder:
    """Search for the images of a format; picklable.

    Args:
        folders: searched in order, first with the relative name, then with its last component; an absolute
            name that exists is taken as it is.
        missing: ``"skip"`` or ``"keep"`` annotations whose image is not found.
        deep: also search the folders below, for a name that only one image has.

    An image of the same name with another extension is found last: images are often converted afterwards.
    """

    def __init__(self, folders: Iterable[str | Path], missing: str = "skip", *, deep: bool = False) -> None:
        self.folders = [folder for folder in dict.fromkeys(map(str, folders)) if os.path.isdir(folder)]  # noqa: PTH112
        self.missing, self.deep = missing, deep
        self._index: dict[str, str] | None = None

    def find(self, *names: str) -> str | None:
        """The first of these names (extension optional) that is an image."""
        for name in names:
            if os.path.isabs(name) and os.path.isfile(name):  # noqa: PTH113, PTH117 - hot: once per image
                return name
        spellings = [name.replace("\\", "/").lstrip("/") for name in names]
        spellings += [other for name in spellings for other in other_unicode(name)]
        return (
            self._beside(spellings)
            or (self._below(spellings) if self.deep else None)
            or self._beside([name.rpartition(".")[0] for name in spellings if is_image(name)])
        )

    def _beside(self, names: Iterable[str]) -> str | None:
        for name in names:
            for candidate in dict.fromkeys((name, name.rpartition("/")[2])):
                for folder in self.folders if candidate else ():
                    image = find_image(folder, candidate)
                    if image is not None:
                        return image
        return None

    def _below(self, names: Iterable[str]) -> str | None:
        """The only image of this name, with or without extension, in the folders and those below them."""
        if self._index is None:
            self._index = {}
            for path in (path for folder in self.folders for path in images_below(folder)):
                for name in {path.name, path.stem}:
                    known = self._index.setdefault(name, str(path))
                    self._index[name] = known if known == str(path) else ""
        return next((found for name in names if (found := self._index.get(name.rpartition("/")[2]))), None)

    def locate(
        self,
        names: Sequence[str],
        stated: tuple[int, int] | None,
        where: tuple[str, int],
        report: Report,
    ) -> FoundImage:
        """Find an image and compare its size with the one its annotation states.

        The file's header decides. If the annotation states another size its coordinates are scaled, unless
        width and height are merely swapped: then the annotation was made on the turned image and its pixels
        hold.

        Raises:
            RecordError: if there is no image and its size is unknown, or images are required.
        """
        image = self.find(*names)
        if image is None:
            looked = ", ".join(self.folders) or "no folder; give the folder of the images"
            message = f"no image {names[0]!r} (searched {looked})"
            if self.missing != "keep" or stated is None:
                raise RecordError("missing-image", message, *where)
            report.add("missing-image", message, *where, action="kept")
            return FoundImage(names[0], *stated, 1.0, 1.0)
        try:
            width, height = image_size(image)
        except DataError as error:
            raise RecordError("unreadable-image", str(error), *where) from None
        if stated is None or stated == (width, height):
            return FoundImage(image, width, height, 1.0, 1.0)
        text = f"annotated at {stated[0]}x{stated[1]}, but {os.path.basename(image)} is {width}x{height}"  # noqa: PTH119
        if stated == (height, width):
            report.add("size-mismatch", text, *where, action="pixels kept")
            return FoundImage(image, width, height, 1.0, 1.0)
        report.add("size-mismatch", text, *where, action="scaled")
        return FoundImage(image, width, height, width / stated[0], height / stated[1])


def images_for(options: ReadOptions, *folders: Path) -> ImageFinder:
    """The search for images: the folder the user gave, otherwise the format's habits."""
    if options.images:
        return ImageFinder([options.images], options.missing, deep=True)
    return ImageFinder(folders, options.missing)


def split_images(options: ReadOptions, base: Path, split: str) -> ImageFinder:
    """The search for the images of one split's file in ``base``: first in the split's own folders, since
    names may repeat in others.
    """
    own = [name for name in (split, *_SPLIT_FOLDERS.get(split, ())) if name]
    others = [name for names in _SPLIT_FOLDERS.values() for name in names]
    roots = (
        [options.images] if options.images else [base / "images", base, base.parent / "images", base.parent]
    )
    first, last = ([root / name for root in roots for name in names] for names in (own, others))
    return ImageFinder([*first, *roots, *last], options.missing, deep=options.images is not None)


def size_of(width: Any, height: Any) -> tuple[int, int] | None:
    """A stated size, or ``None`` if it is missing, zero or no number."""
    try:
        size = int(float(width)), int(float(height))
    except (TypeError, ValueError, OverflowError):
        return None
    return size if min(size) > 0 else None


def number(text: Any, what: str, where: tuple[str, int]) -> float:
    """A number from a file.

    Raises:
        RecordError: if it is not a number.
    """
    try:
        return float(text)
    except (TypeError, ValueError):
        comma = isinstance(text, str) and _DECIMAL_COMMA.fullmatch(text.strip())
        hint = " with a decimal point, not a comma" if comma else ""
        raise RecordError("parse", f"{what} is {text!r}, expected a number{hint}", *where) from None


def choice(options: ReadOptions, key: str, default: str, *others: str) -> str:
    """A setting with a fixed set of values.

    Raises:
        DataError: if it has another value.
    """
    value = options.settings.get(key, default)
    if value not in (default, *others):
        raise DataError(f"{key} must be one of {', '.join((default, *others))}, not {value!r}")
    return value


def parse_xml(path: str | Path) -> Any:
    """Root element of an XML file; no DTD, no entities, no network.

    Raises:
        RecordError: ``parse`` with line and column if the markup is broken.
    """
    from lxml import etree

    try:
        if os.path.getsize(path) > MAX_FILE:  # noqa: PTH202 - hot: once per annotation file
            raise RecordError("parse", f"larger than {MAX_FILE >> 20} MiB", path)
        root = etree.parse(os.fspath(path), _xml_parser()).getroot()
    except etree.XMLSyntaxError as error:
        line, column = error.position
        raise RecordError("parse", str(error.msg).partition(", line")[0], path, line, column) from None
    except OSError as error:
        raise RecordError("parse", f"is not valid XML: {error}", path) from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise RecordError("parse", "document type declarations are not accepted", path, 1)
    if root.nsmap:
        for element in root.iter():
            element.tag = etree.QName(element).localname
    return root


@cache
def _xml_parser() -> Any:
    from lxml import etree

    return etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True
    )


def load_json(path: str | Path, kind: type[T], report: Report) -> T:
    """A JSON file as a typed object; duplicate keys are reported.

    Raises:
        RecordError: with line and column if it is not JSON, with the path inside if it has another structure.
    """
    if Path(path).stat().st_size > MAX_FILE:
        raise RecordError("parse", f"larger than {MAX_FILE >> 20} MiB", path)
    return parse_json(read_text(path), kind, (str(path), 0), report)


def parse_json(text: str, kind: type[T], where: tuple[str, int], report: Report) -> T:
    """JSON text as a typed object, see :func:`load_json`; ``where`` = file, and the line of one-line
    records."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twice = sorted({key for key, _ in pairs if sum(key == other for other, _ in pairs) > 1})
            report.add("duplicate-key", f"duplicate key {', '.join(twice)}", *where, action="last used")
        return found

    try:
        return msgspec.convert(json.loads(text, object_pairs_hook=unique), kind)
    except json.JSONDecodeError as error:
        raise RecordError("parse", error.msg, where[0], where[1] or error.lineno, error.colno) from None
    except (msgspec.ValidationError, RecursionError) as error:
        raise RecordError("parse", str(error), *where) from None


def json_lines(path: str | Path) -> Iterator[tuple[int, bytes]]:
    """(line number, UTF-8 line) of every line that is not blank, one at a time."""
    with open_file(path) as file:
        wide = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        file.seek(0)
        if wide:
            lines = enumerate(read_text(path).split("\n"), 1)
            yield from ((count, line.encode()) for count, line in lines if line.strip())
            return
        for count, line in raw_lines(file):
            if line.strip():
                yield count, line.lstrip(b"\xef\xbb\xbf") if count == 1 else line


def unique_names(names: Iterable[str], path: str | Path, report: Report) -> tuple[str, ...]:
    """Class names made unique: the second ``crane`` becomes ``crane_2``, with a note."""
    result: list[str] = []
    seen: set[str] = set()
    for line, name in enumerate(names, 1):
        new, count = name, 1
        while new in seen:
            count += 1
            new = f"{name}_{count}"
        if count > 1:
            report.add("renamed", f"duplicate class {name!r}", path, line, action=f"renamed to {new!r}")
        seen.add(new)
        result.append(new)
    return tuple(result)


def paired(
    labels: Path, suffix: str, images: Path, splits: Mapping[str, str] | None = None
) -> Iterator[tuple[str, str, str]]:
    """One unit per label file, then one per image without any: (path, relative name without extension,
    split).

    Args:
        labels: folder of the label files, searched with its subfolders.
        suffix: their ending.
        images: folder of the images.
        splits: relative name → split; by default from folder names.
    """
    seen = set()
    for file in walk(labels, (suffix,)):
        relative = file.relative_to(labels).with_suffix("")
        seen.add(hash(relative.name))  # a number, not the text: there may be a million
        yield str(file), str(relative), _split_of(relative, splits or {})
    for image in images_below(images) if images.is_dir() else ():
        relative = image.relative_to(images).with_suffix("")
        if hash(relative.name) not in seen:
            yield str(image), str(relative), _split_of(relative, splits or {})


def _split_of(relative: Path, splits: Mapping[str, str]) -> str:
    return splits.get(str(relative)) or next((s for s in map(split_of, relative.parts[:-1]) if s), "")


def unlabelled(image: str, name: str, split: str, report: Report) -> Record:
    """The record of an image without annotation.

    Raises:
        RecordError: if the image cannot be read.
    """
    try:
        width, height = image_size(image)
    except DataError as error:
        raise RecordError("unreadable-image", str(error), image) from None
    report.add("missing-label", "no annotation for this image", image, action="unlabelled")
    full = inner_name(name) + Path(image).suffix
    return Record(image, full, width, height, [], Status.UNLABELLED.value, split, image)
