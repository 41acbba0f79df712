# SPDX-License-Identifier: Apache-2.0
"""YOLOv5 and Roboflow exports: ``data.yaml`` and Darknet labels in a ``labels`` tree parallel to ``images``.

The paths in ``data.yaml`` have many forms; :func:`resolve_entry` tries each. A ``download``
script in the file is never run. Format: https://docs.ultralytics.com/yolov5/tutorials/train_custom_data/
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from pydarknet.data.dataset import Sample
from pydarknet.data.formats._common import choice
from pydarknet.data.formats._yolo_lines import SETTING, Lines
from pydarknet.data.formats.darknet import Listed, line_kind, parse_image, write_label
from pydarknet.data.issues import Report
from pydarknet.data.output import Output
from pydarknet.data.paths import images_below
from pydarknet.data.records import LabelSource, ReadOptions
from pydarknet.engine.darknet_files import resolve
from pydarknet.errors import DataError, RecordError
from pydarknet.system.text import lines_of, read_text

SETTINGS = {
    "lines": SETTING,
    "allow_same": "yes: train and val may be the same images (read once); no (default)",
    "style": "tree to write: ultralytics (default: images/train) or roboflow (train/images)",
}

_SPLITS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}


class _UniqueKeyLoader(yaml.SafeLoader):
    """A safe loader that rejects duplicate keys, because one of two classes would be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise yaml.MarkedYAMLError(problem=f"duplicate key {twice!r}", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


def sniff(path: Path) -> bool:
    """A YAML file with ``names`` and ``train`` or ``val``, or a folder with one."""
    return _yaml_file(path) is not None


def _yaml_file(path: Path) -> Path | None:
    files = [path] if path.is_file() else [path / "data.yaml", *sorted(path.glob("*.y*ml"))]
    for file in files:
        if file.is_file() and file.suffix.lower() in (".yaml", ".yml"):
            text = f"\n{read_text(file)}"
            if "\nnames:" in text and ("\ntrain:" in text or "\nval:" in text or "\nvalid:" in text):
                return file
    return None


def read(path: Path, options: ReadOptions, report: Report) -> LabelSource:
    """``data.yaml`` or the folder it lies in.

    Raises:
        RecordError: if the YAML is broken, names and nc disagree, or a split is nowhere to be found.
    """
    file = _yaml_file(path) or path
    if file.is_dir():
        raise RecordError("parse", "no YAML file with names and train or val in this folder", path)
    data = load_yaml(file)
    names = class_names(data, file)
    splits: dict[str, list[Path]] = {}
    for split, keys in _SPLITS.items():
        entries = next((data[key] for key in keys if data.get(key)), None)
        for entry in [entries] if isinstance(entries, str) else entries or []:
            place, rule = resolve_entry(str(entry), data, file)
            report.add("note", f"{split}: {entry} is {place} ({rule})", file, action="resolved")
            splits.setdefault(split, []).append(place)
    if not splits:
        raise RecordError("parse", "neither train nor val nor test is given", file)
    if splits.get("val") and splits.get("val") == splits.get("train"):
        if choice(options, "allow_same", "no", "yes") == "no":
            raise RecordError("parse", "train and val are the same images; allow_same=yes accepts that", file)
        del splits["val"]
    units = functools.partial(_units, splits)
    lines = line_kind(options, units, None, _declared(data, file))
    parse = functools.partial(parse_image, names=names, labels=None, lines=lines)
    return LabelSource(units, parse, names)


def _declared(data: dict[str, Any], path: Path) -> Lines:
    """Meaning of long lines by ``kpt_shape`` (points, numbers per point) or ``task``.

    Raises:
        RecordError: if ``kpt_shape`` is not two numbers.
    """
    shape = data.get("kpt_shape")
    if shape is not None:
        if not (isinstance(shape, list) and len(shape) == 2 and all(isinstance(n, int) for n in shape)):
            raise RecordError("parse", f"kpt_shape is {shape!r}, expected [points, 2 or 3]", path)
        return Lines("box", 5 + shape[0] * shape[1])
    return Lines({"segment": "polygon", "obb": "polygon", "pose": "box"}.get(str(data.get("task")), ""))


def load_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        RecordError: with line and column if it is broken or holds something else.
    """
    try:
        data = yaml.load(read_text(path), _UniqueKeyLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise RecordError("parse", error.problem or "broken YAML", path, line, column) from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise RecordError("parse", str(error), path) from None
    except RecursionError:
        raise RecordError("parse", "nested too deeply", path) from None
    if not isinstance(data, dict):
        raise RecordError("parse", "expected keys such as train, val and names", path)
    return data


def class_names(data: dict[str, Any], path: Path) -> tuple[str, ...]:
    """Names as a list or as a mapping of ids, checked against ``nc``.

    Raises:
        RecordError: if they are not valid; the message gives the rule.
    """
    names = data.get("names")
    if isinstance(names, dict):
        try:
            by_id = {int(key): value for key, value in names.items()}
        except (TypeError, ValueError):
            raise RecordError("parse", "the keys of names must be class numbers", path) from None
        wanted = list(range(len(names)))
        if sorted(by_id) != wanted:
            hint = "; they start at 1, shift them by one" if sorted(by_id) == [i + 1 for i in wanted] else ""
            raise RecordError("parse", f"names must have the keys 0 to {len(names) - 1}{hint}", path)
        names = [by_id[key] for key in wanted]
    if not isinstance(names, list) or not all(isinstance(name, str | int | float) for name in names):
        raise RecordError(
            "parse", "names must be a list of names, or a mapping from class number to name", path
        )
    found = tuple(str(name).strip() for name in names)
    if len(set(found)) != len(found):
        twice = sorted({name for name in found if found.count(name) > 1})
        raise RecordError("parse", f"class names must be unique; duplicate: {', '.join(twice)}", path)
    if "nc" in data and data["nc"] != len(found):
        raise RecordError("parse", f"nc is {data['nc']}, but there are {len(found)} names", path)
    return found


def resolve_entry(entry: str, data: dict[str, Any], path: Path) -> tuple[Path, str]:
    """Where a split's entry points, and the rule that found it.

    Tried in order: as an absolute path; below ``path:``; below the YAML's folder; the same without one
    leading ``../``; the same without the first folder if that is the project's name; below the working
    directory.

    Raises:
        RecordError: naming every place that was tried.
    """
    here = path.absolute().parent
    candidates: list[tuple[Path, str]] = []
    if Path(entry).is_absolute():
        candidates.append((Path(entry), "absolute"))
    if data.get("path"):
        root = str(data["path"])
        candidates += [(here / root / entry, "below path"), (Path.cwd() / root / entry, "below path")]
    candidates.append((here / entry, "below the yaml's folder"))
    if entry.startswith("../"):
        candidates.append((here / entry[3:], "without the leading ../"))
    first, _, rest = entry.removeprefix("../").removeprefix("./").partition("/")
    if rest and first.casefold() in _project_names(data, here):
        candidates.append((here / rest, f"without the project folder {first}/"))
    candidates.append((Path.cwd() / entry, "below the working directory"))
    for candidate, rule in candidates:
        if candidate.exists():
            return candidate.resolve(), rule
    tried = "".join(f"\n  {candidate} ({rule})" for candidate, rule in candidates)
    raise RecordError("parse", f"{entry} is nowhere; tried{tried}", path)


def _project_names(data: dict[str, Any], here: Path) -> set[str]:
    """Names that a download may have given to a renamed folder."""
    info = data.get("roboflow")
    project, version = (info.get("project"), info.get("version")) if isinstance(info, dict) else (None, None)
    return {name.casefold() for name in (here.name, str(project), f"{project}-{version}")}


def _units(splits: dict[str, list[Path]]) -> Iterator[Listed]:
    for split, places in splits.items():
        for place in places:
            for image in images_below(place) if place.is_dir() else ():
                name = str(image.relative_to(place)).removeprefix("images/")
                yield Listed(str(image), name, split)
            for number, line in enumerate(lines_of(place) if place.is_file() else (), 1):
                if line:
                    image = place.parent / line[2:] if line.startswith("./") else resolve(line, place.parent)
                    yield Listed(str(image), image.name, split, str(place), number)


def write(samples: Iterable[Sample], names: tuple[str, ...], out: Output) -> None:
    """``images``, ``labels`` and ``data.yaml`` with an absolute ``path`` and names by number.

    Raises:
        DataError: for ``link="none"`` or ``layout="same"``, since YOLOv5 finds labels only through the tree.
    """
    if out.link == "none" or out.layout == "same":
        raise DataError("YOLOv5 needs an images and a labels tree; use --link hard, sym or copy")
    style = choice(ReadOptions(settings=out.settings), "style", "ultralytics", "roboflow")
    folders = {"train": "train", "val": "valid" if style == "roboflow" else "val", "test": "test"}
    pattern = "{split}/{kind}" if style == "roboflow" else "{kind}/{split}"
    splits: dict[str, str] = {}

    def folder(sample: Sample, kind: str = "images") -> str:
        split = sample.split or "train"
        return pattern.format(split=folders.get(split, split), kind=kind)

    with out.growing() as append:
        for sample, _, name in out.place_all(samples, folder):
            write_label(sample, out.root / folder(sample, "labels") / f"{name}.txt", out)
            splits[sample.split or "train"] = folder(sample)
        data = {
            "path": str(out.root.absolute()),
            "train": splits.get("train", ""),
            "val": splits.get("val", ""),
        }
        data |= {split: place for split, place in splits.items() if split not in data}
        names_by_id = dict(enumerate(names))
        text = yaml.safe_dump(
            {**data, "nc": len(names), "names": names_by_id}, sort_keys=False, allow_unicode=True
        )
        append("data.yaml", text)
