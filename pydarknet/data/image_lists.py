# SPDX-License-Identifier: Apache-2.0
"""``.data``, ``.names`` and image lists for images that already have Darknet labels.

Only these files are written: images and labels stay where they are. Paths are absolute, so that
training works from every folder.
"""

from __future__ import annotations

import io
from pathlib import Path

import yaml

from pydarknet.data.dataset import Dataset, Sample, Status
from pydarknet.data.paths import find_label
from pydarknet.errors import DataError
from pydarknet.system.atomic import write_text
from pydarknet.system.text import encode

#: split -> (file name, key of the .data file)
_LISTS = {"train": ("train.txt", "train"), "val": ("valid.txt", "valid"), "test": ("test.txt", "test")}


def has_darknet_labels(dataset: Dataset) -> bool:
    """Whether every labelled image was read from the very text file that Darknet training reads.

    A text file beside the image is not enough: it may be left over from another conversion.
    """
    return all(
        sample.status is Status.UNLABELLED
        or (bool(sample.source) and find_label(sample.image) == Path(sample.source))
        for sample in dataset
    )


def write_lists(
    dataset: Dataset, folder: Path, *, yaml_too: bool = False, overwrite: bool = False
) -> dict[str, Path]:
    """Write one list per split, ``obj.names`` and ``obj.data``.

    Args:
        dataset: its images are listed in their order, repetitions included; unlabelled ones are left out.
            Images without a split count as train.
        folder: where the files go.
        yaml_too: also write ``data.yaml``, which YOLOv5 reads, pointing to the same lists.
        overwrite: replace files of the same name with other content.

    Returns:
        The files written: ``data``, ``names``, the splits, and ``yaml``.

    Raises:
        DataError: if a labelled image has no Darknet label file, a path holds a line break, or a file is in
            the way.
    """
    folder = folder.absolute()
    entries: dict[str, list[str]] = {}
    for sample in dataset:
        if sample.status is not Status.UNLABELLED:
            entries.setdefault(sample.split or "train", []).append(_entry(sample))
    files: dict[str, Path] = {}
    texts: dict[Path, str] = {}
    rows = {"classes": str(len(dataset.names))}
    for split, lines in entries.items():
        name, key = _LISTS.get(split, (f"{split}.txt", split))
        files[split] = folder / name
        rows[key] = str(files[split])
        texts[files[split]] = "".join(f"{line}\n" for line in lines)
    if yaml_too:
        files["yaml"] = folder / "data.yaml"
        paths = {split: str(path) for split, path in files.items() if split in _LISTS}
        texts[files["yaml"]] = _yaml({**paths, "nc": len(dataset.names), "names": list(dataset.names)})
    files["names"], files["data"] = folder / "obj.names", folder / "obj.data"
    texts[files["names"]] = "".join(f"{name}\n" for name in dataset.names)
    rows |= {"names": str(files["names"]), "backup": str(folder / "backup")}
    texts[files["data"]] = "".join(f"{key} = {value}\n" for key, value in rows.items())
    for path, text in texts.items():
        if not overwrite and path.exists() and path.read_bytes() != encode(text):
            raise DataError(f"{path} exists with other content; choose another folder, or overwrite it")
    (folder / "backup").mkdir(parents=True, exist_ok=True)  # without it Darknet fails at its first save
    for path, text in texts.items():  # the .data file last: the files it names exist by then
        write_text(path, text)
    return files


def _entry(sample: Sample) -> str:
    path = str(sample.image.absolute())
    if "\n" in path or "\r" in path:
        raise DataError(f"{path!r}: a list has one path per line, and this one has a line break")
    if find_label(sample.image) is None:
        raise DataError(f"{path}: no Darknet label file; pydarknet convert makes a set that has them")
    return path


def _yaml(content: dict[str, object]) -> str:
    stream = io.StringIO()
    yaml.safe_dump(content, stream, sort_keys=False, allow_unicode=True)
    return stream.getvalue()
