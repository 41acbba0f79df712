# SPDX-License-Identifier: Apache-2.0
"""The folder a data set is written into: where images and labels go, and how images get there.

Source images are never changed or deleted. They are hard-linked, symlinked, copied, or left where they are.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from pydarknet.data.dataset import SET_ASIDE, Sample, Status, flag_names
from pydarknet.data.files import atomic
from pydarknet.data.report import Report
from pydarknet.errors import DataError

LINKS = ("hard", "sym", "copy", "none")
LAYOUTS = ("same", "images-labels")
IGNORE_POLICIES = ("keep", "difficult", "drop", "box")


@dataclass
class Output:
    """Where and how to write.

    Attributes:
        root: the folder (or, for formats of a single file, the file) to write.
        link: ``"hard"`` (falls back to a symlink across file systems), ``"sym"``, ``"copy"``, or ``"none"``.
        layout: label files beside the image (``"same"``) or in a ``labels`` tree; ``None`` = the format's
            habit.
        unlabelled: ``"exclude"`` images nobody looked at, or write them as ``"negatives"``.
        ignore: what becomes of difficult, crowd and ignore boxes in formats without such flags: a side file
            (``"keep"``), also Darknet's difficult lists (``"difficult"``), nothing (``"drop"``), or a box
            (``"box"``).
        rename: how to tell two images of the same name apart: ``"prefix"`` with their folder, ``"hash"``, or
            ``None`` = refuse the second.
        coords: corner convention of pixel formats, ``None`` = the format's default.
        report: takes what was dropped on the way out.
        settings: options of one format only.
    """

    root: Path
    link: str = "hard"
    layout: str | None = None
    unlabelled: str = "exclude"
    ignore: str = "keep"
    rename: str | None = None
    coords: str | None = None
    report: Report = field(default_factory=Report)
    settings: Mapping[str, str] = field(default_factory=dict)
    _taken: dict[str, set[int]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for name, value, choices in (
            ("link", self.link, LINKS),
            ("layout", self.layout, (None, *LAYOUTS)),
            ("unlabelled", self.unlabelled, ("exclude", "negatives")),
            ("ignore", self.ignore, IGNORE_POLICIES),
            ("rename", self.rename, (None, "prefix", "hash")),
        ):
            if value not in choices:
                listed = ", ".join(str(choice) for choice in choices if choice)
                raise DataError(f"{name} must be one of {listed}, not {value!r}")

    @property
    def folder(self) -> Path:
        """The folder everything goes into: the root itself, or the one around it if the root is a single
        file."""
        return self.root.parent if self.single else self.root

    @property
    def single(self) -> bool:
        """Whether the root names one file (it has an extension) that takes all splits, without images."""
        return bool(self.root.suffix) and not self.root.is_dir()

    def file(self, pattern: str, split: str) -> str:
        """The file of a split: the pattern with the split put in, or the single file for all."""
        return self.root.name if self.single else pattern.format(split=split or "train")

    def admitted(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        """The samples that are written: unlabelled ones only if asked for, and reported either way."""
        for sample in samples:
            if sample.status is not Status.UNLABELLED:
                yield sample
            elif self.unlabelled == "negatives":
                self.report.add(
                    "unlabelled", "nobody looked at this image", sample.image, action="written as empty"
                )
                yield sample
            else:
                self.report.add("unlabelled", "nobody looked at this image", sample.image, action="left out")

    def place_all(
        self, samples: Iterable[Sample], folder: Callable[[Sample], str]
    ) -> Iterator[tuple[Sample, Path, str]]:
        """Put every admitted sample's image into ``root/folder(sample)``.

        Yields:
            the sample, the path of its image in the output (the source path with ``link="none"``), and its
            name below the folder, without the extension.
        """
        for sample in self.admitted(samples):
            directory = folder(sample)
            name = self._claim(directory, sample)
            if name is None:
                continue
            stay = self.single or self.link == "none"
            image = sample.image if stay else self.root / directory / name
            if not stay and not self._put(sample.image, image):
                continue
            yield sample, image, str(PurePosixPath(name).with_suffix(""))

    def side_boxes(self, sample: Sample) -> tuple[Sample, Sample]:
        """The sample's ordinary boxes and those set aside, after the ``ignore`` policy."""
        if self.ignore == "box":
            any_class = sample.classes < 0
            return sample.select(~any_class), sample.select(any_class)
        if self.ignore == "drop":
            for flags in sample.flags[~sample.target].tolist():
                self._lost(flags, sample)
            return sample.select(sample.target), sample.select([])
        return sample.select(sample.target), sample.select(~sample.target)

    def plain(self, sample: Sample) -> Sample:
        """The boxes for a format that cannot set any aside; those that were are reported as lost."""
        boxes, aside = self.side_boxes(sample)
        for flags in aside.flags.tolist():
            self._lost(flags, sample)
        return boxes

    def _lost(self, flags: int, sample: Sample) -> None:
        text = ", ".join(name for name in flag_names(flags & SET_ASIDE))
        self.report.add("lost-flag", f"a box set aside ({text})", sample.source or sample.image)

    @contextlib.contextmanager
    def growing(self) -> Iterator[Callable[[str, str], None]]:
        """Files below the root that are written bit by bit and appear together when the block ends well.

        Yields:
            ``append(relative path, text)``; an empty text only makes the file.
        """
        with contextlib.ExitStack() as stack:
            files: dict[str, IO[bytes]] = {}

            def append(relative: str, text: str) -> None:
                if relative not in files:
                    files[relative] = stack.enter_context(atomic(self.folder / relative))
                files[relative].write(text.encode())

            yield append

    def _claim(self, directory: str, sample: Sample) -> str | None:
        """A name that no other image of the folder has (labels go by the stem), or ``None`` if refused."""
        taken = self._taken.setdefault(directory, set())
        name = safe_name(sample.name)
        for attempt in range(3):
            key = hash(
                str(PurePosixPath(name).with_suffix(""))
            )  # a number, not the text: there may be a million
            if key not in taken:
                taken.add(key)
                if attempt:
                    self.report.add("renamed", f"written as {name}", sample.image, action="renamed")
                return name
            if self.rename is None:
                break
            name = self._other_name(name, sample, attempt)
        hint = "" if self.rename else "; --rename prefix or --rename hash tells them apart"
        self.report.add("name-collision", f"another image is already written as {name}{hint}", sample.image)
        return None

    def _other_name(self, name: str, sample: Sample, attempt: int) -> str:
        path = PurePosixPath(name)
        if self.rename == "prefix" and attempt == 0:
            return str(path.with_name(f"{sample.image.parent.name}_{path.name}"))
        digest = hashlib.sha1(str(sample.image).encode(), usedforsecurity=False).hexdigest()[:8]
        return str(path.with_name(f"{path.stem}_{digest}{path.suffix}"))

    def _put(self, source: Path, target: Path) -> bool:
        if _same_file(source, target):
            return True
        if not source.is_file():
            self.report.add("missing-image", "no such image", source)
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_symlink() or target.exists():
            raise DataError(f"{target} exists and is another file than {source}; choose an empty folder")
        if self.link == "copy":
            with source.open("rb") as reader, atomic(target, sync=False) as writer:
                shutil.copyfileobj(reader, writer, 1 << 20)
            return True
        if self.link == "hard":
            try:
                os.link(source, target, follow_symlinks=True)
                return True
            except OSError:  # another file system, or one without hard links: a symlink serves as well
                pass
        target.symlink_to(os.path.abspath(source))  # noqa: PTH100 - absolute, but not resolved
        return True


def _same_file(source: Path, target: Path) -> bool:
    try:
        if source.samefile(target):
            return True
        old, new = target.stat(), source.stat()
    except OSError:
        return False
    return old.st_size == new.st_size and source.read_bytes() == target.read_bytes()


def safe_name(name: str) -> str:
    """A relative name with ``/`` between folders and nothing that climbs out of the folder it is put into."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    if parts and len(parts[0]) == 2 and parts[0][1] == ":":  # a Windows drive
        parts = parts[1:]
    return "/".join(parts) or "image"
