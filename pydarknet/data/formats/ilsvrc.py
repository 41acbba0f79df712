# SPDX-License-Identifier: Apache-2.0
"""ImageNet localisation (ILSVRC CLS-LOC): VOC-like XML per image, one folder per synset for training, flat
for val.

Corners are 0-based and inclusive, in pixels of the size shown to the annotator, which may differ from the
file's. More than half of the training images have no XML: they are unlabelled, not background.
Format: https://www.image-net.org/challenges/LSVRC/2012/ and the Kaggle "ImageNet Object Localization" pages.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pydarknet.data.coords import Convention, convention
from pydarknet.data.dataset import Status
from pydarknet.data.formats._common import ImageFinder, choice, parse_xml, size_of, unique_names, unlabelled
from pydarknet.data.formats.voc import read_objects
from pydarknet.data.issues import Report
from pydarknet.data.paths import natural_key
from pydarknet.data.records import LabelSource, ReadOptions, Record
from pydarknet.engine.image_header import is_image
from pydarknet.errors import DataError, RecordError
from pydarknet.system.text import lines_of

SETTINGS = {
    "mapping": "LOC_synset_mapping.txt, if it is not beside the ILSVRC folder",
    "class_names": "synonym (default): the first word of the mapping, or wnid: the synset id",
    "lists": "yes: ImageSets/CLS-LOC lists define the images; no (default): the folders do",
}

MAPPING_NAME = "LOC_synset_mapping.txt"
_TREE = """{root} is not an ILSVRC tree; expected
  ILSVRC/Annotations/CLS-LOC/train/<wnid>/<wnid>_<n>.xml
  ILSVRC/Annotations/CLS-LOC/val/ILSVRC2012_val_<n>.xml
  ILSVRC/Data/CLS-LOC/train/<wnid>/<wnid>_<n>.JPEG
  ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_<n>.JPEG
  LOC_synset_mapping.txt"""

_Unit = tuple[str, str, str, str]


def sniff(path: Path) -> bool:
    """A folder with ``Annotations/CLS-LOC``, or the folder around it."""
    return path.is_dir() and _root(path) is not None


def _root(path: Path) -> Path | None:
    return next(
        (root for root in (path, path / "ILSVRC") if (root / "Annotations" / "CLS-LOC").is_dir()), None
    )


def read(path: Path, options: ReadOptions, report: Report) -> LabelSource:
    """The ``ILSVRC`` folder or the one around it.

    Raises:
        DataError: if the tree is another; the message shows the expected one.
    """
    root = _root(path)
    if root is None:
        raise DataError(_TREE.format(root=path))
    wnids = read_mapping(options, [root, root.parent], report)
    lists = choice(options, "lists", "no", "yes") == "yes"
    parse = functools.partial(
        _parse, wnids=wnids, coords=convention(options.coords or "ilsvrc"), missing=options.missing
    )
    data = options.images or root / "Data" / "CLS-LOC"
    units = functools.partial(_units_of_lists if lists else _units, root, data)
    return LabelSource(units, parse, tuple(wnids.values()) or options.names)


def read_mapping(options: ReadOptions, folders: Iterable[Path], report: Report) -> dict[str, str]:
    """Synset id → class name in the order of the mapping file; empty if there is none.

    Raises:
        DataError: if the file that was named is missing.
        RecordError: if a line has another form.
    """
    given = options.settings.get("mapping")
    candidates = [Path(given)] if given else [folder / MAPPING_NAME for folder in folders]
    file = next((file for file in candidates if file.is_file()), None)
    synonym = choice(options, "class_names", "synonym", "wnid") == "synonym"
    if file is None:
        if given:
            raise DataError(f"{given}: no such mapping file")
        text = f"no {MAPPING_NAME}; classes are called by their synset id"
        report.add("note", text, candidates[0], action="kept")
        return {}
    wnids, names = [], []
    for number, line in enumerate(lines_of(file), 1):
        wnid, _, words = line.partition(" ")
        if not words:
            raise RecordError("parse", f"expected 'wnid name, name, …', found {line!r}", file, number)
        wnids.append(wnid)
        names.append(words.split(",")[0].strip())
    return dict(zip(wnids, unique_names(names, file, report) if synonym else wnids, strict=True))


def _units(root: Path, data: Path) -> Iterator[_Unit]:
    """(XML or "", image or the place it should have, name, split), one folder in memory at a time."""
    annotations = root / "Annotations" / "CLS-LOC"
    for wnid in sorted(_names(annotations / "train") | _names(data / "train"), key=natural_key):
        yield from _folder(annotations / "train" / wnid, data / "train" / wnid, f"{wnid}/", "train")
    yield from _folder(annotations / "val", data / "val", "", "val")


def _names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()


def _folder(annotations: Path, data: Path, prefix: str, split: str) -> Iterator[_Unit]:
    xmls = {name[:-4] for name in _names(annotations) if name.lower().endswith(".xml")}
    images = {name.rpartition(".")[0]: name for name in _names(data) if is_image(name)}
    for stem in sorted(xmls | images.keys(), key=natural_key):
        xml = str(annotations / f"{stem}.xml") if stem in xmls else ""
        yield xml, str(data / images.get(stem, f"{stem}.JPEG")), prefix + stem, split


def _units_of_lists(root: Path, data: Path) -> Iterator[_Unit]:
    """Lines are ``name number``; the number only counts lines."""
    found = False
    for split, names in (("train", ("train_cls", "train_loc")), ("val", ("val",))):
        files = [root / "ImageSets" / "CLS-LOC" / f"{name}.txt" for name in names]
        file = next((file for file in files if file.is_file()), None)
        found = found or file is not None
        for line in lines_of(file) if file else ():
            if line:
                name = line.split()[0]
                xml = root / "Annotations" / "CLS-LOC" / split / f"{name}.xml"
                yield str(xml) if xml.is_file() else "", str(data / split / f"{name}.JPEG"), name, split
    if not found:
        folder = root / "ImageSets" / "CLS-LOC"
        raise DataError(f"{folder}: neither train_cls.txt, train_loc.txt nor val.txt is there")


def _parse(
    unit: _Unit, report: Report, *, wnids: Mapping[str, str], coords: Convention, missing: str
) -> Iterable[Record]:
    xml, image, name, split = unit
    if not xml:
        if not Path(image).is_file():
            raise RecordError("missing-image", "neither an image nor an XML has this name", image)
        return [unlabelled(image, name, split, report)]
    root = parse_xml(xml)
    stated = size_of(root.findtext("size/width"), root.findtext("size/height"))
    folder_path, _, file = image.rpartition("/")
    found = ImageFinder([folder_path], missing).locate(
        [file, file.rpartition(".")[0]], stated, (xml, 0), report
    )
    boxes = read_objects(root, xml, coords, report, found.sx, found.sy)
    folder = name.partition("/")[0] if "/" in name else ""
    for box in boxes:
        box.label = _label(box.label, folder, wnids, (xml, box.line), report)
    status = Status.ANNOTATED if root.find("object") is not None else Status.BACKGROUND
    full = f"{name}.{found.image.rpartition('.')[2]}"
    return [Record(found.image, full, found.width, found.height, boxes, status.value, split, xml)]


def _label(label: str, folder: str, wnids: Mapping[str, str], where: tuple[str, int], report: Report) -> str:
    """The class of an object: its own synset, or the folder's where a human name was written instead."""
    if label in wnids or not wnids:
        if folder and folder != label:
            text = f"object is {label}, folder is {folder}"
            report.add("note", text, *where, action="object's class taken")
        return wnids.get(label, label)
    if folder in wnids:
        report.add("note", f"{label!r} is not a synset id", *where, action=f"folder's class {folder} used")
        return wnids[folder]
    return label
